"""Cumulative-histogram increments for Prometheus: seconds on fixed bounds."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

BOUNDS_SECONDS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    60.0,
    600.0,
    3600.0,
    21600.0,
    86400.0,
    604800.0,
)


class LatencyCounts:
    """`counts[i]`: values in (bounds[i−1], bounds[i]]; the last one: above all bounds. NaN is skipped."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_SECONDS) + 1)
        self.sum = 0.0

    def add(self, values: Iterable[float]) -> None:
        for value in values:
            if value == value:
                self.counts[bisect_left(BOUNDS_SECONDS, value)] += 1
                self.sum += value
