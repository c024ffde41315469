"""When rejects are a flood: of what was read in the last one to two minutes, at least 20 events and a given share."""

from __future__ import annotations

from typing import NamedTuple

SPAN_MS = 60_000
LEAST = 20

Spans = list[list[int]]  # [start, events, rejects] of the span under way, and of the one before


class Recent(NamedTuple):
    """What was read lately."""

    events: int
    rejects: int

    def is_flood(self, share: float) -> bool:
        return self.rejects >= LEAST and self.rejects >= share * self.events

    def __str__(self) -> str:
        return f"{self.rejects} of the last {self.events} events were rejected ({self.rejects / self.events:.0%})"


def no_spans() -> Spans:
    return [[0, 0, 0], [0, 0, 0]]


def count(spans: Spans, events: int, rejects: int, now_ms: int) -> Recent:
    """Add a flush to the span under way, or to a new one; returns what both hold."""
    if now_ms - spans[0][0] >= SPAN_MS:
        spans[:] = [[now_ms, 0, 0], spans[0]]
    spans[0][1] += events
    spans[0][2] += rejects
    return Recent(sum(span[1] for span in spans), sum(span[2] for span in spans))
