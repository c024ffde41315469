"""Stops a stage in a flood of rejects, where the config says so: after the commit of what was counted."""

from __future__ import annotations

from stream_monitor.errors import RejectFlood
from stream_monitor.pipeline import flood


class FloodStop:
    """`share`: of the events read lately; None: never."""

    def __init__(self, share: float | None) -> None:
        self._share = share
        self._lately = flood.no_spans()

    def committed(self, events: int, rejects: int, now_s: float) -> None:
        """One commit, at monotonic seconds. RejectFlood: nothing more may be read."""
        recent = flood.count(self._lately, events, rejects, int(now_s * 1_000))
        if self._share is not None and recent.is_flood(self._share):
            raise RejectFlood(
                f"{recent} were rejected, and dead_letters.stop_on_flood says to stop at {self._share:.0%}",
                mend="see the dead letters; correct what sends the events, or set dead_letters.stop_on_flood: false",
            )
