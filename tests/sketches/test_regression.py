from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.sketches.regression import RegressionSums

value = st.floats(-1e300, 1e300)


@given(st.lists(st.tuples(value, value)))
def test_all_sums_are_exact(pairs: list[tuple[float, float]]) -> None:
    sums = RegressionSums()
    sums.update(np.array([a for a, _ in pairs]), np.array([p for _, p in pairs]))
    errors = [Fraction(p - a) for a, p in pairs]
    assert sums.n == len(pairs)
    assert sums.errors.total == sum(errors, Fraction())
    assert sums.absolute_errors.total == sum(map(abs, errors), Fraction())
    assert sums.squared_errors.total == sum((e * e for e in errors), Fraction())
    assert sums.actuals.total == sum((Fraction(a) for a, _ in pairs), Fraction())
    assert sums.squared_actuals.total == sum((Fraction(a) ** 2 for a, _ in pairs), Fraction())


def test_an_error_beyond_the_largest_float_is_clamped_not_lost() -> None:
    sums = RegressionSums()
    sums.update(np.array([-1.7e308]), np.array([1.7e308]))
    assert float(sums.errors) == float(np.finfo(np.float64).max)
