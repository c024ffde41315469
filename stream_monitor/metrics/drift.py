"""PSI and CSI figures, and the quality ratios, of all features of a window from its counted slots.

Promises: both sides fall into the same frozen bins; the index is that of metrics/psi.py. Costs: 8 µs a feature.
Leaves to others: which slots belong to which bin (metrics/comparison.py).

Ratios: missing and invalid by all rows; unseen and out_of_range by rows with a valid value. A feature with an open
vocabulary has no `unseen_ratio`: its reference cannot tell what it lacks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from stream_monitor.events.metric import Bin, NullBand
from stream_monitor.events.names import MetricName, ReferenceKind, Status
from stream_monitor.metrics.comparison import Comparison, OfFeature, Side, Window
from stream_monitor.metrics.figure import Figure, sampled
from stream_monitor.metrics.policy import MetricPolicy
from stream_monitor.metrics.psi import psi
from stream_monitor.reference.features import Feature, NumericFeature
from stream_monitor.reference.profile import Profile
from stream_monitor.sketches.bins import OUTPUT

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


class IndexBins(Sequence[Bin]):
    """The bins of one index, made when they are asked for: they would take more than all else of a window's figures.

    `shares` and `terms` are those of all indices, flat; this one's begin at `start`. `novel` comes last, if any.
    """

    __slots__ = ("_novel", "_shares", "_side", "_start", "_terms")

    def __init__(self, side: Side, shares: Floats, terms: Floats, start: int, novel: Bin | None) -> None:
        self._side, self._shares, self._terms, self._start, self._novel = side, shares, terms, start, novel

    def __len__(self) -> int:
        return len(self._side.bins) + (self._novel is not None)

    @overload
    def __getitem__(self, at: int) -> Bin: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Bin, ...]: ...
    def __getitem__(self, at: int | slice) -> Bin | tuple[Bin, ...]:
        return self._made()[at]

    def __iter__(self) -> Iterator[Bin]:
        return iter(self._made())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._made() == tuple(other)

    def __hash__(self) -> int:
        return hash(self._made())

    def _made(self) -> tuple[Bin, ...]:
        mine = slice(self._start, self._start + len(self._side.bins))
        bins = map(Bin, *self._side.columns, self._shares[mine].tolist(), self._terms[mine].tolist())
        return tuple(bins) if self._novel is None else (*bins, self._novel)


def drift_figures(counts: Counts, comparison: Comparison, policy: MetricPolicy) -> list[Figure]:
    """`psi` of the model's output, where it has one, then `csi` of each feature and its ratios. `counts`: of
    profile.schema_id."""
    window = comparison.window(counts)
    indices = _indices(window, comparison, policy)
    figures: list[Figure] = []
    profile = comparison.profile
    rows = map(OfFeature, *(column.tolist() for column in window.features))
    for side, found in zip(comparison.sides, rows, strict=True):
        index = next(indices) if side.bins else no_reference(*_name(side), found.novel, profile)
        if index.metric is MetricName.PSI:
            figures.insert(0, index)
        else:
            figures.append(index)
            figures.extend(_ratios(side.feature, found, profile.schema_id, policy))
    return figures


def no_reference(metric: MetricName, feature: str | None, n: int, profile: Profile | None) -> Figure:
    """An index without anything to compare with: no profile yet, or rows on two schemas in one window."""
    return Figure(
        metric,
        value=None,
        status=Status.NO_REFERENCE,
        n=n,
        feature=feature,
        reference_id=None if profile is None else profile.id,
        reference_kind=None if profile is None else ReferenceKind(profile.kind),
        schema_id=None if profile is None else profile.schema_id,
    )


def _indices(window: Window, comparison: Comparison, policy: MetricPolicy) -> Iterator[Figure]:
    """The index of each feature that has one."""
    if comparison.indexed.size == 0:
        return
    profile, references = comparison.profile, comparison.references
    kind = ReferenceKind(profile.kind)
    novel = window.novel[comparison.indexed]
    found = psi(references, window.bins, novel)
    shares = window.bins / np.maximum(found.n, 1)[references.of_bin]
    sides = [comparison.sides[i] for i in comparison.indexed.tolist()]
    columns = (found.value, found.n, found.band_mean, found.band_p95, found.p_value, novel, found.novel_contribution)
    end = 0
    for side, value, n, mean, p95, p_value, novel_n, novel_term in zip(
        sides, *(column.tolist() for column in columns), strict=True
    ):
        start, end = end, end + len(side.bins)
        novel_bin = Bin("novel", None, None, 0.0, novel_n / n, novel_term) if novel_n else None
        metric, name = _name(side)
        yield Figure(
            metric,
            value=value if n else None,
            status=sampled(n, policy.min_samples),
            n=n,
            feature=name,
            n_reference=side.n,
            null_band=NullBand(mean, p95) if n else None,
            p_value=p_value if n else None,
            bins=IndexBins(side, shares, found.contributions, start, novel_bin) if n else (),
            reference_id=profile.id,
            reference_kind=kind,
            schema_id=profile.schema_id,
        )


def _name(side: Side) -> tuple[MetricName, str | None]:
    name = side.feature.name
    return (MetricName.PSI, None) if name == OUTPUT else (MetricName.CSI, name)


def _ratios(feature: Feature, found: OfFeature, schema_id: str, policy: MetricPolicy) -> list[Figure]:
    n, valid = found.rows, found.rows - found.missing - found.invalid
    ratios = [(MetricName.MISSING_RATIO, found.missing, n), (MetricName.INVALID_RATIO, found.invalid, n)]
    if isinstance(feature, NumericFeature):
        if feature.minimum is not None:
            ratios.append((MetricName.OUT_OF_RANGE_RATIO, found.outside, valid))
    elif not feature.open_vocabulary:
        ratios.append((MetricName.UNSEEN_RATIO, found.unseen, valid))
    return [
        Figure(
            metric,
            value=rows / of if of > 0 else None,
            status=sampled(of, policy.min_samples),
            n=of,
            feature=feature.name,
            schema_id=schema_id,
        )
        for metric, rows, of in ratios
    ]
