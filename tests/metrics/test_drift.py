"""All figures of a window at once are those of one feature after the other."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_monitor.metrics.comparison import Comparison
from stream_monitor.metrics.drift import drift_figures
from stream_monitor.metrics.figure import Figure
from stream_monitor.metrics.policy import MetricPolicy
from stream_monitor.reference.features import NumericFeature
from stream_monitor.reference.profile import Profile, sealed
from tests.metrics import slow_drift
from tests.metrics.worlds import profile_of

N = 400
rng = np.random.default_rng(0)


def gaps(values: np.ndarray, gap: object, every: int) -> list[object]:
    return [gap if i % every == 0 else value for i, value in enumerate(values.tolist())]


COLUMNS: dict[str, list[object]] = {
    "normal": rng.normal(size=N).tolist(),
    "missing": gaps(rng.normal(size=N), None, 10),
    "rarely missing": gaps(rng.normal(size=N), None, 150),
    "invalid": gaps(rng.normal(size=N), math.inf, 7),
    "spiked": np.where(rng.random(N) < 0.4, 0.0, rng.normal(size=N)).tolist(),
    "discrete": rng.poisson(2.0, N).astype(float).tolist(),
    "constant": [1.0] * N,
    "nothing": [None] * N,
    "region": rng.choice(["EU", "US", "AS"], N).tolist(),
    "long tail": [f"c{k}" for k in rng.zipf(1.5, N)],
    "gaps": [None if i % 9 == 0 else f"c{i % 3}" for i in range(N)],
}
PROFILE = profile_of(COLUMNS, rng.random(N).tolist())
NO_OUTPUT = profile_of({"x": COLUMNS["normal"]})


def emptied(profile: Profile) -> Profile:
    """A group of each continuous feature without reference rows, as no builder makes it."""
    features = [
        msgspec.structs.replace(f, counts=counts, n=sum(counts))
        for f in profile.features
        if isinstance(f, NumericFeature) and not f.discrete
        for low, high in f.psi_groups[:1]
        for counts in [tuple(0 if low <= i < high else count for i, count in enumerate(f.counts))]
    ]
    return sealed(msgspec.structs.replace(profile, features=tuple(features)))


PROFILES = [PROFILE, NO_OUTPUT, emptied(PROFILE)]


def same(fast: Figure, slow: Figure) -> None:
    for name in Figure.__struct_fields__:
        mine, theirs = getattr(fast, name), getattr(slow, name)
        if name == "bins":
            for field in ("bin", "low", "high", "expected", "actual", "contribution"):
                assert [getattr(b, field) for b in mine] == [getattr(b, field) for b in theirs]
        elif name in ("value", "p_value") and theirs is not None:
            assert mine == pytest.approx(theirs, rel=1e-11, abs=1e-16)
        else:
            assert mine == theirs, name


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2), st.integers(0, 1 << 30), st.sampled_from([1, 2, 30, 5_000]), st.sampled_from([0.0, 0.05, 1]))
def test_figures_are_those_of_one_feature_after_the_other(which: int, seed: int, most: int, occupied: float) -> None:
    profile = PROFILES[which]
    comparison = Comparison(profile)
    draw = np.random.default_rng(seed)
    counts = draw.integers(0, most + 1, comparison.size) * (draw.random(comparison.size) < occupied)
    fast = drift_figures(counts, comparison, MetricPolicy())
    slow = slow_drift.drift_figures(counts, profile, MetricPolicy())
    assert len(fast) == len(slow)
    for mine, theirs in zip(fast, slow, strict=True):
        same(mine, theirs)
