from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stream_monitor.sketches.exact_sum import ExactSum

finite = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=50)


@given(finite)
@example([5e-324, -5e-324, 5e-324])
@example([1e308, 1e308, -1e308, 1e-300])
def test_the_total_is_the_sum_of_fractions(values: list[float]) -> None:
    exact = ExactSum()
    exact.update(np.array(values, np.float64))
    assert exact.total == sum(map(Fraction, values), Fraction())


@given(finite)
@example([5e-324, 1.7976931348623157e308])
@example([1e200, 1e-200, 3.0])
def test_squares_are_exact_where_floats_overflow_or_underflow(values: list[float]) -> None:
    exact = ExactSum()
    exact.update_squares(np.array(values, np.float64))
    assert exact.total == sum((Fraction(value) ** 2 for value in values), Fraction())


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=50))
def test_a_mean_is_rounded_once(values: list[float]) -> None:
    exact = ExactSum()
    exact.update(np.array(values, np.float64))
    assert exact.mean(len(values)) == float(exact.total / len(values))


@given(st.lists(st.floats(-1e300, 1e300), max_size=50))
def test_as_a_float_it_is_rounded_once_like_fsum(values: list[float]) -> None:
    exact = ExactSum()
    exact.update(np.array(values, np.float64))
    assert float(exact) == math.fsum(values)


def test_beyond_the_largest_float_it_is_infinite_but_not_lost() -> None:
    exact = ExactSum()
    exact.update(np.array([1.7e308, 1.7e308]))
    assert float(exact) == math.inf
    exact.update(np.array([-1.7e308]))
    assert float(exact) == 1.7e308


def test_many_values_at_once_are_exact_too() -> None:
    values = np.random.default_rng(1).lognormal(0, 3, 300_000)
    exact, squares = ExactSum(), ExactSum()
    exact.update(values)
    squares.update_squares(values)
    assert float(exact) == math.fsum(values)
    assert math.isclose(float(squares), math.fsum(values * values), rel_tol=1e-15)
    assert len(exact.to_bytes()) < 40


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_no_sum_can_take_back_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="finite values only"):
        ExactSum().update(np.array([1.0, bad]))
