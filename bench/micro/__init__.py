"""Single operations, by pytest-benchmark: `python -m pytest bench/micro`, or as a part of `python -m bench`.

A benchmark says in `extra_info["operations"]` how many operations one round is, so that rates can be told.
"""
