"""Native keyed BLAKE2b against hashlib's."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcount.native import blake2

keys = st.binary(min_size=1, max_size=64)
edges = st.sampled_from([0, 1, 127, 128, 129, 255, 256, 257, 383, 384, 385])


def oracle(key: bytes, message: bytes) -> bytes:
    return hashlib.blake2b(message, digest_size=16, key=key).digest()


@given(keys, st.one_of(st.binary(max_size=600), edges.flatmap(lambda n: st.binary(min_size=n, max_size=n))))
def test_any_message(key: bytes, message: bytes) -> None:
    assert blake2.tag(key, message) == oracle(key, message)
    assert blake2.tag_at_once(key, message) == oracle(key, message)


@pytest.mark.parametrize("key", [b"k", b"0123456789abcdef", bytes(range(63)), bytes(64)], ids=len)
def test_every_length_over_several_blocks(key: bytes) -> None:
    message = bytes(i * 7 & 255 for i in range(530))
    for length in range(531):
        assert blake2.tag(key, message[:length]) == oracle(key, message[:length]), length


def test_the_longest_frame() -> None:
    message = bytes(range(256)) * 4096
    assert blake2.tag(b"secret", message) == oracle(b"secret", message)


@pytest.mark.parametrize("key", [b"", bytes(65)], ids=len)
def test_a_key_of_another_length_is_refused(key: bytes) -> None:
    with pytest.raises(ValueError, match=r"1\.\.64 bytes"):
        blake2.tag(key, b"m")
    with pytest.raises(ValueError, match=r"1\.\.64 bytes"):
        blake2.tag_at_once(key, b"m")


def test_a_tag_differs_in_any_bit() -> None:
    tag = blake2.tag(b"k", b"m")
    assert blake2.same(tag, bytes(tag))
    for bit in range(128):
        other = bytearray(tag)
        other[bit // 8] ^= 1 << bit % 8
        assert not blake2.same(tag, bytes(other)), bit
    with pytest.raises(ValueError, match="16 bytes"):
        blake2.same(tag, tag[:15])
