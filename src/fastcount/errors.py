"""Every error fastcount raises on purpose. Catch `FastcountError` for all of them."""


class FastcountError(Exception):
    """Base class of all errors raised by fastcount."""


class ConfigError(FastcountError):
    """A setting is missing, malformed or contradicts another one; the message says which and what to do."""


class InvalidName(FastcountError, ValueError):
    """A type, id or member breaks the rules of the wire format.

    type: 1-64 bytes of ``[A-Za-z0-9_.-]``; id: 1-1,023 bytes of UTF-8 without control characters;
    member: 1-255 bytes of UTF-8 without control characters.
    """


class FrameError(FastcountError, ValueError):
    """A binary frame is malformed; nothing of it was applied.

    `code` is one of ``fastcount.wire.ERRORS``, `offset` the byte at which decoding stopped.
    """

    def __init__(self, code: str, offset: int, message: str = "") -> None:
        super().__init__(message or f"malformed frame: {code} at byte {offset}")
        self.code = code
        self.offset = offset


class SketchError(FastcountError, ValueError):
    """A serialised sketch is malformed; nothing of it was taken over. `offset` is the byte that shows it."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(f"{message} (at byte {offset})")
        self.offset = offset


class LimitReached(FastcountError):
    """A new name was refused because `max_counters`, `max_types` or `max_memory` is reached; it was counted."""

    def __init__(self, limit: str) -> None:
        super().__init__(
            f"refused: {limit} is reached; counters that exist go on counting. Raise it, or send fewer different names"
        )
        self.limit = limit
