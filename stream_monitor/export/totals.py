"""Counters and histograms since the process started: immutable, only growing, of bounded size.

Promises: a total never decreases; label sets beyond `limit` a family count under "__other__", so nothing is lost.
Costs: one copy of a family's map per addition, O(label sets). Leaves to others: which commit to add.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from stream_monitor.export.commits import HistogramIncrement
from stream_monitor.export.names import Family

OVERFLOW = "__other__"
Labels = tuple[str, ...]
_Value = TypeVar("_Value", covariant=True)


class Increments(Protocol[_Value]):
    """A mapping from label values; not `Mapping`, which would refuse keys of a known length."""

    def items(self) -> Iterable[tuple[Labels, _Value]]: ...


@dataclass(frozen=True, slots=True)
class Totals:
    """`counters` and `histograms`: family name → label values → total so far."""

    limit: int
    counters: Mapping[str, Mapping[Labels, float]] = field(default_factory=dict)
    histograms: Mapping[str, Mapping[Labels, HistogramIncrement]] = field(default_factory=dict)

    def count(self, family: Family, increments: Increments[float]) -> Totals:
        """New totals with the increments added; a negative one is refused, a counter never goes back."""
        held = dict(self.counters.get(family.name, {}))
        for labels, increment in increments.items():
            if increment < 0:
                raise ValueError(f"{family.name}{labels} must only grow, found an increment of {increment}")
            key = self._key(family, labels, held)
            held[key] = held.get(key, 0) + increment
        return Totals(self.limit, {**self.counters, family.name: held}, self.histograms)

    def observe(self, family: Family, increments: Increments[HistogramIncrement]) -> Totals:
        held = dict(self.histograms.get(family.name, {}))
        for labels, increment in increments.items():
            if len(increment.counts) != len(family.buckets) + 1:
                raise ValueError(
                    f"{family.name} has {len(family.buckets) + 1} buckets, found {len(increment.counts)} counts"
                )
            key = self._key(family, labels, held)
            held[key] = held[key].plus(increment) if key in held else increment
        return Totals(self.limit, self.counters, {**self.histograms, family.name: held})

    def _key(self, family: Family, labels: Labels, held: Mapping[Labels, object]) -> Labels:
        if len(labels) != len(family.labels):
            raise ValueError(f"{family.name} has labels {family.labels}, found {labels}")
        if labels in held or len(held) < self.limit:
            return labels
        return (OVERFLOW,) * len(labels)
