"""A drained generation."""

from collections.abc import Iterator
from typing import final

@final
class Batch:
    """A consistent cut: everything applied between two swaps. Columns of equal length, an entry a changed name."""

    generation: int  # number of the swap, from 0
    types: tuple[str, ...]  # `type_index` indexes this
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[tuple[str, str, int]]: ...  # (type, id, delta); 0 where only sketches changed
    def sketches(self) -> Iterator[tuple[str, str, dict[int, int], list[tuple[int, bytes]]]]:
        """(type, id, {register: rank} that rose, [(priority, member)] that entered the sample)."""
    def events(self) -> Iterator[tuple[str, int, list[tuple[str, bytes, int]]]]:
        """(type, HITs seen, [(id, member, Unix milliseconds)]): a uniform sample of the HITs of each type."""
