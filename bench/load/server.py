"""A real server: `python -m fastcount serve`, as a user starts it, on a core of its own."""

import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import fastcount
from bench.load import process


class Server:
    """Runs while the context lasts. http, binary: (host, port). pid. `options`: more words for `serve`.

    Started in an empty directory and without FASTCOUNT_ variables, so that no setting of the user's comes in.
    """

    def __init__(self, core: int, *options: str, patience: float = 30) -> None:
        self._core, self._options, self._patience = core, options, patience

    def __enter__(self) -> "Server":
        # the context ends what it opened, one by one, in __exit__
        self._directory = tempfile.TemporaryDirectory(prefix="fastcount-bench-")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FASTCOUNT_")}
        package = str(Path(fastcount.__file__).resolve().parents[1])
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
        command = [sys.executable, "-m", "fastcount", "serve", "--ready-json", "--udp-workers", "1"]
        command += ["--binary", "127.0.0.1:0", "--http", "127.0.0.1:0", *self._options]
        self._log = open(Path(self._directory.name) / "stderr", "w+")
        self._process = process.spawn(
            command, self._core, stdout=subprocess.PIPE, stderr=self._log, cwd=self._directory.name, env=environment
        )
        try:
            ready = self._ready()
        except BaseException:
            self._close()
            raise
        self.pid = self._process.pid
        self.http, self.binary = _address(ready["http"]), _address(ready["binary"])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        words = self._close()
        if kind is None and self._process.returncode != 0:
            raise RuntimeError(f"the server ended with {self._process.returncode}: {words}")

    def _ready(self) -> dict[str, str]:
        assert self._process.stdout
        late = threading.Timer(self._patience, self._process.kill)
        late.start()
        try:
            for line in self._process.stdout:
                if line.startswith("{"):
                    ready: dict[str, str] = json.loads(line)
                    return ready
        finally:
            late.cancel()
        raise RuntimeError(f"the server did not get ready within {self._patience:.0f} s: {self._said()}")

    def _said(self) -> str:
        self._log.seek(0)
        return self._log.read()[-4000:]

    def _close(self) -> str:
        process.stop(self._process)
        words = self._said()
        self._log.close()
        self._directory.cleanup()
        return words

    def get(self, path: str) -> Any:
        """The JSON answer of GET `path`. RuntimeError unless it is 200."""
        return self._ask("GET", path)

    def post(self, path: str) -> Any:
        return self._ask("POST", path)

    def _ask(self, method: str, path: str) -> Any:
        connection = http.client.HTTPConnection(*self.http, timeout=30)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{method} {path} was answered with {answer.status}: {body[:500]!r}")
            return json.loads(body)
        finally:
            connection.close()

    def cpu_seconds(self) -> float:
        return process.cpu_seconds(self.pid)

    def rss_bytes(self) -> int:
        return process.rss_bytes(self.pid)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)
