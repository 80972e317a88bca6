"""A Python door to blake2.pxd, for tests and benches; who needs a tag in Python has `hashlib.blake2b`."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize


def tag(key: bytes, message: bytes, repeat: int = 1) -> bytes:
    """The 16-byte keyed BLAKE2b of `message`. Raises ValueError unless the key has 1..64 bytes.
    `repeat`: how often to compute it, for measuring."""
    cdef blake2b_key_t k
    cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(message)
    cdef uint8_t *to
    cdef size_t n = len(message), _i, times = repeat
    if blake2b_start(&k, <const uint8_t *>PyBytes_AS_STRING(key), len(key)) < 0:
        raise ValueError(f"a key has 1..64 bytes, not {len(key)}")
    out = PyBytes_FromStringAndSize(NULL, BLAKE2B_TAG)
    to = <uint8_t *>PyBytes_AS_STRING(out)
    with nogil:
        for _i in range(times):
            blake2b_sign(&k, at, n, to)
    return out


def tag_at_once(key: bytes, message: bytes) -> bytes:
    """The same without a prepared key."""
    out = PyBytes_FromStringAndSize(NULL, BLAKE2B_TAG)
    if blake2b_tag(<const uint8_t *>PyBytes_AS_STRING(key), len(key), <const uint8_t *>PyBytes_AS_STRING(message),
                   len(message), <uint8_t *>PyBytes_AS_STRING(out)) < 0:
        raise ValueError(f"a key has 1..64 bytes, not {len(key)}")
    return out


def same(a: bytes, b: bytes) -> bool:
    """Whether two tags are equal, in constant time. Raises ValueError unless both have 16 bytes."""
    if len(a) != BLAKE2B_TAG or len(b) != BLAKE2B_TAG:
        raise ValueError("a tag has 16 bytes")
    return blake2b_same(<const uint8_t *>PyBytes_AS_STRING(a), <const uint8_t *>PyBytes_AS_STRING(b))
