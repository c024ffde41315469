"""The two folds over recorded events: the same code as live, without Kafka and without a clock.

The inputs are merged by event time (rounds.py); each round is folded, and flushed and evaluated unless the next flush
will do as well.  The record's time is the event's.  At the end every window that has begun closes, as idleness does
live.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from stream_monitor.events.policy import DecodePolicy
from stream_monitor.events.rejects import DeadLetter
from stream_monitor.join.store import JoinStore, MemoryStore
from stream_monitor.pipeline.evaluate import EvaluateFold, EvaluateOutput
from stream_monitor.pipeline.event_times import EventTimes
from stream_monitor.pipeline.horizon import Span
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS, IngestCounters, IngestFold, Records
from stream_monitor.pipeline.policy import Policies
from stream_monitor.pipeline.rounds import rounds
from stream_monitor.reference.profile import Profile

CHUNK = 5_000
MOST_WAITING = 100_000  # events that one flush may hold
_NO_TIME = -1  # plausibility is not judged: the record's time is the event's


class Step(NamedTuple):
    """What one round of events led to."""

    output: EvaluateOutput
    dead_letters: list[DeadLetter]
    counters: IngestCounters


def backtest(
    policies: Policies,
    decode: DecodePolicy,
    profiles: Mapping[str, Profile],
    predictions: Iterable[bytes],
    labels: Iterable[bytes] = (),
    *,
    store: JoinStore | None = None,
    chunk: int = CHUNK,
    most_waiting: int = MOST_WAITING,
) -> Iterator[Step]:
    """Drive both folds over the lines of two inputs; nothing is ever historical.

    `store`: an empty one, for join entries; else they are kept in memory, all that can still join.  `most_waiting`:
    events that may wait for a flush where it would decide nothing. That is faster by a tenth where labels are joined;
    figures and counts are the same, only corrections of late events come together.
    """
    policies = replace(policies, panes_partitions=1, live_horizon_ms=None)
    ingest = IngestFold(policies, decode, profiles, MemoryStore() if store is None else store, instance="backtest")
    evaluate = EvaluateFold(policies, profiles, partition=0)
    read = {PREDICTIONS: 0, LABELS: 0}
    flushed = dict(read)
    offset = 0
    learning = _learning(policies, profiles)
    for taken in rounds(predictions, labels, EventTimes(decode), chunk):
        ingest.predictions(_records(taken.predictions, read, PREDICTIONS))
        for lines in taken.labels:
            ingest.labels(_records(lines, read, LABELS))
        # An input that is over moves no watermark any more but holds it neither: then every round counts.
        goes_on = not taken.predictions_over and not (taken.labels_over and read[LABELS])
        waiting = sum(read.values()) - sum(flushed.values())
        if waiting < most_waiting and goes_on and not (learning or ingest.is_decisive()):
            continue
        spans = {
            (PREDICTIONS, 0): Span(flushed[PREDICTIONS], read[PREDICTIONS], taken.predictions_over),
            (LABELS, 0): Span(flushed[LABELS], read[LABELS], taken.labels_over),
        }
        flushed = dict(read)
        flush = ingest.flush(taken.now_ms, spans, {PREDICTIONS: 1, LABELS: 1})
        learned: list[Profile] = []
        for message in flush.messages:
            evaluate.apply(message.value, offset, taken.now_ms)
            offset += 1
            for output in _full(evaluate):
                learned += output.profiles
                yield Step(output, [], IngestCounters())
        ingest.committed()
        output = evaluate.drain()
        learned += output.profiles
        ingest.adopt(learned)
        learning -= {profile.model_name for profile in learned}
        yield Step(output, flush.dead_letters, flush.counters)
    evaluate.finish()
    for output in _full(evaluate):
        yield Step(output, [], IngestCounters())
    yield Step(evaluate.drain(), [], IngestCounters())


def _full(evaluate: EvaluateFold) -> Iterator[EvaluateOutput]:
    """What would be transactions of their own, until there is room for more."""
    while not evaluate.is_ready:
        yield evaluate.drain()
        evaluate.go_on()


def _learning(policies: Policies, profiles: Mapping[str, Profile]) -> set[str]:
    """Models whose reference is learned from the stream: each flush may be the one that it is complete at."""
    models = [*policies.models.values(), policies.unlisted]
    return {model.name for model in models if model.reference.kind == "bootstrap" and model.name not in profiles}


def _records(lines: list[bytes], read: dict[str, int], role: str) -> Records:
    """The next lines of a role as records; `read` counts them."""
    n, first = len(lines), read[role]
    read[role] += n
    return Records([0] * n, range(first, first + n), [_NO_TIME] * n, [None] * n, lines)
