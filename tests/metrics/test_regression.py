from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from stream_monitor.events.names import Status
from stream_monitor.metrics.policy import MetricPolicy
from stream_monitor.metrics.regression import regression_figures
from stream_monitor.sketches.regression import RegressionSums


def sums(actual: list[float], predicted: list[float]) -> RegressionSums:
    made = RegressionSums()
    made.update(np.array(actual, dtype=float), np.array(predicted, dtype=float))
    return made


def values(made: RegressionSums) -> list[float | None]:
    return [figure.value for figure in regression_figures(made, MetricPolicy())]


numbers = st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(numbers, numbers), min_size=2, max_size=50))
def test_figures_equal_scikit_learn(rows: list[tuple[float, float]]) -> None:
    actual, predicted = [a for a, _ in rows], [p for _, p in rows]
    rmse, mae, r2 = values(sums(actual, predicted))
    assert rmse == pytest.approx(root_mean_squared_error(actual, predicted), rel=1e-9)
    assert mae == pytest.approx(mean_absolute_error(actual, predicted), rel=1e-9)
    if np.ptp(actual) > 1e-3:
        assert r2 == pytest.approx(r2_score(actual, predicted), rel=1e-6, abs=1e-6)


def test_r2_is_null_where_the_target_does_not_vary() -> None:
    rmse, mae, r2 = regression_figures(sums([0.1] * 40, [0.3] * 40), MetricPolicy())
    assert (rmse.status, mae.status) == (Status.OK, Status.OK)
    assert rmse.value == pytest.approx(0.2)
    assert (r2.value, r2.status) == (None, Status.INSUFFICIENT_DATA)


def test_a_tiny_variation_beside_a_huge_mean_is_still_a_variation() -> None:
    actual = [1e9, 1e9 + 1e-3] * 20
    assert values(sums(actual, actual))[2] == 1.0


def test_few_rows_are_insufficient_and_none_give_no_figure() -> None:
    assert {f.status for f in regression_figures(sums([1, 2], [1, 3]), MetricPolicy())} == {Status.INSUFFICIENT_DATA}
    assert regression_figures(RegressionSums(), MetricPolicy()) == []


def test_errors_that_square_out_of_range_give_null_not_infinity() -> None:
    rmse, mae, _ = values(sums([0.0, 0.0], [1e200, 1e200]))
    assert (rmse, mae) == (None, 1e200)
