"""Keyed BLAKE2b with 16-byte tags, as frames are checked with (RFC 7693); a door for tests and benches."""

def tag(key: bytes, message: bytes, repeat: int = 1) -> bytes:
    """The 16-byte keyed BLAKE2b of `message`. Raises ValueError unless the key has 1..64 bytes.
    `repeat`: how often to compute it, for measuring."""

def tag_at_once(key: bytes, message: bytes) -> bytes:
    """The same without a prepared key."""

def same(a: bytes, b: bytes) -> bool:
    """Whether two tags are equal, in constant time. Raises ValueError unless both have 16 bytes."""
