"""AUC, Gini and KS separation from binned scores, with the error that binning can have made.

Promises: the figure of the unbinned scores lies within value ± error_bound. Costs: O(bins). Leaves to others: the
edges (reference/: 256 of the class-balanced reference mixture keep the bounds near 0.002).

With pᵢ, qᵢ the shares of positives and negatives in bin i, pairs within a bin are taken as ties:
  AUC   Σᵢ pᵢ·(Σⱼ﹤ᵢ qⱼ + ½qᵢ)        bound ½Σpᵢqᵢ      (all pairs of a bin ordered one way or the other)
  Gini  2·AUC − 1                    bound Σpᵢqᵢ
  KS    maxᵢ |Σⱼ≤ᵢ pⱼ − Σⱼ≤ᵢ qⱼ|     bound maxᵢ max(pᵢ, qᵢ)   (the maximum may lie inside a bin)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_monitor.events.names import MetricName, Status
from stream_monitor.metrics.figure import Figure
from stream_monitor.metrics.policy import MetricPolicy

RANKING_METRICS = (MetricName.AUC_ROC, MetricName.GINI, MetricName.KS_SEPARATION)


@dataclass(frozen=True, slots=True)
class Ranking:
    auc: float
    auc_bound: float
    ks: float
    ks_bound: float


def ranking(counts: NDArray[np.int64]) -> Ranking | None:
    """`counts` (2, bins): negatives and positives by rising score. Null where a class has no rows."""
    totals = counts.sum(axis=1)
    if totals.min() <= 0:
        return None
    q, p = counts / totals[:, None]
    below = np.cumsum(q) - q
    gaps = np.abs(np.cumsum(p) - np.cumsum(q))
    return Ranking(
        auc=float(min(1.0, p @ (below + q / 2))),
        auc_bound=float(p @ q) / 2,
        ks=float(min(1.0, gaps.max())),
        ks_bound=float(max(p.max(), q.max())),
    )


def ranking_figures(
    counts: NDArray[np.int64], policy: MetricPolicy, *, class_: str | None = None, schema_id: str | None = None
) -> list[Figure]:
    """AUC, Gini and KS of one class against the rest, in this order; `insufficient_data` where either side has fewer
    than `min_per_class` rows."""
    negatives, positives = (int(total) for total in counts.sum(axis=1))
    n = negatives + positives
    if n <= 0:
        return []
    enough = min(negatives, positives) >= policy.min_per_class and n >= policy.min_samples
    found = ranking(counts)
    values: tuple[tuple[float, float], ...] | None = None
    if found is not None:
        auc, bound = found.auc, found.auc_bound
        values = (auc, bound), (2 * auc - 1, 2 * bound), (found.ks, found.ks_bound)
    return [
        Figure(
            metric,
            value=values[at][0] if values else None,
            status=Status.OK if enough else Status.INSUFFICIENT_DATA,
            n=n,
            class_=class_,
            error_bound=values[at][1] if values else None,
            schema_id=schema_id,
        )
        for at, metric in enumerate(RANKING_METRICS)
    ]
