"""The version of the installed package, from its metadata: pyproject.toml is the one place where it is written."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("fastcount")
except PackageNotFoundError:  # run from a checkout that was never installed
    VERSION = "0+unknown"
