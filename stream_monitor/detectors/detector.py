"""A change detector over one signal of a series: river's ADWIN or Page-Hinkley, made safe to keep and restore.

Promises: NaN and infinities are skipped (one would blind the detector for ever); bytes round trips give
identical behaviour; reading bytes runs no code but the detector classes' own. Costs: about 1 µs a value.
Leaves to others: the order of the values (the pane's sample by label time, prediction_id).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from stream_monitor.detectors.policy import DetectorPolicy


class Detector:
    def __init__(self, policy: DetectorPolicy) -> None:
        self.policy = policy

    def update(self, values: Iterable[float | None]) -> bool:
        """Take in the values in order; true if at least one change in the watched direction was found."""
        raise NotImplementedError

    def to_bytes(self) -> bytes:
        raise NotImplementedError

    @classmethod
    def from_bytes(cls, data: bytes, policy: DetectorPolicy) -> Self:
        """FormatError if the bytes are of another format, another policy, or name a class not allowed."""
        raise NotImplementedError
