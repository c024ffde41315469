from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.sketches.ddsketch import LARGEST, SMALLEST, DDSketch

QUANTILES = [0, 0.01, 0.25, 0.5, 0.75, 0.95, 0.99, 1]

rng = np.random.default_rng(7)
DISTRIBUTIONS = {
    "normal": rng.normal(size=5000),
    "lognormal": rng.lognormal(0, 3, 5000),
    "negative lognormal": -rng.lognormal(0, 3, 5000),
    "uniform": rng.uniform(-1, 1, 5000),
    "constant": np.full(100, 42.0),
    "zeros and ones": rng.integers(0, 2, 1000).astype(float),
    "integers": np.arange(-500, 500.0),
    "pareto": rng.pareto(1, 5000) + 1,
    "bimodal": np.concatenate([rng.normal(-1e6, 1, 500), rng.normal(1e6, 1, 500)]),
    "latencies": rng.exponential(0.02, 5000),
    "one value": np.array([3.7]),
}


@pytest.mark.parametrize("accuracy", [0.05, 0.01, 0.001])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_quantiles_are_within_the_promised_relative_error(name: str, accuracy: float) -> None:
    values = DISTRIBUTIONS[name]
    sketch = DDSketch(accuracy)
    sketch.update(values)
    assert sketch.count == len(values)
    ordered = np.sort(values)
    for q in QUANTILES:
        exact = ordered[math.floor(q * (len(values) - 1))]
        estimate = sketch.quantile(q)
        assert estimate is not None
        assert abs(estimate - exact) <= accuracy * abs(exact) * (1 + 1e-9) + SMALLEST


@given(st.floats(1e-9, 1e12), st.booleans())
def test_a_single_value_is_estimated_within_the_error(size: float, negative: bool) -> None:
    value = -size if negative else size
    sketch = DDSketch()
    sketch.update(np.array([value]))
    estimate = sketch.quantile(0.5)
    assert estimate is not None
    assert abs(estimate - value) <= 0.01 * size * (1 + 1e-9)


def test_memory_is_bounded_by_clamping_what_is_tiny_or_huge() -> None:
    sketch = DDSketch()
    sketch.update(np.array([1e-12, -1e-300, 0.0]))
    assert sketch.quantile(1) == 0.0
    sketch.update(np.array([math.inf, 1e300, -math.inf]))
    assert sketch.quantile(1) == pytest.approx(LARGEST, rel=0.011)
    assert sketch.quantile(0) == pytest.approx(-LARGEST, rel=0.011)
    everything = np.concatenate([np.geomspace(1e-12, 1e15, 100_000), -np.geomspace(1e-12, 1e15, 100_000)])
    sketch.update(everything)
    assert len(sketch._counts) <= 4837
    assert len(sketch.to_bytes()) < 20_000


def test_an_empty_sketch_has_no_quantile() -> None:
    assert DDSketch().quantile(0.5) is None


def test_nan_is_refused_for_it_would_be_counted_nowhere() -> None:
    with pytest.raises(ValueError, match="found NaN"):
        DDSketch().update(np.array([1.0, math.nan]))


def test_sketches_of_different_accuracy_do_not_merge() -> None:
    with pytest.raises(ValueError, match=r"accuracy 0\.01 and 0\.02"):
        DDSketch(0.01).merge(DDSketch(0.02))
