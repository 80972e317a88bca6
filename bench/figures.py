"""A measured figure beside what it is held against."""

from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

Detail = dict[str, Any]


@dataclass
class Figure:
    """part: which part of the bench. value: in `unit`. against: what stands beside it (a bound or a peer), with its
    value in the same unit, or None. target: what the value is meant to reach, in the same unit, or None.
    less: small values are good. detail: everything else that was measured, for the JSON.
    """

    part: str
    name: str
    value: float
    unit: str
    against: str = ""
    against_value: float | None = None
    target: float | None = None
    less: bool = False
    detail: Detail = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        return self.value / self.against_value if self.against_value else None

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None without one."""
        if self.target is None:
            return None
        return self.value <= self.target if self.less else self.value >= self.target

    def to_json(self) -> Detail:
        return {**asdict(self), "ratio": self.ratio, "met": self.met}


def middle(runs: list[Detail], key: str) -> Detail:
    """The run with the median of `key` (of an even number, the lower one)."""
    ordered = sorted(runs, key=lambda run: run[key])
    return ordered[(len(ordered) - 1) // 2]


def spread(values: list[float]) -> float:
    """(largest - smallest) / median: how much to trust a figure."""
    return (max(values) - min(values)) / median(values)
