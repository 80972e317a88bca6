"""What batches say so far, merged, beside what plain sets say of the same members."""

from collections import defaultdict
from collections.abc import Iterable

from fastcount._batch import Batch
from fastcount.native.hyperloglog import murmur64a
from fastcount.native.samples import BottomK
from twin.hll import place

Name = tuple[bytes, bytes]


class Places:
    """(register, rank) and priority of each member, worked out once. Both hashes have twins and tests of their own."""

    def __init__(self, secret: bytes) -> None:
        self._priority = BottomK(secret).priority
        self._known: dict[bytes, tuple[int, int, int]] = {}

    def of(self, member: bytes) -> tuple[int, int, int]:
        if member not in self._known:
            self._known[member] = (*place(murmur64a(member)), self._priority(member))
        return self._known[member]


class Merged:
    """Batches merged as a sink would: deltas added up, the maximum of a register, the union of members."""

    def __init__(self) -> None:
        self.values: defaultdict[Name, int] = defaultdict(int)
        self.registers: defaultdict[Name, dict[int, int]] = defaultdict(dict)
        self.members: defaultdict[Name, set[tuple[int, bytes]]] = defaultdict(set)
        self.seen: defaultdict[bytes, int] = defaultdict(int)  # HITs per type

    def add(self, batch: Batch) -> set[Name]:
        """Names whose sketches changed."""
        for type, id, delta in batch:
            self.values[type.encode(), id.encode()] += delta
        changed = set()
        for type, id, registers, members in batch.sketches():
            name = type.encode(), id.encode()
            changed.add(name)
            mine = self.registers[name]
            for register, rank in registers.items():
                mine[register] = max(mine.get(register, 0), rank)
            self.members[name].update(members)
        for type, seen, _ in batch.events():
            self.seen[type.encode()] += seen
        return changed

    def sample(self, name: Name, k: int) -> list[bytes]:
        return [member for _, member in sorted(self.members[name])[:k]]


class Known:
    """The same from the members themselves."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.registers: defaultdict[Name, dict[int, int]] = defaultdict(dict)
        self.offered: defaultdict[Name, set[tuple[int, bytes]]] = defaultdict(set)

    def add(self, name: Name, members: Iterable[bytes]) -> None:
        registers, offered = self.registers[name], self.offered[name]
        for member in members:
            register, rank, priority = self.places.of(member)
            registers[register] = max(registers.get(register, 0), rank)
            offered.add((priority, member))

    def members(self, name: Name) -> set[bytes]:
        return {member for _, member in self.offered[name]}

    def sample(self, name: Name, k: int) -> list[bytes]:
        return [member for _, member in sorted(self.offered[name])[:k]]
