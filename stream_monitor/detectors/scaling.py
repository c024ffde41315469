"""Signals brought to the scale their detector was made for.

ADWIN's bound holds for values in [0, 1]; Page-Hinkley's delta and threshold mean nothing without the signal's
standard deviation. Residuals in euros, errors of 0/1 and scores then share one set of defaults.

Promises: `offer` gives the values to feed, in order. Costs: O(1) a value, at most `warmup` values kept.
Leaves to others: NaN, infinities and values whose squares overflow (detector.py skips them).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite, sqrt

_MOST = 2**53  # counted one by one, no stream comes there


@dataclass(slots=True)
class RangeScale:
    """Maps the range of the first `warmup` values to [0, 1], so that 0/1 errors stay as they are.

    While all values are equal the range is unknown: they are counted, up to `MAX_WAITING`, and fed as 0 or, if
    the first different one is smaller, as 1. More than that cannot matter to a window that must find a change.
    """

    warmup: int
    constant: float = 0.0  # the first value, seen `repeats` times before any other
    repeats: int = 0
    waiting: list[float] = field(default_factory=list)
    low: float = 0.0
    span: float = 0.0

    MAX_WAITING = 10_000

    def offer(self, value: float) -> list[float]:
        if self.span > 0.0:
            return [(value - self.low) / self.span]
        if not self.waiting and (self.repeats == 0 or value == self.constant):
            self.constant = value
            self.repeats = min(self.repeats + 1, self.MAX_WAITING)
            return []
        self.waiting.append(value)
        if self.repeats + len(self.waiting) < self.warmup:
            return []
        self.low = min(self.constant, *self.waiting)
        self.span = max(self.constant, *self.waiting) - self.low
        fed = [(self.constant - self.low) / self.span] * self.repeats
        fed.extend((value - self.low) / self.span for value in self.waiting)
        self.waiting = []
        return fed

    def is_sound(self, warmup: int) -> bool:
        """False for a state that no values lead to, such as one read from broken bytes."""
        numbers = (self.constant, self.low, self.span, *self.waiting)
        return (
            self.warmup == warmup
            and 0 <= self.repeats <= self.MAX_WAITING
            and len(self.waiting) < max(warmup, 1)
            and all(map(isfinite, numbers))
            and self.span >= 0.0
            and (not self.waiting or self.waiting[0] != self.constant)
        )


@dataclass(slots=True)
class Standard:
    """(value − mean) ÷ standard deviation of all earlier values (Welford), from the `warmup`-th value on, within
    ±MAX_DEVIATIONS; what lies beyond is taken for that far out in mean and deviation too.

    The deviation keeps learning: one frozen after the warm-up is off by 1/√(2·warmup) for good, and for rare errors by
    far more. The limit keeps two errors after 20,000 right answers, or one absurd residual, from being a change, and
    the latter from blinding the detector.
    """

    warmup: int
    n: int = 0
    mean: float = 0.0
    m2: float = 0.0

    MAX_DEVIATIONS = 10.0

    def offer(self, value: float) -> list[float]:
        fed: list[float] = []
        if self.n >= self.warmup:
            deviation = sqrt(self.m2 / self.n)
            if deviation > 0.0:
                scaled = max(-self.MAX_DEVIATIONS, min(self.MAX_DEVIATIONS, (value - self.mean) / deviation))
                value = self.mean + scaled * deviation
                fed.append(scaled)
            elif value == self.mean:
                fed.append(0.0)
        self.n += 1
        step = value - self.mean
        self.mean += step / self.n
        self.m2 += step * (value - self.mean)
        return fed

    def is_sound(self, warmup: int) -> bool:
        """As RangeScale.is_sound."""
        return (
            self.warmup == warmup and 0 <= self.n < _MOST and isfinite(self.mean) and isfinite(self.m2) and self.m2 >= 0
        )
