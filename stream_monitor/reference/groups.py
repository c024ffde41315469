"""The bins that PSI compares: unions of a feature's slots, and which slots these are.

The only place that knows which slot belongs to which group, which is novel, missing or invalid, so that the
reference's side and the window's side cannot differ.
"""

from __future__ import annotations

from dataclasses import dataclass

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
class Places:
    """Slots of a feature's slice (BinLayout.slice): of each PsiBin, of what the reference lacks, of what is outside its
    range, of what is absent."""

    groups: tuple[tuple[int, ...], ...]
    novel: tuple[int, ...]  # discrete: values the reference lacks; categorical: unseen; continuous: none
    outside: tuple[int, ...]  # numeric, below minimum or above maximum; in groups or novel too
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


def places(feature: Feature) -> Places:
    """How a feature's slots fold into its groups."""
    if isinstance(feature, CategoricalFeature):
        unseen = len(feature.categories) + 1
        groups = tuple(tuple(range(low, high)) for low, high in feature.psi_groups)
        novel = (*_others(unseen, groups), unseen)
        return Places(groups, novel, (), unseen + 1, unseen + 2)
    missing = len(feature.edges) + 1
    # A discrete feature's bins are one float wide: an empty one between two values is no value of the reference.
    groups = tuple(
        tuple(i for i in range(low, high) if not feature.discrete or feature.counts[i] > 0)
        for low, high in feature.psi_groups
    )
    outside: tuple[int, ...] = ()
    if feature.minimum is not None and feature.maximum is not None:
        # A maximum that is the largest float has no edge above it, and nothing finite lies beyond it.
        outside = (0, missing - 1) if feature.edges[-1] > feature.maximum else (0,)
    return Places(groups, _others(missing, groups), outside, missing, missing + 1)


def _others(valid: int, groups: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    grouped = {slot for group in groups for slot in group}
    return tuple(slot for slot in range(valid) if slot not in grouped)


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
