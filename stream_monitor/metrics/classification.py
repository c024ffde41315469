"""Accuracy, precision, recall, F1 and the confusion matrix, from exact counts of (actual, predicted) pairs.

Promises: equal to scikit-learn's wherever that divides by more than zero; 0/0 is null. Costs: O(cells).
Leaves to others: which class a prediction without label is (events/outcome.py).

`n` is what the ratio is divided by, and decides the status: 1,000 rows with 4 of a class say little of its recall.
  accuracy   all pairs                     precision  predictions of the class
  recall     rows of the class             f1         rows that are of the class, or predicted so, or both
Binary: one figure, of the positive class. Multiclass: one a class and the macro mean (class null) over the classes
for which the ratio exists, with n and status of the least supported of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stream_monitor.events.metric import Cell
from stream_monitor.events.names import MetricName, Status
from stream_monitor.metrics.figure import Figure, sampled
from stream_monitor.metrics.policy import MetricPolicy
from stream_monitor.sketches.confusion import OTHER_CLASS

Pairs = Mapping[tuple[str, str], int]
RATIOS = (MetricName.PRECISION, MetricName.RECALL, MetricName.F1)


def classification_figures(pairs: Pairs, positive_class: str | None, policy: MetricPolicy) -> list[Figure]:
    """`pairs[(actual, predicted)]` rows; `positive_class` null for multiclass. Nothing where there are no rows."""
    pairs = {pair: count for pair, count in pairs.items() if count}
    if not pairs:
        return []
    figures = [_accuracy(pairs, policy)]
    if positive_class is not None:
        by_ratio = _ratios(pairs, positive_class, policy)
        figures.extend(by_ratio[name] for name in RATIOS)
    else:
        classes = sorted({name for pair in pairs for name in pair} - {OTHER_CLASS})
        by_class = {name: _ratios(pairs, name, policy, class_=name) for name in classes}
        for ratio in RATIOS:
            figures.append(macro([by_class[name][ratio] for name in classes], ratio))
            figures.extend(by_class[name][ratio] for name in classes)
    figures.append(_confusion_matrix(pairs, policy))
    return figures


def macro(figures: Sequence[Figure], metric: MetricName) -> Figure:
    """The mean over the classes that have a value; as good as the weakest of them."""
    valued = [figure for figure in figures if figure.value is not None]
    if not valued:
        return Figure(metric, None, Status.NO_DATA, n=0)
    enough = all(figure.status is Status.OK for figure in valued)
    bounds = [figure.error_bound for figure in valued if figure.error_bound is not None]
    return Figure(
        metric,
        value=sum(figure.value or 0.0 for figure in valued) / len(valued),
        status=Status.OK if enough else Status.INSUFFICIENT_DATA,
        n=min(figure.n for figure in valued),
        error_bound=sum(bounds) / len(valued) if bounds else None,
        schema_id=valued[0].schema_id,
    )


def _accuracy(pairs: Pairs, policy: MetricPolicy) -> Figure:
    n = sum(pairs.values())
    right = sum(count for (actual, predicted), count in pairs.items() if actual == predicted != OTHER_CLASS)
    # Beyond the limit of classes nobody knows which of the (other, other) pairs are right.
    unknown = pairs.get((OTHER_CLASS, OTHER_CLASS), 0)
    return Figure(
        MetricName.ACCURACY,
        value=(right + unknown / 2) / n if n > 0 else None,
        status=sampled(n, policy.min_samples),
        n=n,
        error_bound=unknown / 2 / n if unknown and n > 0 else None,
    )


def _ratios(pairs: Pairs, positive: str, policy: MetricPolicy, class_: str | None = None) -> dict[MetricName, Figure]:
    hits = pairs.get((positive, positive), 0)
    actual = sum(count for pair, count in pairs.items() if pair[0] == positive)
    predicted = sum(count for pair, count in pairs.items() if pair[1] == positive)
    either = actual + predicted - hits
    parts = {
        MetricName.PRECISION: (hits, predicted, predicted),
        MetricName.RECALL: (hits, actual, actual),
        MetricName.F1: (2 * hits, actual + predicted, either),
    }
    return {
        name: Figure(
            name,
            value=above / below if below > 0 else None,
            status=sampled(n, policy.min_samples),
            n=n,
            class_=class_,
        )
        for name, (above, below, n) in parts.items()
    }


def _confusion_matrix(pairs: Pairs, policy: MetricPolicy) -> Figure:
    n = sum(pairs.values())
    return Figure(
        MetricName.CONFUSION_MATRIX,
        value=None,
        status=sampled(n, policy.min_samples),
        n=n,
        cells=tuple(Cell(*pair, count) for pair, count in sorted(pairs.items())),
    )
