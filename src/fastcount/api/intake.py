"""Reads request bodies of FastAPI routes within bounds: per body, and in memory over all requests at once."""

from typing import Final

from starlette.requests import ClientDisconnect, Request

from fastcount.api.responses import CLOSE, Answer, error

# A client that is still sending cannot read the answer, and closing on it would reset the connection: so what is too
# long is read and dropped first, up to here.
DRAIN: Final = 64 << 20
MAX_BUFFERED: Final = 256 << 20  # bytes of all bodies being received


class Intake:
    """One for all requests of an app."""

    def __init__(self) -> None:
        self.buffered = 0

    async def body(self, request: Request, limit: int) -> bytes | Answer:
        """The whole body if it has at most `limit` bytes, or the Answer to give instead."""
        declared = int(request.headers.get("content-length", "0"))
        if declared > limit and (declared > DRAIN or "expect" in request.headers):
            return too_large(limit, close=True)
        chunks: list[bytes] = []
        size = 0
        try:
            async for chunk in request.stream():
                size += len(chunk)
                if size > DRAIN:
                    return too_large(limit, close=True)
                if size > limit:
                    self._release(chunks)
                    continue
                if self.buffered + len(chunk) > MAX_BUFFERED:
                    return error(
                        503,
                        "busy",
                        "too many request bodies are being received; try again in a second",
                        extra=((b"retry-after", b"1"), CLOSE),
                    )
                chunks.append(chunk)
                self.buffered += len(chunk)
            return too_large(limit) if size > limit else b"".join(chunks)
        except ClientDisconnect:
            return error(400, "disconnected", "the connection ended inside the body")  # nobody reads it
        finally:
            self._release(chunks)

    def _release(self, chunks: list[bytes]) -> None:
        self.buffered -= sum(map(len, chunks))
        chunks.clear()


def too_large(limit: int, *, close: bool = False) -> Answer:
    size = f"{limit >> 20} MiB" if limit >= 1 << 20 else f"{limit >> 10} KiB"
    return error(
        413,
        "body_too_large",
        f"the body is larger than {size} ({limit:,} bytes); send it in several requests",
        extra=(CLOSE,) if close else (),
        limit=limit,
    )
