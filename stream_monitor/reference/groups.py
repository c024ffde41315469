"""The bins that PSI compares: unions of a feature's slots, and how counted slots fold into them.

The only place that knows which slot belongs to which group, which is novel, missing or invalid, so that the
reference's side and the window's side cannot differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_monitor.events.scalars import canonical_scalar
from stream_monitor.reference.features import CategoricalFeature, Feature, NumericFeature


@dataclass(frozen=True, slots=True)
class PsiBin:
    """One group: `label` for people, `low` and `high` of [low, high) (None: open, or no range), reference rows."""

    label: str
    low: float | None
    high: float | None
    count: int


@dataclass(frozen=True, slots=True)
class Folded:
    """A window's counts: one per PsiBin, then what the reference lacks, what is outside its range, what is absent."""

    groups: NDArray[np.int64]
    novel: int  # discrete: values the reference lacks; categorical: unseen; continuous: always 0
    out_of_range: int  # numeric, below minimum or above maximum; counted in groups or novel too
    missing: int
    invalid: int


def psi_bins(feature: Feature) -> tuple[PsiBin, ...]:
    """The reference's groups, in order; empty if the reference had no valid row."""
    if isinstance(feature, CategoricalFeature):
        names = (*feature.categories, "other")
        counts = (*feature.counts, feature.other)
        rest = len(feature.categories)
        return tuple(
            PsiBin("other" if low == rest else "=" + "|".join(names[low:high]), None, None, sum(counts[low:high]))
            for low, high in feature.psi_groups
        )
    return tuple(_numeric_bin(feature, low, high) for low, high in feature.psi_groups)


def fold(feature: Feature, slots: NDArray[np.int64]) -> Folded:
    """Folds a feature's slice of a counts vector (BinLayout.slice) into its groups."""
    if isinstance(feature, CategoricalFeature):
        valid = slots[:-3]
        groups = [int(valid[low:high].sum()) for low, high in feature.psi_groups]
        novel = int(slots[-3]) + int(valid.sum()) - sum(groups)
        return Folded(np.array(groups, np.int64), novel, 0, int(slots[-2]), int(slots[-1]))
    valid = slots[:-2]
    seen = valid * (np.array(feature.counts) > 0) if feature.discrete else valid
    groups = [int(seen[low:high].sum()) for low, high in feature.psi_groups]
    outside = 0
    if feature.minimum is not None and feature.maximum is not None:
        # A maximum that is the largest float has no edge above it, and nothing finite lies beyond it.
        outside = int(valid[0]) + (int(valid[-1]) if feature.edges[-1] > feature.maximum else 0)
    novel = int(valid.sum()) - sum(groups)
    return Folded(np.array(groups, np.int64), novel, outside, int(slots[-2]), int(slots[-1]))


def _numeric_bin(feature: NumericFeature, low: int, high: int) -> PsiBin:
    edges = feature.edges
    count = sum(feature.counts[low:high])
    if feature.discrete:
        values = [edges[i - 1] for i in range(low, high) if feature.counts[i]]
        return PsiBin("=" + "|".join(map(canonical_scalar, values)), values[0], values[-1], count)
    start = edges[low - 1] if low > 0 else None
    end = edges[high - 1] if high <= len(edges) else None
    label = f"{'(-inf' if start is None else '[' + _short(start)},{'inf' if end is None else _short(end)})"
    return PsiBin(label, start, end, count)


def _short(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.6g}"
