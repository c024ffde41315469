"""Asks the brokers where partitions begin and end: at once, or now and then without waiting.

EOF events tell the end once, when it is reached; a quiet partition sends no more of them. So the ends are asked for
every few seconds, in the background. An answer is dated with the time of the question, which can only understate it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from stream_monitor.kafka.failures import Stopped, denial, fatal
from stream_monitor.kafka.stage import TP

_AGAIN_S = 0.5
# A request for a broker that just died stands in its queue until it times out; the next one goes to the new leader.
TRY_S = 5.0


class Bounds(NamedTuple):
    """First offset there is, and the next one to be written."""

    low: int
    high: int


def bounds(
    admin: AdminClient,
    partitions: Iterable[TP],
    timeout_s: float,
    stopping: Callable[[], bool] = lambda: False,
) -> dict[TP, Bounds]:
    """Bounds of each partition; LoopFailure where the brokers do not answer in time, SetupError where they refuse,
    Stopped once `stopping` says so.

    A partition without a leader is refused at once, which is what a broker that comes back looks like: asked again.
    """
    wanted = list(partitions)
    deadline = time.monotonic() + timeout_s
    while True:
        if stopping():
            raise Stopped
        try:
            low = _ask(admin, wanted, OffsetSpec.earliest(), min(TRY_S, timeout_s))
            high = _ask(admin, wanted, OffsetSpec.latest(), min(TRY_S, timeout_s))
            return {tp: Bounds(low[tp].result().offset, high[tp].result().offset) for tp in wanted}
        except KafkaException as error:
            if (denied := denial(error.args[0], f"asking where {', '.join(map(str, wanted))} end")) is not None:
                raise denied from error
            if time.monotonic() >= deadline:
                raise fatal(error.args[0], f"asking where {', '.join(map(str, wanted))} end") from error
            refresh(admin)
            time.sleep(_AGAIN_S)


def refresh(admin: AdminClient) -> None:
    """Make the client look who the brokers are. By itself it waits for one that died, for minutes, if it took that one
    for the controller or a leader."""
    with suppress(KafkaException):
        admin.list_topics(timeout=TRY_S)


def _ask(admin: AdminClient, partitions: Iterable[TP], spec: Any, timeout_s: float) -> Mapping[TP, Any]:
    request = {TopicPartition(*tp): spec for tp in partitions}
    if not request:
        return {}
    answers = admin.list_offsets(request, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=timeout_s)
    return {TP(each.topic, each.partition): answer for each, answer in answers.items()}


class EndWatcher:
    """Ends of partitions, asked at most every `interval_ms`, never waited for."""

    def __init__(self, admin: AdminClient, interval_ms: int) -> None:
        self._admin = admin
        self._interval_ms = interval_ms
        self._asked_ms: int | None = None
        self._answers: Mapping[TP, Any] = {}

    def poll(self, partitions: Iterable[TP], now_ms: int) -> list[tuple[TP, int, int]]:
        """Answers that came since the last call, as (partition, end, time asked); asks again when it is time."""
        came: list[tuple[TP, int, int]] = []
        waiting: dict[TP, Any] = {}
        for tp, answer in self._answers.items():
            if not answer.done():
                waiting[tp] = answer
            elif answer.exception() is None and self._asked_ms is not None:
                came.append((tp, answer.result().offset, self._asked_ms))
        self._answers = waiting
        if not waiting and (self._asked_ms is None or now_ms - self._asked_ms >= self._interval_ms):
            self._asked_ms = now_ms
            try:
                self._answers = _ask(self._admin, partitions, OffsetSpec.latest(), TRY_S)
            except KafkaException:
                self._answers = {}  # no answer, no claim
        return came
