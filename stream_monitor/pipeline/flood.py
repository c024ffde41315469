"""When something is a flood: it met, of the events of the last one to two minutes, at least 20 and a given share."""

from __future__ import annotations

from typing import NamedTuple

SPAN_MS = 60_000
LEAST = 20

Spans = list[list[int]]  # [start, events, those that met it] of the span under way, and of the one before


class Recent(NamedTuple):
    """`met` of the `events` lately: were rejected, say."""

    events: int
    met: int

    def is_flood(self, share: float) -> bool:
        return self.met >= LEAST and self.met >= share * self.events

    def __str__(self) -> str:
        return f"{self.met} of the last {self.events} events ({self.met / self.events:.0%})" if self.events else "none"


def no_spans() -> Spans:
    return [[0, 0, 0], [0, 0, 0]]


def count(spans: Spans, events: int, met: int, now_ms: int) -> Recent:
    """Add a flush to the span under way, or to a new one; returns what both hold."""
    if now_ms - spans[0][0] >= SPAN_MS:
        spans[:] = [[now_ms, 0, 0], spans[0]]
    spans[0][1] += events
    spans[0][2] += met
    return Recent(sum(span[1] for span in spans), sum(span[2] for span in spans))
