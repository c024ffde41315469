"""RMSE, MAE and R² from exact sums.

Promises: correctly rounded from the exact sums, so no order or merge changes a bit. R² is null where the target does
not vary: 1 − SSE/0 says nothing. Costs: a few divisions of big integers. Leaves to others: the sums
(sketches/regression.py).
"""

from __future__ import annotations

from fractions import Fraction
from math import isfinite, sqrt

from stream_monitor.events.names import MetricName, Status
from stream_monitor.metrics.figure import Figure, sampled
from stream_monitor.metrics.policy import MetricPolicy
from stream_monitor.sketches.regression import RegressionSums


def regression_figures(sums: RegressionSums, policy: MetricPolicy) -> list[Figure]:
    """Nothing where there are no rows."""
    n = sums.n
    if n <= 0:
        return []
    squared_errors = sums.squared_errors.total
    spread = sums.squared_actuals.total - sums.actuals.total**2 / n
    r2 = _rounded(1 - squared_errors / spread) if spread > 0 else None
    values = {
        MetricName.RMSE: _root(squared_errors / n),
        MetricName.MAE: _rounded(sums.absolute_errors.total / n),
        MetricName.R2: r2,
    }
    status = sampled(n, policy.min_samples)
    return [
        # Without a value there is nothing to judge, however many rows there are.
        Figure(metric, value, Status.INSUFFICIENT_DATA if value is None else status, n)
        for metric, value in values.items()
    ]


def _root(value: Fraction) -> float | None:
    rounded = _rounded(value)
    return sqrt(rounded) if rounded is not None and rounded >= 0 else None


def _rounded(value: Fraction) -> float | None:
    try:
        rounded = float(value)
    except OverflowError:  # errors beyond 1e154 square out of range
        return None
    return rounded if isfinite(rounded) else None
