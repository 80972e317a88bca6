"""The edges of the store's memory and of its Python door."""

import pytest

from fastcount._core import Store


@pytest.mark.parametrize("more", [0, 1])
def test_an_arena_that_is_full_to_its_last_byte_is_drained(more: int) -> None:
    """2,047 entries of 32 bytes fill 64 KiB, less the 32 at its start, exactly. (That the drain read a word behind the
    bitmap shows under AddressSanitizer.)"""
    store = Store(shards=1)
    names = [b"%08d" % i for i in range(2047 + more)]
    for name in names:
        store.incr(b"t", name)
    assert sorted(store.swap()) == sorted(("t", name.decode(), 1) for name in names)
    assert len(store.swap()) == 0


def test_no_address_is_an_error_and_not_read_as_one() -> None:
    store = Store()
    with pytest.raises(TypeError, match="address"):
        store.apply(b"\xfc\x01\x00", None)  # type: ignore[arg-type]
    assert store.sources() == []


@pytest.mark.parametrize("delta", [1.5, 1.0, "1", None])
def test_a_delta_that_is_no_whole_number_is_an_error_and_not_rounded(delta: object) -> None:
    store = Store()
    with pytest.raises(TypeError):
        store.incr(b"t", b"a", delta)  # type: ignore[arg-type]
    assert store.read(b"t", b"a").value == 0
