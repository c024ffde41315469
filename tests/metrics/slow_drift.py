"""Oracle: the figures of one feature after the other, from its slice of the counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_monitor.events.metric import Bin
from stream_monitor.events.names import MetricName, ReferenceKind
from stream_monitor.metrics.comparison import LEAST_ABSENT
from stream_monitor.metrics.drift import no_reference
from stream_monitor.metrics.figure import Figure, sampled
from stream_monitor.metrics.policy import MetricPolicy
from stream_monitor.reference.features import CategoricalFeature, Feature, NumericFeature
from stream_monitor.reference.groups import PsiBin, psi_bins
from stream_monitor.reference.layout import bin_layout
from stream_monitor.reference.profile import Profile
from stream_monitor.sketches.bins import OUTPUT
from tests.metrics.slow_psi import psi
from tests.reference.slow_fold import Folded, fold

Counts = NDArray[np.int64]


def drift_figures(counts: Counts, profile: Profile, policy: MetricPolicy) -> list[Figure]:
    layout = bin_layout(profile)
    figures = []
    if profile.output is not None:
        folded = fold(profile.output, counts[layout.slice(OUTPUT)])
        figures.append(_index(MetricName.PSI, None, profile.output, folded, profile, policy))
    for feature in profile.features:
        figures.extend(_feature_figures(feature, counts[layout.slice(feature.name)], profile, policy))
    return figures


def _feature_figures(feature: Feature, slots: Counts, profile: Profile, policy: MetricPolicy) -> list[Figure]:
    """`csi` of one input feature and its ratios."""
    folded = fold(feature, slots)
    n = int(slots.sum())
    valid = n - folded.missing - folded.invalid
    ratios = [(MetricName.MISSING_RATIO, folded.missing, n), (MetricName.INVALID_RATIO, folded.invalid, n)]
    if isinstance(feature, NumericFeature):
        if feature.minimum is not None:
            ratios.append((MetricName.OUT_OF_RANGE_RATIO, folded.out_of_range, valid))
    elif not feature.open_vocabulary:
        ratios.append((MetricName.UNSEEN_RATIO, folded.novel, valid))
    index = _index(MetricName.CSI, feature.name, feature, folded, profile, policy)
    return [index, *(_ratio(name, feature.name, rows, of, profile, policy) for name, rows, of in ratios)]


def _ratio(metric: MetricName, feature: str, rows: int, of: int, profile: Profile, policy: MetricPolicy) -> Figure:
    return Figure(
        metric,
        value=rows / of if of > 0 else None,
        status=sampled(of, policy.min_samples),
        n=of,
        feature=feature,
        schema_id=profile.schema_id,
    )


def _index(
    metric: MetricName, name: str | None, feature: Feature, window: Folded, profile: Profile, policy: MetricPolicy
) -> Figure:
    bins, rows, novel = _sides(feature, window)
    n = sum(rows) + (novel or 0)
    if not bins:
        return no_reference(metric, name, n, profile)
    reference = [side.count for side in bins]
    if n == 0:
        found = None
        listed: tuple[Bin, ...] = ()
    else:
        found = psi(np.array(reference, np.int64), np.array(rows, np.int64), novel)
        total = found.n_reference
        listed = tuple(
            Bin(side.label, side.low, side.high, side.count / total, count / n, term)
            for side, count, term in zip(bins, rows, found.contributions, strict=True)
        )
        if novel:
            listed = (*listed, Bin("novel", None, None, 0.0, novel / n, found.novel_contribution))
    return Figure(
        metric,
        value=None if found is None else found.value,
        status=sampled(n, policy.min_samples),
        n=n,
        feature=name,
        n_reference=sum(reference),
        null_band=None if found is None else found.null_band,
        p_value=None if found is None else found.p_value,
        bins=listed,
        reference_id=profile.id,
        reference_kind=ReferenceKind(profile.kind),
        schema_id=profile.schema_id,
    )


def _sides(feature: Feature, window: Folded) -> tuple[list[PsiBin], list[int], int | None]:
    """The reference's bins and the window's rows in them, absent ones last, all in the order of the index; and the
    rows of the novel bin, null where there is none."""
    bins: list[PsiBin] = []
    rows: list[int] = []
    novel = window.novel if isinstance(feature, CategoricalFeature) or feature.discrete else None
    for side, actual in zip(psi_bins(feature), window.groups.tolist(), strict=True):
        if side.count > 0:
            bins.append(side)
            rows.append(actual)
        else:  # builders make no such group; whatever falls in one is what the reference lacks
            novel = (novel or 0) + actual
    for label, expected, actual in (
        ("missing", feature.missing, window.missing),
        ("invalid", feature.invalid, window.invalid),
    ):
        if expected >= LEAST_ABSENT:
            bins.append(PsiBin(label, None, None, expected))
            rows.append(actual)
    return bins, rows, novel
