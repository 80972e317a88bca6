"""Bottom-k as its definition says it: sort everything seen, keep the first k."""

from collections.abc import Iterable

Row = tuple[int, bytes]


class TwinBottomK:
    """`rows` are (priority, member). What a generation changed is told from the samples at its two ends."""

    def __init__(self, k: int, rows: Iterable[Row] = (), full: bool = False) -> None:
        self.k = k
        self.rows: set[Row] = set()
        self.full = full  # more than k were seen
        self.at_cut: set[Row] = set()
        self.waiting: set[Row] = set()
        self._keep(rows)

    def _keep(self, rows: Iterable[Row]) -> None:
        union = sorted(self.rows | set(rows))
        self.full |= len(union) > self.k
        self.rows = set(union[: self.k])

    def offer(self, priority: int, member: bytes) -> bool:
        before = (priority, member) in self.rows
        self._keep([(priority, member)])
        return (priority, member) in self.rows and not before

    def merge(self, other: "TwinBottomK") -> int:
        before = self.rows
        self.k = min(self.k, other.k)
        self.full |= other.full
        self._keep(other.rows)
        return len(self.rows - before)

    def set_k(self, k: int) -> int:
        if k < self.k or not self.full:
            self.k = k
            self._keep(())
        return self.k

    def cut(self) -> None:
        """The generation ends: what it brought waits for the drain."""
        self.waiting = self.rows - self.at_cut
        self.at_cut = set(self.rows)

    def drain(self) -> list[Row]:
        waiting, self.waiting = self.waiting, set()
        return sorted(waiting)

    def members(self) -> list[Row]:
        return sorted(self.rows)

    def distinct(self) -> float:
        if not self.full:
            return len(self.rows)
        return max(self.k + 1, (self.k - 1) * 2**53 / (max(self.rows)[0] + 1))

    def to_bytes(self) -> bytes:
        head = bytes([1, self.full]) + self.k.to_bytes(2, "little") + len(self.rows).to_bytes(2, "little")
        return head + b"".join(p.to_bytes(8, "little") + bytes([len(m)]) + m for p, m in self.members())
