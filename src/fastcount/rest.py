"""A small client of our own HTTP API for the command line: standard library only, one connection kept open."""

import http.client
import json
from typing import Any
from urllib.parse import quote

from fastcount.address import HostPort
from fastcount.errors import FastcountError

Json = dict[str, Any]


class RestError(FastcountError):
    """The server said no. status: of HTTP; code: of the JSON error, or empty."""

    def __init__(self, message: str, status: int, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class UnreachableError(RestError):
    """No answer: nobody listens there, or it is no HTTP server, or it took too long."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 0)


def counter_path(type: str, id: str, verb: str = "") -> str:
    """``hits``, ``/a b`` → ``/v1/counter/hits/%2Fa%20b``"""
    return f"/v1/counter/{quote(type, safe='')}/{quote(id, safe='')}{verb}"


class Rest:
    """Requests to the server at `door`. timeout: seconds for each. Not thread-safe."""

    def __init__(self, door: HostPort, timeout: float = 10.0) -> None:
        self.door = door
        self._connection = http.client.HTTPConnection(door.host, door.port, timeout=timeout)

    def __enter__(self) -> "Rest":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens a new one."""
        self._connection.close()

    def get(self, path: str) -> Json:
        """GET `path`. Raises RestError, UnreachableError."""
        return self.request("GET", path)

    def request(self, method: str, path: str, body: bytes | None = None, content_type: str = "") -> Json:
        """One request, and the JSON object it answers with. Raises RestError, UnreachableError."""
        headers = {"content-type": content_type} if content_type else {}
        fresh = self._connection.sock is None
        try:
            status, data = self._exchange(method, path, body, headers)
        except (http.client.BadStatusLine, BrokenPipeError, ConnectionResetError) as error:
            # a kept connection may have been closed since; reads may be asked again
            self.close()
            if fresh or method != "GET":
                raise UnreachableError(self._said(error)) from None
            return self.request(method, path, body, content_type)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise UnreachableError(self._said(error)) from None
        try:
            answer = json.loads(data) if data else {}
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise UnreachableError(
                f"what answers at http://{self.door} is not fastcount: its answer is not a JSON object"
            )
        if status >= 400:
            code = str(answer.get("error", ""))
            raise RestError(f"{answer.get('message', 'no reason given')} ({status} {code})", status, code)
        return answer

    def _exchange(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        return response.status, response.read()

    def _said(self, error: Exception) -> str:
        if isinstance(error, ConnectionRefusedError):
            return f"nothing listens at http://{self.door}; is the server running? (fastcount serve)"
        if isinstance(error, TimeoutError):
            return f"http://{self.door} did not answer in time"
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return f"no answer from http://{self.door}: {reason}"
