"""Concept-drift detectors of one model, one set a version, fed pane by pane as label time passes."""

from __future__ import annotations

from stream_monitor.detectors.detector import Detector
from stream_monitor.detectors.feed import feed
from stream_monitor.errors import FormatError
from stream_monitor.metrics.figure import Figure
from stream_monitor.pipeline.policy import ModelPolicy
from stream_monitor.sketches.bottom_k import BottomK


class Detectors:
    """State: one detector a (version, place in the config)."""

    def __init__(self, policy: ModelPolicy) -> None:
        self._policies = policy.detectors
        self._detectors: dict[tuple[str, int], Detector] = {}

    def see(self, version: str, sample: BottomK) -> list[Figure]:
        """Feed a closed pane's sample, in the order of (label time, id); one figure a detector that has values."""
        samples = sample.ordered()
        figures = []
        for index, policy in enumerate(self._policies):
            detector = self._detectors.get((version, index))
            if detector is None:
                detector = self._detectors[version, index] = Detector(policy)
            figure = feed(detector, samples)
            if figure is not None:
                figures.append(figure)
        return figures

    def places(self) -> range:
        """Places of the detectors in the config: what a state record is keyed by."""
        return range(len(self._policies))

    def to_bytes(self, version: str, index: int) -> bytes | None:
        detector = self._detectors.get((version, index))
        return None if detector is None else detector.to_bytes()

    def restore(self, version: str, index: int, data: bytes) -> None:
        """Take up a detector's state; one whose configuration has changed starts anew."""
        if index >= len(self._policies):
            return
        try:
            self._detectors[version, index] = Detector.from_bytes(data, self._policies[index])
        except FormatError as error:
            if error.mend is None:
                raise

    def drop(self, version: str) -> list[int]:
        """Forget a retired version; returns the places that had state."""
        gone = [index for known, index in self._detectors if known == version]
        for index in gone:
            del self._detectors[version, index]
        return gone
