"""Which topic stands behind a name, and how many partitions it has: asked at once, or now and then without waiting.

A topic that was deleted and made anew keeps its name and begins at offset 0 again; only the id that Kafka gave it tells
one from the other. What was told once must hold as long as the worker runs: a change ends it (LoopFailure), since its
offsets, its counts of partitions and its join store are of what was there before. The next start takes up what is there
then. Between the change and the next question, a few seconds, records of the new topic may be read as if they were of
the old one, but only where it has grown past the old position by then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from stream_monitor.kafka.ends import TRY_S, refresh
from stream_monitor.kafka.failures import LoopFailure, Stopped, fatal

_AGAIN_S = 0.5
_START_AGAIN = "start it again, as a supervisor does: it goes on with the topic as it is then"


class TopicFacts(NamedTuple):
    """`topic_id`: changes if the topic is made anew; empty where the broker has none."""

    topic_id: str
    partitions: int


def describe(
    admin: AdminClient,
    names: Iterable[str],
    timeout_s: float = 10.0,
    stopping: Callable[[], bool] = lambda: False,
) -> dict[str, TopicFacts]:
    """Facts about topics that exist; LoopFailure where the brokers do not answer in time, SetupError where they refuse,
    Stopped once `stopping` says so."""
    wanted = list(names)
    deadline = time.monotonic() + timeout_s
    while True:
        if stopping():
            raise Stopped
        try:
            return {name: _facts(answer) for name, answer in _ask(admin, wanted, min(TRY_S, timeout_s)).items()}
        except KafkaException as error:
            if time.monotonic() >= deadline:
                raise fatal(error.args[0], f"asking about topics {', '.join(wanted)}") from error
            refresh(admin)
            time.sleep(_AGAIN_S)


class TopicWatch:
    """Facts as they were at the first question; asked again at most every `interval_ms`, never waited for."""

    def __init__(
        self,
        admin: AdminClient,
        names: Iterable[str],
        interval_ms: int,
        timeout_s: float,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """Asks; raises as `describe` does."""
        self._admin = admin
        self._interval_ms = interval_ms
        self._asked_ms: int | None = None
        self._answers: Mapping[str, Any] = {}
        self._timeout_s = timeout_s
        self._stopping = stopping
        self.facts = describe(admin, names, timeout_s, stopping)

    def check(self) -> None:
        """Ask now; LoopFailure if anything changed since the start, else raises as `describe` does."""
        for name, found in describe(self._admin, self.facts, self._timeout_s, self._stopping).items():
            self._compare(name, found)

    def poll(self, now_ms: int) -> None:
        """Look at answers that came, ask anew when it is time; LoopFailure as in `check`."""
        waiting = {}
        for name, answer in self._answers.items():
            if not answer.done():
                waiting[name] = answer
            elif answer.exception() is None:  # else the topic is gone, or the broker: the consumer says so
                self._compare(name, _facts(answer))
        self._answers = waiting
        if not waiting and (self._asked_ms is None or abs(now_ms - self._asked_ms) >= self._interval_ms):
            self._asked_ms = now_ms
            try:
                self._answers = _ask(self._admin, list(self.facts), TRY_S)
            except KafkaException:
                self._answers = {}

    def _compare(self, name: str, found: TopicFacts) -> None:
        known = self.facts[name]
        # Of brokers that are upgraded one by one some know no ids yet.
        if found.topic_id and known.topic_id and found.topic_id != known.topic_id:
            raise LoopFailure(f"topic {name} was deleted and made anew while this worker ran", mend=_START_AGAIN)
        if found.partitions != known.partitions:
            raise LoopFailure(
                f"topic {name} has {found.partitions} partitions now and had {known.partitions} when this worker began",
                mend=_START_AGAIN,
            )


def _ask(admin: AdminClient, names: list[str], timeout_s: float) -> Mapping[str, Any]:
    answers: Mapping[str, Any] = admin.describe_topics(TopicCollection(names), request_timeout=timeout_s)
    return answers


def _facts(answer: Any) -> TopicFacts:
    found = answer.result()
    return TopicFacts("" if found.topic_id is None else str(found.topic_id), len(found.partitions))
