"""What README and docs speak of is there: routes, commands and their options, variables, make targets, files."""

import re
import sys
from pathlib import Path

import pytest
import typer.main

from fastcount._core import Store
from fastcount.api.http import create_app
from fastcount.cli import app as cli
from fastcount.config import OTHER_VARIABLES, Settings, variable_of

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "bench" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = pytest.mark.parametrize("text", [page.read_text() for page in PAGES], ids=[page.name for page in PAGES])
APP = create_app(Store(max_counters=1), started=0.0, udp_stats=list)
PAGES_SERVED = {route.path for route in APP.routes if not route.include_in_schema}  # type: ignore[attr-defined]
MENTION = re.compile(r"(?:\b(GET|POST|DELETE|PUT) )?(/(?:v1/|healthz|openapi\.json)[^\s?`'\")\],;|]*)(\?[^\s`'\")]*)?")
COMMANDS = typer.main.get_command(cli).commands  # type: ignore[attr-defined]


def operations() -> dict[tuple[str, str], set[str]]:
    """(method, path) → names of its query parameters, of every route in the schema."""
    return {
        (method.upper(), path): {p["name"] for p in said.get("parameters", ()) if p["in"] == "query"}
        for path, item in APP.openapi()["paths"].items()
        for method, said in item.items()
    }


def route_of(method: str, path: str) -> tuple[str, str] | None:
    """The route that answers a path, which may be a template itself."""
    for known_method, known in operations():
        shape = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(known))
        if method in ("", known_method) and re.fullmatch(shape, path):
            return known_method, known
    return None


@TEXTS
def test_routes_exist(text: str) -> None:
    for method, path, query in MENTION.findall(text):
        path = path.rstrip(".…")
        if path in PAGES_SERVED:
            continue
        if query.startswith("?id="):  # the other way to say which counter
            path = re.sub(r"^(/v1/counter/[^/]+)", r"\1/id", path)
            query = ""
        route = route_of(method, path)
        assert route, f"{method} {path}: no such route"
        asked = {pair.partition("=")[0] for pair in query[1:].split("&") if pair}
        assert asked <= operations()[route], f"{path}{query}: it takes {sorted(operations()[route])}"


def test_the_readme_has_every_route() -> None:
    assert len(MENTION.findall(README)) > 20
    rows = re.findall(r"^\| `(GET|POST|DELETE|PUT) (\S+)` \|", README, re.MULTILINE)
    assert sorted(rows) == sorted(operations())


def test_the_readme_has_every_command() -> None:
    row = next(line for line in README.splitlines() if line.startswith("| command line |"))
    named = [name.removeprefix("fastcount ") for name in re.findall(r"`([a-z ]+)`", row)]
    assert sorted(named) == sorted(COMMANDS)


@TEXTS
def test_commands_and_options_exist(text: str) -> None:
    for name, rest in re.findall(r"(?:^(?:\$| {4}) *|`)fastcount ([a-z]+)([^`\n|]*)", text, re.MULTILINE):
        assert name in COMMANDS, f"fastcount {name}: no such command"
        known = {flag for option in COMMANDS[name].params for flag in (*option.opts, *option.secondary_opts)}
        used = set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", rest))
        assert used <= known, f"fastcount {name} {rest}: it takes {sorted(known)}"


@TEXTS
def test_variables_exist(text: str) -> None:
    known = {variable_of(name) for name in Settings.model_fields} | OTHER_VARIABLES
    kubernetes = {"FASTCOUNT_SERVICE_HOST", "FASTCOUNT_PORT"}
    assert set(re.findall(r"\bFASTCOUNT_[A-Z_]+\b", text)) <= known | kubernetes


@TEXTS
def test_make_targets_and_parts_of_the_bench_exist(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    from bench.__main__ import PARTS

    targets = re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"(?:`|^ {4})make ([a-z]+)", text, re.MULTILINE)) <= set(targets)
    assert set(re.findall(r"make bench ARGS='--only ([a-z]+)", text)) <= set(PARTS)


def anchors(page: Path) -> set[str]:
    """As a forge makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_file(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(file), f"{page.name}: {target}"
