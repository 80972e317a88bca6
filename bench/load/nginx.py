"""nginx as the bound of HTTP on one core: one worker, `return 200` with a given body."""

import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

from bench.load import process

CONFIG = """\
daemon off;
worker_processes 1;
pid {directory}/pid;
error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    server_tokens off;
    keepalive_requests 1000000000;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    default_type application/json;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{ return 200 '{body}'; }}
    }}
}}
"""


def find() -> str:
    """Path of nginx, which Debian keeps out of a user's PATH. RuntimeError if it is not installed."""
    path = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if not path:
        raise RuntimeError("nginx is not installed: apt-get install nginx-light")
    return path


class Nginx:
    """Runs on `core` while the context lasts and answers every request with `body`. http: (host, port)."""

    def __init__(self, core: int, body: str) -> None:
        if set(body) & set("'$\\\n"):
            raise ValueError(f"{body!r} does not stand in nginx's configuration as it is")
        self._core, self._body = core, body

    def __enter__(self) -> "Nginx":
        self._directory = tempfile.TemporaryDirectory(prefix="fastcount-bench-nginx-")
        path = Path(self._directory.name)
        self.http = ("127.0.0.1", process.free_port())
        config = path / "nginx.conf"
        config.write_text(CONFIG.format(directory=path, port=self.http[1], body=self._body))
        path.chmod(0o755)  # a worker that drops its rights still finds its directories
        self._process = process.spawn(
            [find(), "-p", str(path), "-c", str(config)], self._core, stdin=subprocess.DEVNULL
        )
        try:
            process.wait_for_port(self._process, *self.http)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._close()

    def cpu_seconds(self) -> float:
        """Of the master and its worker."""
        return process.tree_cpu_seconds(self._process.pid)

    def _close(self) -> None:
        process.stop(self._process)
        self._directory.cleanup()
