"""Between a window's sample, a detector and the figure it gives.

Promises: the values in the order of the sample; `change_detected` 0 or 1 where at least one value was fed, else none.
Costs: nothing much. Leaves to others: the order (sketches/bottom_k.py), state between windows (pipeline).
"""

from __future__ import annotations

from collections.abc import Sequence

from stream_monitor.detectors.detector import Detector
from stream_monitor.detectors.policy import Signal
from stream_monitor.events.metric import DetectorRef
from stream_monitor.events.names import MetricName, Status
from stream_monitor.metrics.figure import Figure
from stream_monitor.sketches.bottom_k import Sample


def signal_values(samples: Sequence[Sample], signal: Signal) -> list[float]:
    """The signal of each labelled prediction that has one."""
    column = {
        "error": [sample.error for sample in samples],
        "score": [sample.score for sample in samples],
        "residual": [sample.residual for sample in samples],
    }[signal]
    return [value for value in column if value is not None]


def feed(detector: Detector, samples: Sequence[Sample]) -> Figure | None:
    """Feed a window's sample, in the order of BottomK.ordered(); n is the number of values fed."""
    policy = detector.policy
    values = signal_values(samples, policy.signal)
    if not values:
        return None
    changed = detector.update(values)
    return Figure(
        MetricName.CHANGE_DETECTED,
        value=float(changed),
        status=Status.OK,
        n=len(values),
        detector=DetectorRef(policy.kind, policy.signal),
    )
