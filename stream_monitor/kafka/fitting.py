"""Events as messages that every broker takes: of one too large, what makes it so is left out, and that is counted.

Only a confusion matrix of classes with very long names comes near: 2,601 cells of up to 3 kB.  The figure itself, its
sample sizes and its status are always there.
"""

from __future__ import annotations

from typing import Final

from msgspec import UNSET, structs

from stream_monitor.events.alert import AlertEvent
from stream_monitor.events.metric import MetricEvent

EVENT_BYTES: Final = 1_000_000  # the broker's default is 1 MiB for a batch


def metric_value(event: MetricEvent) -> tuple[bytes, bool]:
    """The message, and whether bins and cells had to be left out."""
    value = event.encode()
    if len(value) <= EVENT_BYTES:
        return value, False
    return structs.replace(event, bins=(), cells=UNSET).encode(), True


def alert_value(event: AlertEvent) -> tuple[bytes, bool]:
    """The message, and whether the figure and the bins of its evidence had to be left out."""
    value = event.encode()
    if len(value) <= EVENT_BYTES:
        return value, False
    return structs.replace(event, evidence=structs.replace(event.evidence, metric=None, top_bins=())).encode(), True
