"""SipHash against its published vectors and the twin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcount.native.samples import BottomK, siphash24, siphash_packed
from twin import siphash

KEY = bytes(range(16))
# the reference implementation's vectors: key 00 01 … 0f, message 00 01 … of each length from 0 on
VECTORS = [
    0x726FDB47DD0E0E31, 0x74F839C593DC67FD, 0x0D6C8009D9A94F5A, 0x85676696D7FB7E2D, 0xCF2794E0277187B7,
    0x18765564CD99A68D, 0xCBC9466E58FEE3CE, 0xAB0200F58B01D137, 0x93F5F5799A932462,
]  # fmt: skip


def test_the_vector_of_the_paper() -> None:
    message = bytes(range(15))
    assert siphash24(KEY, message) == siphash.siphash24(KEY, message) == 0xA129CA6149BE45E5


@pytest.mark.parametrize(("length", "digest"), list(enumerate(VECTORS)))
def test_reference_vectors(length: int, digest: int) -> None:
    message = bytes(range(length))
    assert siphash24(KEY, message) == siphash.siphash24(KEY, message) == digest


def test_every_length_of_a_member() -> None:
    message = bytes(i * 37 & 255 for i in range(256))
    for length in range(257):
        assert siphash24(KEY, message[:length]) == siphash.siphash24(KEY, message[:length])


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=1, max_size=255))
def test_the_priority_is_its_upper_53_bits(secret: bytes, member: bytes) -> None:
    full = siphash.siphash24(secret, member)
    assert siphash24(secret, member) == full
    priority = BottomK(secret).priority(member)
    assert priority == full >> 11
    assert int(float(priority)) == priority
    assert siphash_packed(secret, bytes([len(member)]) + member) == priority


@pytest.mark.parametrize("secret", [b"", b"x" * 15, b"x" * 17])
def test_a_secret_of_another_length_is_refused(secret: bytes) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        siphash24(secret, b"m")
    with pytest.raises(ValueError, match="16 bytes"):
        BottomK(secret)
