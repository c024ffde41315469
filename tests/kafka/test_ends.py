"""Questions to brokers, one of which may just have died: asked again, and not for longer than anybody wants to know."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from stream_monitor.errors import SetupError
from stream_monitor.kafka import ends, topic_watch
from stream_monitor.kafka.ends import TRY_S, Bounds, bounds
from stream_monitor.kafka.failures import LoopFailure, Stopped
from stream_monitor.kafka.stage import TP
from stream_monitor.kafka.start import committed_offsets
from stream_monitor.kafka.topic_watch import TopicFacts, describe

ONE = TP("t", 0)


class Admin:
    """Answers once it was made to look who the brokers are; until then it waits for one that is dead."""

    def __init__(self, error: int = KafkaError._TIMED_OUT, *, mends: bool = True) -> None:
        self._error, self._mends = error, mends
        self.looked = 0
        self.waits: list[float] = []

    def list_topics(self, *, timeout: float) -> None:
        self.looked += 1
        if self.looked == 1:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    def list_offsets(self, request: dict[Any, Any], *, request_timeout: float, **_: object) -> dict[Any, Any]:
        return {each: self._answer(request_timeout, SimpleNamespace(offset=7)) for each in request}

    def describe_topics(self, names: Any, *, request_timeout: float) -> dict[str, Any]:
        return {"t": self._answer(request_timeout, SimpleNamespace(topic_id="x", partitions=[0, 1]))}

    def _answer(self, timeout_s: float, value: object) -> Future[object]:
        self.waits.append(timeout_s)
        future: Future[object] = Future()
        if self._mends and self.looked >= 2:
            future.set_result(value)
        else:
            future.set_exception(KafkaException(KafkaError(self._error)))
        return future


Asked = Callable[..., object]


def where_it_ends(admin: Any, timeout_s: float, **more: Any) -> object:
    return bounds(admin, [ONE], timeout_s, **more)


def what_it_is(admin: Any, timeout_s: float, **more: Any) -> object:
    return describe(admin, ["t"], timeout_s, **more)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (ends, topic_watch):
        monkeypatch.setattr(module, "_AGAIN_S", 0.001)


@pytest.mark.parametrize(
    ("ask", "answer"), [(where_it_ends, {ONE: Bounds(7, 7)}), (what_it_is, {"t": TopicFacts("x", 2)})]
)
def test_a_client_that_waits_for_a_dead_broker_is_made_to_look_for_others(ask: Asked, answer: object) -> None:
    admin = Admin()
    assert ask(admin, 60.0) == answer
    assert admin.looked == 2
    assert max(admin.waits) <= TRY_S


@pytest.mark.parametrize("ask", [where_it_ends, what_it_is])
def test_no_answer_in_time_is_a_failure_in_one_sentence(ask: Asked) -> None:
    with pytest.raises(LoopFailure, match=r"asking .*t.* failed for good"):
        ask(Admin(mends=False), 0.01)


@pytest.mark.parametrize("ask", [where_it_ends, what_it_is])
def test_a_refusal_names_the_command(ask: Asked) -> None:
    with pytest.raises(SetupError, match="stream-monitor acls"):
        ask(Admin(KafkaError.TOPIC_AUTHORIZATION_FAILED, mends=False), 0.01)


@pytest.mark.parametrize("ask", [where_it_ends, what_it_is])
def test_a_worker_that_is_told_to_stop_asks_no_more(ask: Asked) -> None:
    admin = Admin(mends=False)
    with pytest.raises(Stopped):
        ask(admin, 60.0, stopping=lambda: len(admin.waits) > 1)
    assert len(admin.waits) == 2


def test_nor_does_it_wait_for_a_transaction_that_is_undecided() -> None:
    class Undecided:
        asked = 0

        def committed(self, request: object, *, timeout: float) -> None:
            assert timeout <= TRY_S
            self.asked += 1
            raise KafkaException(KafkaError(KafkaError.UNSTABLE_OFFSET_COMMIT))

    consumer = Undecided()
    with pytest.raises(Stopped):
        committed_offsets(consumer, [ONE], 60_000, lambda: consumer.asked > 1)
    assert consumer.asked == 2
