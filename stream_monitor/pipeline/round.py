"""A round of evaluate: all models are asked, one after the other, what is due.

A jump of event time can make more due than one transaction may hold.  Then the round stops between two series, the
transaction is made, and it goes on in the next one as if there had been no end: nothing is folded in between.  These
records say how far it got, so that a process that takes over goes on at the same place.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from stream_monitor.metrics.figure import Figure
from stream_monitor.pipeline.series import SeriesKey, WindowKey

SpecKey = tuple[str, int, int]  # time basis, size, slide


class Cause(StrEnum):
    PROGRESS = "progress"  # a progress message; its record's time is the clock
    CLOCK = "clock"  # the wall clock, where every source is idle
    END = "end"  # the input has ended


class Closing(msgspec.Struct, array_like=True):
    """How far a model is in its turn.

    `targets`: event time up to which windows close.  `window`, `through`: the window under way and the last series of
    it that is published; what detectors said to it by then is in `detected`, by version.  `revised`: whether the
    corrections of an interval have begun.
    """

    targets: dict[SpecKey, int]
    window: WindowKey | None = None
    through: SeriesKey | None = None
    detected: dict[str, list[Figure]] = {}
    revised: bool = False


class Round(msgspec.Struct, array_like=True):
    """`left`: names of the models whose turn is not over; `closing` belongs to the first (None: not begun)."""

    cause: Cause
    now_ms: int
    left: list[str]
    closing: Closing | None = None
