"""docs/stats.md has every key that a real server answers with, and no other."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running import Running, fastcount_cli, serving

DOCS = Path(__file__).parents[2] / "docs"
ROW = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)
# Dictionaries whose keys are names, and how the documentation writes those.
NAMED = {
    "store.types": "{type}",
    "store.malformed": "{error}",
    "store.verdicts": "{verdict}",
    "store.sources.gone": "{book}",
    "totals": "{book}",
}
CONTAINERS = {"store", "udp[]"}  # rows that point to a table of their own


def documented() -> list[str]:
    keys: list[str] = []
    for section in re.split(r"^## ", (DOCS / "stats.md").read_text(), flags=re.MULTILINE)[1:]:
        title = section.splitlines()[0]
        inside = re.fullmatch(r"`(.+)`", title)
        keys += [f"{inside[1]}.{key}" if inside else key for key in ROW.findall(section)]
    return keys


def leaves(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        assert value, f"{name} is empty: nothing would be compared"
        for key, inner in value.items():
            key = NAMED.get(name, key)
            yield from leaves(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        assert value, f"{name} is empty: nothing would be compared"
        for inner in value:
            yield from leaves(inner, f"{name}[]")
    else:
        yield name


@pytest.fixture(params=["0", "1"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    """One that has something in every list: it holds one name, and has refused another."""
    with serving(tmp_path, "--udp-workers", request.param, "--max-counters", "1") as running:
        doors = {"FASTCOUNT_HTTP": running.http, "FASTCOUNT_BINARY": running.binary}
        for name, told in (("a", ""), ("b", ", 1 refused by a limit")):
            done = fastcount_cli("send", "hits", name, "--member", "kim", cwd=tmp_path, **doors)
            assert done.stdout.decode() == f"1 sent, 1 received, 0 lost{told}\n"
        yield running


def test_every_key(server: Running) -> None:
    stats = server.get("/v1/stats")
    ledger = server.get("/v1/sources")
    found = documented()
    assert sorted(set(found)) == sorted(found)
    assert set(found) - CONTAINERS == {*leaves(stats), *leaves(ledger)}


def test_names_that_stand_for_keys(server: Running) -> None:
    stats = server.get("/v1/stats")["store"]
    ledger = server.get("/v1/sources")
    text = (DOCS / "stats.md").read_text()
    verdicts = re.search(r"by what the ledger said: (.*) \|", text)
    assert verdicts
    assert re.findall(r"`(\w+)`", verdicts[1]) == list(stats["verdicts"])
    rows = [key.removeprefix("sources[].") for key in documented() if key.startswith("sources[].")]
    books = rows[rows.index("frames") : rows.index("malformed") + 1]
    assert books == list(stats["sources"]["gone"]) == list(ledger["totals"])
    errors = re.findall(r"^\| `(\w+)` \|", (DOCS / "wire-format.md").read_text(), re.MULTILINE)
    assert list(stats["malformed"]) == [error for error in errors if error in stats["malformed"]]


def test_what_the_refused_look_like(server: Running) -> None:
    store = server.get("/v1/stats")["store"]
    assert store["refused"] == {"max_counters": 1, "max_memory": 0, "max_types": 0}
    assert store["types"] == {"hits": {"counters": 1, "refused": 1}}
    assert store["refused_prefixes"] == [{"prefix": "b", "type": "hits", "refused": 1, "over_by_at_most": 0}]
    assert store["events"] == {"seen": 1, "refused": 0}  # what is refused is no event


def test_malformed_frames_are_counted_at_the_door_and_in_the_ledger(server: Running) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"\x00", server.udp)
        address = "{}:{}".format("127.0.0.1", sock.getsockname()[1])
        while not (store := server.get("/v1/stats")["store"])["malformed"]["magic"]:
            pass
        assert store["frames"] == server.get("/v1/stats")["udp"][0]["frames"] - 1
        rows = [row for row in server.get("/v1/sources")["sources"] if row["address"] == address]
        assert [(row["source"], row["frames"], row["malformed"]) for row in rows] == [(None, 0, 1)]
