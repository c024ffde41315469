from __future__ import annotations

import numpy as np

from stream_monitor.detectors.detector import Detector
from stream_monitor.detectors.feed import feed, signal_values
from stream_monitor.detectors.policy import DetectorPolicy
from stream_monitor.events.names import Status
from stream_monitor.sketches.bottom_k import BottomK


def sample(errors: list[float | None], start: int = 0) -> BottomK:
    made = BottomK(k=len(errors))
    made.add_many([f"p{i:06}" for i in range(len(errors))], [start + i for i in range(len(errors))], errors)
    return made


def test_a_change_of_the_error_is_told_in_its_window_and_not_after() -> None:
    rng = np.random.default_rng(0)
    detector = Detector(DetectorPolicy())
    told = []
    for window, rate in enumerate([0.1] * 5 + [0.4] * 5):
        errors: list[float | None] = [float(wrong) for wrong in rng.random(500) < rate]
        figure = feed(detector, sample(errors, start=window * 500).ordered())
        assert figure is not None
        assert (figure.metric, figure.status, figure.n) == ("change_detected", Status.OK, 500)
        assert figure.detector is not None
        assert (figure.detector.kind, figure.detector.signal) == ("adwin", "error")
        told.append(figure.value)
    assert told == [0.0] * 5 + [1.0] + [0.0] * 4


def test_values_come_in_the_order_of_label_times_and_missing_ones_are_left_out() -> None:
    assert signal_values(sample([0.0, None, 1.0, 0.0]).ordered(), "error") == [0.0, 1.0, 0.0]
    assert feed(Detector(DetectorPolicy("score")), sample([0.0, 1.0]).ordered()) is None
