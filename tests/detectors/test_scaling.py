from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.detectors.scaling import RangeScale, Standard


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
def test_the_range_of_the_first_values_becomes_zero_to_one(values: list[float]) -> None:
    scale = RangeScale(warmup=10)
    fed = [scaled for value in values for scaled in scale.offer(value)]
    if not fed:
        return
    assert len(fed) == len(values)
    first = next(n for n in range(10, len(values) + 1) if len(set(values[:n])) > 1)
    low, high = min(values[:first]), max(values[:first])
    assert fed == [(value - low) / (high - low) for value in values]


def test_errors_of_zero_and_one_stay_as_they_are() -> None:
    values = [0.0] * 150 + [1.0, 0.0, 1.0]
    scale = RangeScale(warmup=100)
    assert [scaled for value in values for scaled in scale.offer(value)] == values


@given(st.lists(st.integers(-1_000, 1_000).map(float), min_size=5, max_size=40))
def test_standardised_values_equal_numpy_over_what_came_before(values: list[float]) -> None:
    scale, earlier = Standard(warmup=4), list[float]()
    for at, value in enumerate(values):
        fed = scale.offer(value)
        if at < 4:
            assert fed == []
        elif np.ptp(earlier) > 0:
            mean, deviation = np.mean(earlier), np.std(earlier)
            scaled = np.clip((value - mean) / deviation, -10, 10)
            assert fed == pytest.approx([scaled], rel=1e-6, abs=1e-6)
            value = mean + scaled * deviation
        else:
            assert fed == ([0.0] if value == earlier[0] else [])
        earlier.append(value)


def test_one_absurd_value_does_not_blind() -> None:
    rng = np.random.default_rng(0)
    scale = Standard(warmup=100)
    for value in rng.normal(size=500):
        scale.offer(value)
    assert scale.offer(1e90) == [10.0]
    assert scale.offer(3.0)[0] > 2.5
