"""Simulation: windows from the reference's own distribution must not look like drift more often than they say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from stream_monitor.metrics.comparison import Comparison
from stream_monitor.metrics.drift import drift_figures
from stream_monitor.metrics.policy import MetricPolicy
from tests.metrics.worlds import counted, profile_of

Draw = Callable[[np.random.Generator, int], list[object]]
ZIPF = 1 / np.arange(1, 13) ** 1.5


def continuous(rng: np.random.Generator, n: int) -> list[object]:
    return list(rng.lognormal(size=n))


def spiked(rng: np.random.Generator, n: int) -> list[object]:
    return list(np.where(rng.random(n) < 0.4, 0.0, rng.normal(size=n)))


def with_missing(rng: np.random.Generator, n: int) -> list[object]:
    return [None if absent else value for absent, value in zip(rng.random(n) < 0.1, rng.normal(size=n), strict=True)]


def discrete(rng: np.random.Generator, n: int) -> list[object]:
    return list(rng.poisson(2.0, n).astype(float))


def constant(_: np.random.Generator, n: int) -> list[object]:
    return [1.0] * n


def categorical(rng: np.random.Generator, n: int) -> list[object]:
    return [f"c{k}" for k in rng.choice(len(ZIPF), n, p=ZIPF / ZIPF.sum())]


def flagged(draw: Draw, n: int, level: float, references: int = 20, windows: int = 40) -> float:
    """Share of windows of n rows with p < level; each reference of 5,000 rows is drawn anew too."""
    rng = np.random.default_rng(7)
    hits = 0
    for _ in range(references):
        profile = profile_of({"x": draw(rng, 5_000)})
        comparison = Comparison(profile)
        for _ in range(windows):
            pane = counted(profile, {"x": draw(rng, n)})
            p_value = drift_figures(pane.binned[profile.schema_id], comparison, MetricPolicy())[0].p_value
            assert p_value is not None
            hits += p_value < level
    return hits / (references * windows)


@pytest.mark.parametrize("n", [50, 200, 1000])
@pytest.mark.parametrize("draw", [continuous, spiked, with_missing, discrete, constant, categorical])
def test_windows_without_drift_are_flagged_no_more_than_one_and_a_half_times_the_level(draw: Draw, n: int) -> None:
    assert flagged(draw, n, 0.05) <= 1.5 * 0.05


def test_a_shift_of_half_a_deviation_is_found_in_200_rows() -> None:
    rng = np.random.default_rng(1)
    profile = profile_of({"x": list(rng.normal(size=5_000))})
    comparison = Comparison(profile)
    for _ in range(20):
        pane = counted(profile, {"x": list(rng.normal(0.5, size=200))})
        figure = drift_figures(pane.binned[profile.schema_id], comparison, MetricPolicy())[0]
        assert figure.p_value is not None
        assert figure.p_value < 0.01
