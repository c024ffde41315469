"""A topic is told by its id, as far as the brokers know ids; a change ends the worker."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from stream_monitor.kafka.failures import LoopFailure
from stream_monitor.kafka.topic_watch import TopicWatch


class Admin:
    """Answers with what it is told."""

    def __init__(self) -> None:
        self.id: str | None = "a"
        self.partitions = 2

    def describe_topics(self, *_: object, **__: object) -> dict[str, Any]:
        answer: Future[Any] = Future()
        answer.set_result(SimpleNamespace(topic_id=self.id, partitions=[None] * self.partitions))
        return {"events": answer}


@pytest.mark.parametrize("first", ["a", None])
def test_a_broker_that_knows_no_ids_yet_is_no_other_topic(first: str | None) -> None:
    admin = Admin()
    admin.id = first
    watch = TopicWatch(admin, ["events"], 0, 1.0)
    for admin.id in (None, "a", None):
        watch.check()
        watch.poll(0)
        watch.poll(1)


def test_another_id_and_another_number_of_partitions_end_the_worker() -> None:
    admin = Admin()
    watch = TopicWatch(admin, ["events"], 0, 1.0)
    admin.partitions = 3
    with pytest.raises(LoopFailure, match="events has 3 partitions now and had 2 when"):
        watch.check()
    admin.id, admin.partitions = "b", 2
    watch.poll(0)
    with pytest.raises(LoopFailure, match="events was deleted and made anew while this worker ran"):
        watch.poll(1)
