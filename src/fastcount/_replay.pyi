"""Decoding and applying apart from sockets and ledger."""

from fastcount._core import Store

def bench_apply(store: Store, frames: list[bytes], rounds: int) -> tuple[float, float, int]:
    """Decode and apply frames again and again, without the ledger: (seconds decoding, seconds applying, records).
    For bench/. Raises FrameError."""
