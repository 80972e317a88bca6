"""The version is written in one place."""

import tomllib
from pathlib import Path

import fastcount
from fastcount.version import VERSION

ROOT = Path(__file__).parents[2]


def test_one_version() -> None:
    written = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert fastcount.__version__ == VERSION
    assert VERSION in (written, "0+unknown")  # the latter: run from a checkout that was never installed
    assert f"({written})" in (ROOT / "CHANGELOG.md").read_text()
    assert "__version__" in dir(fastcount)
