"""A real redis-server for a test: own directory, own socket, nothing on disk, ended by its process object."""

import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis


@contextmanager
def redis_server(*options: str, port: int = 0) -> Iterator[redis.Redis]:
    """A client of a fresh server on a Unix socket; with `port`, on 127.0.0.1:`port` as well.

    options: as on redis-server's command line, for example ``"--appendonly", "yes"``. Raises RuntimeError, with the
    server's own words, if it does not start.
    """
    program = shutil.which("redis-server")
    if program is None:
        raise RuntimeError("redis-server is not installed: apt install redis-server")
    with tempfile.TemporaryDirectory(prefix="fastcount-redis-") as directory:
        socket = Path(directory, "redis.sock")  # short: a socket's path is at most 107 bytes
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--unixsocket", str(socket)]
        command += ["--dir", directory, "--save", "", "--appendonly", "no", "--daemonize", "no", *options]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert server.stdout is not None
        said: list[str] = []
        try:
            for line in server.stdout:  # it says so when it listens
                said.append(line)
                if "ready to accept connections" in line.lower():
                    break
            else:
                raise RuntimeError("redis-server did not start:\n" + "".join(said))
            # what it says later must be read as well, or a full pipe stops it
            threading.Thread(target=said.extend, args=(server.stdout,), daemon=True).start()
            with redis.Redis(unix_socket_path=str(socket)) as client:
                client.ping()
                yield client
        finally:
            server.terminate()
            server.wait(timeout=20)
