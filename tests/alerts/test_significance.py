from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from stream_monitor.alerts.significance import benjamini_hochberg, budget_level, windows_per_day


@given(st.lists(st.floats(0, 1), max_size=40), st.floats(0.001, 0.2))
def test_benjamini_hochberg_rejects_what_scipys_adjusted_p_values_do(p_values: list[float], level: float) -> None:
    found = benjamini_hochberg(p_values, level)
    if not p_values:
        assert found == []
        return
    adjusted = false_discovery_control(p_values)
    for rejected, p in zip(found, adjusted, strict=True):
        if abs(p - level) > 1e-9:
            assert rejected == (p <= level)


def test_without_drift_a_family_raises_an_alarm_no_more_often_than_its_level() -> None:
    rng = np.random.default_rng(0)
    alarms = sum(any(benjamini_hochberg(rng.random(20).tolist(), 0.05)) for _ in range(4_000))
    assert alarms / 4_000 <= 0.05 * 1.25


def test_the_budget_of_a_day_is_shared_by_its_windows_and_capped() -> None:
    day = windows_per_day([300_000, 3_600_000])
    assert day == 288 + 24
    assert budget_level(0.1, day) == pytest.approx(0.1 / 312)
    assert budget_level(0.1, 1 / 7) == 0.05
    assert budget_level(0.0, day) == 0.0
    with pytest.raises(ValueError, match="above 0"):
        budget_level(0.1, 0)
