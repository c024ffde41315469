"""Simulation of what the defaults promise: few alarms on stable errors, a jump found within a few hundred."""

from __future__ import annotations

import numpy as np
import pytest

from stream_monitor.detectors.detector import Detector
from stream_monitor.detectors.policy import DetectorPolicy, Kind

STREAMS = 20


def first_alarm(policy: DetectorPolicy, errors: np.ndarray) -> int | None:
    detector = Detector(policy)
    return next((at for at, error in enumerate(errors.astype(float).tolist()) if detector.update((error,))), None)


@pytest.mark.parametrize("kind", ["adwin", "page_hinkley"])
@pytest.mark.parametrize("rate", [0.1, 0.3])
def test_stable_errors_raise_few_false_alarms(kind: Kind, rate: float) -> None:
    """10,000 events a stream, both directions watched: at most one of 20 streams alarms."""
    rng = np.random.default_rng(11)
    policy = DetectorPolicy(kind=kind, direction="any")
    detected = [Detector(policy).update((rng.random(10_000) < rate).astype(float).tolist()) for _ in range(STREAMS)]
    assert sum(detected) <= 1


@pytest.mark.parametrize("kind", ["adwin", "page_hinkley"])
def test_a_jump_from_a_tenth_to_three_tenths_is_found_within_a_few_hundred_events(kind: Kind) -> None:
    rng = np.random.default_rng(12)
    delays = []
    for _ in range(STREAMS):
        errors = rng.random(3_000) < np.where(np.arange(3_000) < 2_000, 0.1, 0.3)
        found = first_alarm(DetectorPolicy(kind=kind), errors)
        assert found is not None
        assert found >= 2_000
        delays.append(found - 2_000)
    assert np.median(delays) <= 200
    assert max(delays) <= 400
