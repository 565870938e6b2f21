"""How long something took, many times over, in a few kilobytes however many they were."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

STEP = 50  # buckets per e-fold: each is 2 % wide
BUCKETS = STEP * 19  # from a microsecond to three minutes


class Latencies:
    """Counts of durations in buckets of 2 %."""

    def __init__(self, counts: Sequence[int] = ()) -> None:
        self.counts = array("q", counts or bytes(8 * BUCKETS))
        self.greatest = 0.0

    def add(self, seconds: float, number: int = 1) -> None:
        """Count *number* that took so long."""
        at = int(STEP * math.log(seconds * 1e6)) if seconds > 1e-6 else 0
        self.counts[min(at, BUCKETS - 1)] += number
        self.greatest = max(self.greatest, seconds)

    def merge(self, other: Latencies) -> None:
        for at, count in enumerate(other.counts):
            self.counts[at] += count
        self.greatest = max(self.greatest, other.greatest)

    @property
    def number(self) -> int:
        return sum(self.counts)

    def at(self, part: float) -> float:
        """Return the seconds, 2 % too many at most, below which *part* of all lie; not a number: there are none."""
        wanted = part * self.number
        below = 0
        for at, count in enumerate(self.counts):
            below += count
            if count and below >= wanted:
                return min(math.exp((at + 1) / STEP) / 1e6, self.greatest)
        return math.nan

    def summary(self) -> dict[str, float]:
        """Return the figures that one prints, in milliseconds."""
        parts = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999}
        out = {name: round(1000 * self.at(part), 3) for name, part in parts.items()}
        return out | {"max_ms": round(1000 * self.greatest, 3)}
