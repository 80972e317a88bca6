"""Arrows between the rooms of the house point one way: a module imports (or cimports) only what stands before it.

The table is the whole rule. A module that is not in it fails the test: place it, in the first room where it can live.
"""

import ast
import re
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"
PACKAGE = "fastcount"

# First room first. A name covers the module and everything below it. Within a room any order goes, but no cycle.
ROOMS: tuple[tuple[str, ...], ...] = (
    ("errors", "answers", "version", "names", "wire", "address", "config", "keyring", "datadir"),
    ("native.atomic", "native.blake2", "native.hash", "native.heap", "native.murmur", "native.rng", "native.siphash"),
    ("native.text", "native.keys"),
    ("native.types", "native.refusals"),
    ("native.frame",),
    ("native.hll_codec", "native.hll_estimate", "native.hll_registers"),
    ("native.table", "native.hll", "native.bottomk", "native.reservoir"),
    ("native.hyperloglog", "native.samples"),
    ("native.sketch", "native.events"),
    ("native.shard", "native.ledger"),
    ("native.batch", "native.query", "native.intake"),
    ("native.udp",),
    ("_batch",),
    ("_core",),
    ("_receiver", "_replay"),
    ("ingest",),
    ("drain",),
    ("journal",),
    ("sinks",),
    ("api",),
    ("packer", "sender", "pump", "recorder", "client", "aclient"),
    ("__init__",),
    ("rest", "loader"),
    ("server",),
    ("cli",),
    ("__main__",),
)

# What runs where no compiler and no server is looks at nothing of ours but this, and at the standard library.
_CLIENT = frozenset({"errors", "version", "names", "wire", "packer", "sender", "pump", "recorder", "client", "aclient"})
ONLY = dict.fromkeys((*sorted(_CLIENT), "__init__"), _CLIENT)

# Inputs, outputs and reads do not know each other.
NEVER = frozenset({("api", "sinks"), ("api", "ingest"), ("ingest", "sinks"), ("sinks", "ingest")})

# Packages that hold rooms and no code.
HOLLOW = frozenset({"native"})

_CYTHON_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<base>[.\w]+)[ \t]+c?import[ \t]+(?P<names>\([^)]*\)|[^\n]+)"
    r"|c?import[ \t]+(?P<modules>[^\n]+))",
    re.MULTILINE,
)


def room_of(module: str) -> tuple[int, str] | None:
    """Rank and entry of the table that covers `module` (a name below the package), or None."""
    for rank, names in enumerate(ROOMS):
        for name in names:
            if module == name or module.startswith(name + "."):
                return rank, name
    return None


def _names(text: str) -> list[str]:
    text = re.sub(r"#[^\n]*", "", text).strip().strip("()").replace("\\", " ")
    return [part.split()[0] for part in text.split(",") if part.split()]


def raw_imports(suffix: str, text: str) -> Iterator[tuple[str, list[str]]]:
    """(dotted base with its leading dots, imported names); no names for a plain ``import base``."""
    if suffix in (".py", ".pyi"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                yield from ((alias.name, []) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield "." * node.level + (node.module or ""), [alias.name for alias in node.names]
        return
    text = re.sub(r"\\\n", " ", text)
    for match in _CYTHON_IMPORT.finditer(text):
        if match["modules"]:
            yield from ((name, []) for name in _names(match["modules"]))
        else:
            yield match["base"], _names(match["names"])


def module_name(path: Path) -> str:
    """``native/table.pxd`` -> ``native.table``; a package is named without ``__init__``, but for the top one."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1]) if parts[-1] == "__init__" and len(parts) > 1 else ".".join(parts)


def arrows(tree: dict[str, str]) -> tuple[set[str], dict[tuple[str, str], str], dict[tuple[str, str], str]]:
    """Modules, arrows inside the package and arrows out of it (each with its file), of {relative path: text}."""
    modules = {module_name(Path(name)) for name in tree}
    inside: dict[tuple[str, str], str] = {}
    outside: dict[tuple[str, str], str] = {}
    for name, text in tree.items():
        path = Path(name)
        me = module_name(path)
        for base, names in raw_imports(path.suffix, text):
            dots = len(base) - len(base.lstrip("."))
            if dots:
                folder = (PACKAGE, *path.parent.parts)
                base = ".".join([*folder[: len(folder) - dots + 1], *filter(None, [base.lstrip(".")])])
            if base != PACKAGE and not base.startswith(PACKAGE + "."):
                outside[me, base] = name
                continue
            base = base[len(PACKAGE) + 1 :]
            targets = {f"{base}.{item}".lstrip(".") for item in names}
            hits = targets & modules
            if not names or targets - modules:  # something of the base itself; the package is loaded in any case
                hits |= {base} - {""}
            inside.update(((me, target), name) for target in hits - {me})
    return modules, inside, outside


def faults(tree: dict[str, str]) -> list[str]:
    """What is wrong with the arrows of {relative path: text}; empty if nothing."""
    modules, inside, outside = arrows(tree)
    found = [
        f"{module}: not placed in a room; add it to ROOMS"
        for module in sorted(modules - HOLLOW)
        if room_of(module) is None
    ]
    graph: dict[str, set[str]] = {}
    for (me, target), name in sorted(inside.items()):
        mine, its = room_of(me), room_of(target)
        if mine is None or its is None:
            if its is None and target not in modules:
                found.append(f"{name}: imports {target}, which does not exist")
            continue
        graph.setdefault(me, set()).add(target)
        if its[0] > mine[0]:
            found.append(f"{name}: {me} imports {target}, a room after its own")
        if (mine[1], its[1]) in NEVER:
            found.append(f"{name}: {mine[1]} must never import {its[1]}")
        if mine[1] in ONLY and its[1] not in ONLY[mine[1]]:
            found.append(f"{name}: {mine[1]} may import only {', '.join(sorted(ONLY[mine[1]]))}, not {target}")
    for (me, target), name in sorted(outside.items()):
        mine = room_of(me)
        if mine and mine[1] in ONLY and target.split(".")[0] not in sys.stdlib_module_names:
            found.append(f"{name}: {me} may import only the standard library, not {target}")
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found.append("cycle: " + " -> ".join(error.args[1]))
    return found


def source_tree() -> dict[str, str]:
    root = SRC / PACKAGE
    return {
        str(path.relative_to(root)): path.read_text(encoding="utf-8")
        for path in sorted(root.rglob("*"))
        if path.suffix in (".py", ".pyi", ".pyx", ".pxd")
    }


def test_no_arrow_points_backwards() -> None:
    tree = source_tree()
    assert "errors.py" in tree
    assert "_core.pyi" in tree
    assert faults(tree) == []


BASE = {"errors.py": "", "wire.py": "from .errors import FrameError\n", "_core.pyi": "", "native/__init__.py": ""}


def test_a_clean_tree_has_no_faults() -> None:
    clean = {
        "__init__.py": "from .client import Client\nfrom fastcount.errors import FrameError\n",
        "client.py": "import socket\nfrom fastcount import wire, errors\n",
        "native/hash.pxd": "from libc.stdint cimport uint64_t\n",
        "native/table.pxd": "from fastcount.native.hash cimport (hash64,\n    seed)  # both\n",
        "native/table.pyx": "cimport cython\nfrom .hash cimport hash64\n",
        "_core.pyx": "from fastcount.native cimport table as t, hash\nfrom fastcount.errors import FrameError\n",
        "api/__init__.py": "",
        "api/http.py": "from .. import __version__, _core\nfrom ..errors import FrameError\nimport fastapi\n",
        "cli.py": "def main():\n    from fastcount.api import http\n    import typer\n",
    }
    modules, inside, outside = arrows(BASE | clean)
    assert faults(BASE | clean) == []
    assert "native.table" in modules
    assert {
        ("native.table", "native.hash"),
        ("_core", "native.table"),
        ("_core", "native.hash"),
        ("_core", "errors"),
        ("client", "wire"),
        ("api.http", "_core"),
        ("api.http", "errors"),
        ("cli", "api.http"),
    } <= set(inside)
    assert {("api.http", "fastapi"), ("cli", "typer"), ("native.hash", "libc.stdint")} <= set(outside)


@pytest.mark.parametrize(
    ("path", "text", "complaint"),
    [
        ("errors.py", "from fastcount.wire import ERRORS", "cycle"),
        ("errors.py", "import fastcount.server", "a room after its own"),
        ("wire.py", "def f():\n    from . import _core", "a room after its own"),
        ("wire.py", "if TYPE_CHECKING:\n    from ._core import Store", "a room after its own"),
        ("wire.py", "import numpy", "standard library"),
        ("native/hash.pxd", "from fastcount.native.table cimport Table", "a room after its own"),
        ("native/hash.pxd", "from .table cimport Table", "a room after its own"),
        ("native/hash.pxd", "from . cimport table", "a room after its own"),
        ("native/hash.pxd", "cimport fastcount.native.table as t", "a room after its own"),
        ("native/hash.pyx", "from fastcount.native cimport (\n  atomic,  # leaf\n  table,\n)", "a room after its own"),
        ("native/hash.pyx", "from libc.math cimport sqrt\nfrom .. import _core", "a room after its own"),
        ("native/hll.pxd", "from .table cimport x\n", "cycle"),
        ("_core.pyx", "from fastcount.ingest.udp import listen", "a room after its own"),
        ("_core.pyi", "from .ingest.udp import listen", "a room after its own"),
        ("ingest/udp.py", "from ..sinks.redis import Sink", "ingest must never import sinks"),
        ("sinks/redis.py", "from fastcount.ingest import udp", "sinks must never import ingest"),
        ("api/http.py", "from fastcount import sinks", "api must never import sinks"),
        ("api/http.py", "import fastcount.ingest.udp", "api must never import ingest"),
        ("client.py", "from ._core import Store", "client may import only"),
        ("packer.py", "import fastcount.config", "packer may import only"),
        ("packer.py", "import fastcount.client", "cycle"),
        ("client.py", "import httpx", "standard library"),
        ("__init__.py", "from ._core import Store", "__init__ may import only"),
        ("server.py", "from .cli import main", "a room after its own"),
        ("newcomer.py", "", "not placed"),
        ("native/newcomer.pxd", "", "not placed"),
        ("server.py", "from fastcount.nowhere import x", "does not exist"),
    ],
)
def test_a_backward_arrow_is_seen(path: str, text: str, complaint: str) -> None:
    house = BASE | {
        "__init__.py": "",
        "native/atomic.pxd": "",
        "native/hash.pxd": "",
        "native/table.pxd": "from .hll cimport y\n",
        "native/hll.pxd": "",
        "ingest/__init__.py": "",
        "ingest/udp.py": "",
        "sinks/__init__.py": "",
        "sinks/redis.py": "",
        "api/__init__.py": "",
        "packer.py": "",
        "client.py": "from .packer import Packer",
        "server.py": "",
        "cli.py": "from .server import serve\n",
    }
    assert faults(house) == []
    assert any(re.search(complaint, fault) for fault in faults(house | {path: text}))
