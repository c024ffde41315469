"""The two folds over recorded events: the same code as live, without Kafka and without a clock.

Predictions set the pace; labels are read as far as the predictions' time has come, each input in its own order.  The
record's time is the event's.  At the end every window that has begun closes, as idleness does live.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

import msgspec

from stream_monitor.events.mapping import compile_mapping
from stream_monitor.events.policy import DecodePolicy
from stream_monitor.events.rejects import DeadLetter
from stream_monitor.events.times import parse_timestamp
from stream_monitor.join.store import MemoryStore
from stream_monitor.pipeline.evaluate import EvaluateFold, EvaluateOutput
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS, IngestCounters, IngestFold, Records, Span
from stream_monitor.pipeline.policy import Policies
from stream_monitor.reference.profile import Profile

CHUNK = 5_000
_NO_TIME = -1  # plausibility is not judged: the record's time is the event's


class Step(NamedTuple):
    """What one chunk of events led to."""

    output: EvaluateOutput
    dead_letters: list[DeadLetter]
    counters: IngestCounters


class _Input:
    """Lines of one topic in order, with one line of look-ahead."""

    def __init__(self, role: str, lines: Iterable[bytes], decode: DecodePolicy) -> None:
        self.role = role
        self.position = 0
        self.start = 0
        self._lines = iter(lines)
        self._next: bytes | None = next(self._lines, None)
        self._decode = decode
        self._rename = compile_mapping(decode.mapping)

    @property
    def is_over(self) -> bool:
        return self._next is None

    def take(self, most: int, until_ms: int | None = None) -> list[bytes]:
        """Up to `most` lines; with `until_ms`, none from the first one on that lies after it."""
        taken: list[bytes] = []
        while self._next is not None and len(taken) < most:
            if until_ms is not None and (moment := self.moment(self._next)) is not None and moment > until_ms:
                break
            taken.append(self._next)
            self._next = next(self._lines, None)
        self.position += len(taken)
        return taken

    def moment(self, line: bytes) -> int | None:
        """The event's time in ms; None where the line has none, which ingest will say of it."""
        try:
            if self._rename is None:
                stamp = msgspec.json.decode(line, type=_Stamp).timestamp
            else:
                stamp = self._rename(msgspec.json.decode(line))["timestamp"]
            return parse_timestamp(stamp, self._decode.timestamp_unit)
        except (ValueError, KeyError, TypeError, RecursionError):
            return None

    def records(self, lines: list[bytes]) -> Records:
        n = len(lines)
        first = self.position - n
        return Records([0] * n, range(first, first + n), [_NO_TIME] * n, [None] * n, lines)

    def span(self) -> Span:
        span = Span(self.start, self.position, caught_up=self.is_over)
        self.start = self.position
        return span


class _Stamp(msgspec.Struct):
    timestamp: str | float | int


def backtest(
    policies: Policies,
    decode: DecodePolicy,
    profiles: Mapping[str, Profile],
    predictions: Iterable[bytes],
    labels: Iterable[bytes] = (),
    *,
    chunk: int = CHUNK,
) -> Iterator[Step]:
    """Drive both folds over the lines of two inputs; nothing is ever historical."""
    policies = replace(policies, panes_partitions=1, live_horizon_ms=None)
    ingest = IngestFold(policies, decode, profiles, MemoryStore(), instance="backtest")
    evaluate = EvaluateFold(policies, profiles, partition=0)
    first, second = _Input(PREDICTIONS, predictions, decode), _Input(LABELS, labels, decode)
    now_ms, offset = 0, 0
    while not (first.is_over and second.is_over):
        lines = first.take(chunk)
        moments = [moment for line in islice(reversed(lines), 10) if (moment := first.moment(line)) is not None]
        now_ms = max([now_ms, *moments])
        ingest.predictions(first.records(lines))
        ends = None if first.is_over else now_ms
        while taken := second.take(chunk, ends):
            if ends is None:
                now_ms = max([now_ms, *(m for line in taken[-10:] if (m := second.moment(line)) is not None)])
            ingest.labels(second.records(taken))
            if ends is None:
                break
        spans = {(PREDICTIONS, 0): first.span(), (LABELS, 0): second.span()}
        flush = ingest.flush(now_ms, spans, {PREDICTIONS: 1, LABELS: 1})
        for message in flush.messages:
            evaluate.apply(message.value, offset, now_ms)
            offset += 1
        ingest.committed()
        output = evaluate.drain()
        ingest.adopt(output.profiles)
        yield Step(output, flush.dead_letters, flush.counters)
    evaluate.finish()
    yield Step(evaluate.drain(), [], IngestCounters())
