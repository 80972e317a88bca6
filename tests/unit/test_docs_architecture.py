"""docs/architecture.md shows every room of the house, and every lock."""

import re
from pathlib import Path

from test_layering import ONLY, PACKAGE, SRC, module_name, source_tree

ROOT = Path(__file__).parents[2]
DOC = (ROOT / "docs" / "architecture.md").read_text()
WHOLE = ("cli", "loader")  # shown as a room, without the modules in it
TREE = source_tree()


def shown() -> set[str]:
    """Paths and names in code style; `x.pxd`, `.pyx` is both."""
    return set(re.findall(r"`([\w./]+)`", DOC))


def test_every_module_is_shown() -> None:
    names = {re.sub(r"\.(py|pyx|pxd|pyi)$", "", name).split("/")[-1] for name in shown()}
    modules = {module_name(Path(name)) for name in TREE if Path(name).stem not in ("__init__", "__main__", "version")}
    missing = {m for m in modules if m.split(".")[-1] not in names and m.split(".")[0] not in WHOLE}
    assert missing == set()


def test_every_path_is_there() -> None:
    files = [name for name in shown() if re.search(r"\w\.(py|pyx|pxd|pyi)$|\w/", name)]
    assert len(files) > 40
    here = [SRC / PACKAGE, ROOT, SRC / PACKAGE / "native", ROOT / "tests" / "integration"]
    assert [name for name in files if not any((folder / name).exists() for folder in here)] == []


def test_every_lock_has_its_place_in_the_order() -> None:
    table = re.findall(r"^\| \d \| `(\w+\.\w+)` \|", DOC, re.MULTILINE)
    found = []
    for text in TREE.values():
        for name, body in re.findall(r"^cdef (?:struct|class) (\w+):(.*?)(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL):
            found += [
                f"{name}.{field}" for field in re.findall(r"^ +(?:cdef )?pthread_mutex_t (\w+)", body, re.MULTILINE)
            ]
    assert sorted(table) == sorted(found)


def test_what_the_client_may_import() -> None:
    listed = re.search(r"The client \(`([a-z ]+)`\)", DOC)
    assert listed
    assert set(listed[1].split()) == ONLY["client"]


def test_it_is_short() -> None:
    assert len(DOC.splitlines()) <= 120
