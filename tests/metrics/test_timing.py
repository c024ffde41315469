from __future__ import annotations

import numpy as np
import pytest

from stream_monitor.events.names import Status
from stream_monitor.metrics.policy import MetricPolicy
from stream_monitor.metrics.timing import LABEL_DELAY, latency_figures, percentile_figures
from stream_monitor.sketches.ddsketch import DDSketch
from stream_monitor.sketches.exact_sum import ExactSum


def test_percentiles_lie_within_their_error_bound_and_the_mean_is_exact() -> None:
    seconds = np.random.default_rng(3).lognormal(-4, 1, 5_000)
    sketch, total = DDSketch(), ExactSum()
    sketch.update(seconds)
    total.update(seconds)
    p50, p95, p99, mean = latency_figures(sketch, total, MetricPolicy())
    for figure, q in ((p50, 0.5), (p95, 0.95), (p99, 0.99)):
        assert figure.value is not None
        assert figure.error_bound is not None
        assert abs(figure.value - np.quantile(seconds, q, method="lower")) <= figure.error_bound
        assert figure.error_bound <= 0.0102 * figure.value
    assert mean.value == pytest.approx(seconds.mean(), rel=1e-12)
    assert (mean.n, mean.status, mean.error_bound) == (5_000, Status.OK, None)


def test_nothing_measured_gives_no_figure_and_few_are_insufficient() -> None:
    sketch = DDSketch()
    assert percentile_figures(sketch, LABEL_DELAY, MetricPolicy()) == []
    assert latency_figures(sketch, ExactSum(), MetricPolicy()) == []
    sketch.update(np.array([-3.0]))  # a label before its prediction
    (p50, _) = percentile_figures(sketch, LABEL_DELAY, MetricPolicy())
    assert p50.value == pytest.approx(-3.0, rel=0.01)
    assert p50.status is Status.INSUFFICIENT_DATA
