"""All figures of a closed (or revised) window, from the merged pane of its series.

Promises: a pure function of its arguments; the same pane, profile and policies give the same figures in the same
order, whichever way the pane was merged. Costs: about 10 µs a feature. Leaves to others: which panes form a window,
the watermark, revisions, ids, detectors.
"""

from __future__ import annotations

from stream_monitor.events.names import MetricName, Status
from stream_monitor.events.policy import OutcomePolicy, Task
from stream_monitor.metrics.classification import classification_figures, macro
from stream_monitor.metrics.comparison import Comparison
from stream_monitor.metrics.drift import drift_figures, no_reference
from stream_monitor.metrics.figure import Figure, sampled
from stream_monitor.metrics.labels import label_count_figures
from stream_monitor.metrics.policy import MetricPolicy
from stream_monitor.metrics.ranking import RANKING_METRICS, ranking_figures
from stream_monitor.metrics.regression import regression_figures
from stream_monitor.metrics.timing import latency_figures
from stream_monitor.reference.profile import Profile
from stream_monitor.sketches.pane import LabelPane, PredictionPane
from stream_monitor.sketches.raw import RawFeature


def prediction_figures(pane: PredictionPane, comparison: Comparison | None, policy: MetricPolicy) -> list[Figure]:
    """Figures of a window of predictions, by prediction time. An empty one gives only `predictions` 0. `comparison`:
    with the model's profile, null where there is none (yet)."""
    if pane.n == 0:
        return [Figure(MetricName.PREDICTIONS, 0.0, Status.NO_DATA, n=0)]
    figures = [Figure(MetricName.PREDICTIONS, float(pane.n), Status.OK, pane.n)]
    figures.extend(_drift_figures(pane, comparison, policy))
    if pane.latency is not None and pane.latency_sum is not None:
        figures.extend(latency_figures(pane.latency, pane.latency_sum, policy))
    return figures


def label_figures(
    pane: LabelPane,
    profile: Profile | None,
    outcome: OutcomePolicy,
    policy: MetricPolicy,
    pending: int | None,
) -> list[Figure]:
    """Figures of a window of labels, by either time basis. `pending`: labels awaited at the window's end, null where
    unknown. `labels_orphaned` comes where the pane counts labels: in the model-wide one."""
    figures = label_count_figures(pane, policy, pending)
    if outcome.task is Task.REGRESSION:
        if pane.errors is not None:
            figures.extend(regression_figures(pane.errors, policy))
        return figures
    positive = outcome.positive_class if outcome.task is Task.BINARY else None
    if pane.confusion is not None:
        figures.extend(classification_figures(pane.confusion.counts, positive, policy))
    figures.extend(_ranking(pane, positive, profile, policy))
    return figures


def _drift_figures(pane: PredictionPane, comparison: Comparison | None, policy: MetricPolicy) -> list[Figure]:
    if comparison is None:
        return [no_reference(MetricName.PSI, None, pane.n, None), *_raw_ratios(pane, policy)]
    profile = comparison.profile
    counts = pane.binned.get(profile.schema_id)
    # Each event adds exactly one to each feature's slots: fewer than n means that some fell on other bins.
    if counts is None or not comparison.holds(counts, pane.n):
        missing = [no_reference(MetricName.PSI, None, pane.n, profile)]
        missing.extend(no_reference(MetricName.CSI, f.name, pane.n, profile) for f in profile.features)
        return missing
    figures = drift_figures(counts, comparison, policy)
    if profile.output is None:
        figures.insert(0, no_reference(MetricName.PSI, None, pane.n, profile))
    return figures


def _raw_ratios(pane: PredictionPane, policy: MetricPolicy) -> list[Figure]:
    """Missing and invalid shares need no reference, only that every row was counted raw."""
    if pane.raw is None or pane.binned:
        return []
    status = sampled(pane.n, policy.min_samples)
    figures: list[Figure] = []
    for name in sorted(pane.raw):
        ratios = _absent(pane.raw[name], pane.n)
        figures.extend(Figure(metric, share, status, pane.n, feature=name) for metric, share in ratios)
    return figures


def _absent(raw: RawFeature, n: int) -> tuple[tuple[MetricName, float], tuple[MetricName, float]]:
    missing = n - raw.numbers - raw.texts.total - raw.invalid
    return (MetricName.MISSING_RATIO, missing / n), (MetricName.INVALID_RATIO, raw.invalid / n)


def _ranking(pane: LabelPane, positive: str | None, profile: Profile | None, policy: MetricPolicy) -> list[Figure]:
    """AUC, Gini, KS need one set of bins, not a reference: any schema will do, two in one window will not."""
    scored = {schema: part.counts for schema, part in pane.scores.items() if not part.is_empty}
    if len(scored) > 1:
        return [
            Figure(metric, None, Status.NO_REFERENCE, pane.joined, schema_id=profile.schema_id if profile else None)
            for metric in RANKING_METRICS
        ]
    figures: list[Figure] = []
    for schema, counts in scored.items():
        if positive is not None:
            if positive in counts:
                figures.extend(ranking_figures(counts[positive], policy, schema_id=schema))
            continue
        by_class = {
            class_: ranking_figures(counts[class_], policy, class_=class_, schema_id=schema)
            for class_ in sorted(counts)
        }
        for at, metric in enumerate(RANKING_METRICS):
            of_metric = [found[at] for found in by_class.values() if found]
            if of_metric:
                figures.append(macro(of_metric, metric))
                figures.extend(of_metric)
    return figures
