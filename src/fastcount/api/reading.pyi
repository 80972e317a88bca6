"""The answers to a GET of one counter and of its uniques, built in C."""

from collections.abc import Callable
from typing import final

from fastcount.answers import Reading, Unique

@final
class Reader:
    """read: `Store.read`. unique: `Store.unique`. clock: Unix seconds, asked once a read."""

    def __init__(
        self,
        read: Callable[[bytes, bytes], Reading],
        unique: Callable[[bytes, bytes], Unique],
        clock: Callable[[], float],
    ) -> None: ...
    def stamp(self) -> bytes:
        """Now, as RFC 3339 in UTC with milliseconds."""
    def body(self, type_: bytes, id_: bytes, /) -> bytes:
        """The JSON of a counter. Raises InvalidName."""
    def unique_body(self, type_: bytes, id_: bytes, /) -> bytes:
        """The JSON of its uniques. Raises InvalidName."""
    def simple(self, data: bytes, block: bytes, head: bytes, /) -> bytes | None:
        """The whole answer to `data`, if that is ``GET /v1/counter/{type}/{id}[/unique] HTTP/1.1``, then `block`.

        block: what must follow the request line, byte for byte. head: status line and headers of the answer, without
        content-length. None: it is something else, or a name that is refused; `paths.split` and the bodies say which.
        """
