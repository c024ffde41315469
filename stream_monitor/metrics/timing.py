"""Latency and label delay: percentiles from a DDSketch and the exact mean, in seconds.

Promises: the lower empirical quantile lies within value ± error_bound (the sketch's relative accuracy, 1 %).
Costs: O(occupied bins). Leaves to others: the sketch (sketches/ddsketch.py).
"""

from __future__ import annotations

from stream_monitor.events.names import MetricName
from stream_monitor.metrics.figure import Figure, sampled
from stream_monitor.metrics.policy import MetricPolicy
from stream_monitor.sketches.ddsketch import SMALLEST, DDSketch
from stream_monitor.sketches.exact_sum import ExactSum

LATENCY = ((MetricName.LATENCY_P50, 0.5), (MetricName.LATENCY_P95, 0.95), (MetricName.LATENCY_P99, 0.99))
LABEL_DELAY = ((MetricName.LABEL_DELAY_P50, 0.5), (MetricName.LABEL_DELAY_P95, 0.95))


def percentile_figures(
    sketch: DDSketch, percentiles: tuple[tuple[MetricName, float], ...], policy: MetricPolicy
) -> list[Figure]:
    """Nothing where the sketch is empty."""
    n = sketch.count
    if n <= 0:
        return []
    status = sampled(n, policy.min_samples)
    figures = []
    for metric, q in percentiles:
        value = sketch.quantile(q)
        bound = None if value is None else _bound(value, sketch.relative_accuracy)
        figures.append(Figure(metric, value, status, n, error_bound=bound))
    return figures


def latency_figures(sketch: DDSketch, total: ExactSum, policy: MetricPolicy) -> list[Figure]:
    figures = percentile_figures(sketch, LATENCY, policy)
    if figures:
        n = figures[0].n
        figures.append(Figure(MetricName.LATENCY_MEAN, total.mean(n), figures[0].status, n))
    return figures


def _bound(estimate: float, accuracy: float) -> float:
    """|estimate − x| ≤ accuracy·|x| for the true x, said in terms of the estimate; 0 stands for |x| < 1e-9."""
    return abs(estimate) * accuracy / (1 - accuracy) if estimate else SMALLEST
