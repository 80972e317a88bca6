"""The tour of the README, taken as it is written: every command, every answer (… stands for anything)."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import PATIENCE, Running, environment, serving

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
ACTIVATE = ". .venv/bin/activate"  # the one command that is done in another way here


def steps() -> Iterator[tuple[str, str]]:
    """(command, output) of each prompt, and (program, empty) of each piece of Python."""
    for kind, block in re.findall(r"^```(console|python)\n(.*?)^```", README, re.MULTILINE | re.DOTALL):
        if kind == "python":
            yield block, ""
            continue
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = step.partition("\n")
            yield command, output


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with serving(tmp_path) as running:
        yield running


def shell(server: Running, folder: Path) -> dict[str, str]:
    """An environment where `fastcount` is what is being tested, and asks the server that runs here."""
    program = folder / "bin" / "fastcount"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m fastcount "$@"\n')
    program.chmod(0o755)
    path = os.pathsep.join((str(program.parent), os.environ["PATH"]))
    doors = {"FASTCOUNT_HTTP": server.http, "FASTCOUNT_BINARY": server.binary}
    return environment(PATH=path, NO_PROXY="127.0.0.1", **doors)


def test_the_tour(server: Running, tmp_path: Path) -> None:
    env = shell(server, tmp_path)
    taken = list(steps())
    assert taken[0] == (ACTIVATE, "")
    assert re.search(r"^VENV \?= \.venv$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for step, expected in taken[1:]:
        here = step.replace("127.0.0.1:8127", server.http).replace("8128", str(server.udp[1]))
        python = "\n" in here
        command = [sys.executable, "-c", here] if python else ["bash", "-c", here]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, (step, done.stderr.decode())
        pattern = ".*".join(re.escape(part) for part in expected.strip().split("…"))
        assert re.fullmatch(pattern, done.stdout.decode().strip(), re.DOTALL), (step, done.stdout.decode())
        while python and not all(row["settled"] for row in server.get("/v1/sources")["sources"] if row["source"]):
            pass  # what it sent last is still on its way
