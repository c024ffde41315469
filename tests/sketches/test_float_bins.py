from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_monitor.sketches.float_bins import FloatBins

rng = np.random.default_rng(2)
DISTRIBUTIONS = {
    "normal": rng.normal(size=5000),
    "lognormal": rng.lognormal(0, 5, 5000),
    "latitudes": rng.uniform(52.49, 52.51, 5000),
    "all magnitudes": np.concatenate([np.geomspace(5e-324, 1e308, 5000), -np.geomspace(5e-324, 1e308, 5000)]),
    "largest": np.nextafter(1.7976931348623157e308, 0) * np.linspace(-1, 1, 999),
}


def filled(values: np.ndarray) -> FloatBins:
    bins = FloatBins()
    bins.update(values)
    return bins


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=100))
def test_few_values_are_kept_exactly(values: list[float]) -> None:
    bins = filled(np.array(values, np.float64))
    distinct, counts = np.unique(np.array(values, np.float64) + 0.0, return_counts=True)
    assert bins.is_exact
    assert np.array_equal(bins.lows, distinct)
    assert np.array_equal(bins.counts, counts)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_bins_hold_exactly_the_values_between_their_bounds(name: str) -> None:
    values = np.sort(DISTRIBUTIONS[name])
    bins = filled(values)
    lows, highs = bins.lows, bins.highs
    assert not bins.is_exact
    assert (lows < highs).all()
    assert (lows[1:] >= highs[:-1]).all()
    inside = values.searchsorted(highs, "left") - values.searchsorted(lows, "left")
    assert np.array_equal(inside, bins.counts)
    assert bins.counts.sum() == len(values)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_memory_is_bounded_and_resolution_is_used(name: str) -> None:
    bins = filled(DISTRIBUTIONS[name])
    assert 200 < len(bins.counts) <= 512
    assert len(bins.to_bytes()) < 5000


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 4999), max_size=5), st.sampled_from(sorted(DISTRIBUTIONS)))
def test_resolution_depends_on_the_values_not_on_how_they_came(cuts: list[int], name: str) -> None:
    values = rng.permutation(DISTRIBUTIONS[name])
    merged = FloatBins()
    for part in np.split(values, sorted(cuts)):
        merged.merge(filled(part))
    assert merged.to_bytes() == filled(values).to_bytes()


def test_minus_zero_is_zero() -> None:
    assert filled(np.array([-0.0, 0.0])).counts.tolist() == [2]
