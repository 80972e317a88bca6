"""A real server and the real command line, as processes of their own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastcount

SOURCES = Path(fastcount.__file__).parents[1]
PATIENCE = 60.0


def environment(**extra: str) -> dict[str, str]:
    """Ours, without settings of fastcount, and with the package that is being tested."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("FASTCOUNT_")}
    path = os.pathsep.join(filter(None, (str(SOURCES), os.environ.get("PYTHONPATH"))))
    return kept | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"} | extra


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "fastcount", *arguments]


def fastcount_cli(*arguments: str, cwd: Path, stdin: bytes = b"", **extra: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end. No command may ever show a traceback."""
    done = subprocess.run(
        command(*arguments), cwd=cwd, env=environment(**extra), input=stdin, capture_output=True, timeout=PATIENCE
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done


class Running:
    """A server that said it is ready. log: its standard error so far, once it has ended."""

    def __init__(self, process: "subprocess.Popen[bytes]", card: dict[str, Any], errors: Path) -> None:
        self.process = process
        self.card = card
        self.http: str = card["http"]
        self.binary: str = card["binary"]
        self._errors = errors

    @property
    def udp(self) -> tuple[str, int]:
        host, _, port = self.binary.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def log(self) -> str:
        return self._errors.read_text()

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://{self.http}{path}", timeout=PATIENCE) as answer:
            return json.load(answer)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        return self.process.wait(PATIENCE)

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()


@contextlib.contextmanager
def serving(cwd: Path, *arguments: str, program: list[str] | None = None, **extra: str) -> Iterator[Running]:
    """A server on free ports. program: instead of `fastcount serve`, given the same arguments."""
    doors = [] if "--http" in arguments else ["--http", "127.0.0.1:0"]
    doors += [] if "--binary" in arguments else ["--binary", "127.0.0.1:0"]
    errors = cwd / f"stderr-{len(list(cwd.glob('stderr-*')))}"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            [*(program or command("serve")), "--ready-json", *doors, *arguments],
            cwd=cwd, env=environment(**extra), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr,
        )  # fmt: skip
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, f"the server did not start: {errors.read_text()}"
        yield Running(process, json.loads(line), errors)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()
