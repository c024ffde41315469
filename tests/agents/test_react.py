"""The react role on a real broker: committed alerts only, at least once, one reaction never waits for another."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from stream_monitor.agents.policy import ReactPolicy, RetryPolicy, WebhookPolicy
from stream_monitor.agents.reaction import Reaction
from stream_monitor.agents.worker import ReactWorker
from stream_monitor.errors import SetupError
from stream_monitor.events.alert import AlertEvent
from tests.agents.receiver import Receiver, alert
from tests.broker.topics import TopicSpace

QUICK = RetryPolicy(first_delay_s=0.1, max_delay_s=0.2, give_up_after_s=60.0)


def policy(topics: TopicSpace, path: Path, topic: str, **more: Any) -> ReactPolicy:
    more.setdefault("log_alerts", False)
    return ReactPolicy(
        {"bootstrap.servers": topics.bootstrap},
        alerts_topic=topic,
        group=topics.name("react"),
        data_dir=path,
        retry=QUICK,
        **more,
    )


@contextmanager
def running(policy: ReactPolicy, **more: Any) -> Iterator[ReactWorker]:
    worker, stop, failures = ReactWorker(policy, **more), threading.Event(), []

    def run() -> None:
        try:
            worker.run(stop)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield worker
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()
    assert failures == []


def until(condition: Callable[[], object], what: str, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s: {what}"
        time.sleep(0.05)


def committed_values(alerts: list[AlertEvent]) -> list[tuple[bytes, bytes]]:
    return [(event.fingerprint.encode(), event.encode()) for event in alerts]


@pytest.mark.broker
def test_an_alert_of_an_aborted_transaction_is_not_delivered_and_those_around_it_are(
    topics: TopicSpace, tmp_path: Path
) -> None:
    topic = topics.create("alerts")
    producer = Producer({"bootstrap.servers": topics.bootstrap, "transactional.id": topics.name("evaluate")})
    producer.init_transactions(30)

    def transaction(*ids: str, commit: bool = True) -> None:
        producer.begin_transaction()
        for id_ in ids:
            producer.produce(topic, alert(id_).encode(), b"f")
        producer.flush(30)
        producer.commit_transaction(30) if commit else producer.abort_transaction(30)

    transaction("kept-1")
    transaction(*(f"aborted-{number}" for number in range(5)), commit=False)
    transaction("kept-2", "kept-3")
    with Receiver() as receiver:
        webhooks = (WebhookPolicy(receiver.url),)
        with running(policy(topics, tmp_path, topic, webhooks=webhooks)) as worker:
            until(worker.ready, "partitions assigned")
            until(lambda: len(receiver.requests) >= 3, "three alerts delivered")
            producer.begin_transaction()
            producer.produce(topic, alert("aborted-open").encode(), b"f")
            producer.flush(30)
            # Open, then aborted while the reaction is reading: it must wait, then skip.
            producer.abort_transaction(30)
            transaction("kept-4")
            until(lambda: len(receiver.requests) >= 4, "the alert after the abort delivered")
        assert receiver.ids == ["kept-1", "kept-2", "kept-3", "kept-4"]
        end = topics.end_offsets(topic)[0]
        # The last offset of the topic is the marker of the last commit, which no consumer counts as read.
        assert end - topics.committed(topics.name("react.webhook"), topic)[0] <= 1
        transaction("kept-5")
        with running(policy(topics, tmp_path, topic, webhooks=webhooks)):
            until(lambda: "kept-5" in receiver.ids, "the alert after the restart delivered")
    assert receiver.ids == ["kept-1", "kept-2", "kept-3", "kept-4", "kept-5"], "a restart repeats nothing"


@pytest.mark.broker
def test_a_receiver_that_is_down_holds_back_only_its_own_reaction_and_gets_all_when_it_is_back(
    topics: TopicSpace, tmp_path: Path
) -> None:
    topic = topics.create("alerts", partitions=2)
    seen: list[str] = []

    async def keep(event: AlertEvent) -> None:
        seen.append(event.id)

    outcomes: list[tuple[str, str]] = []
    ids = [f"id-{number}" for number in range(20)]
    for number, id_ in enumerate(ids):
        topics.produce(topic, committed_values([alert(id_)]), partition=number % 2)
    topics.produce(topic, committed_values([alert("old", historical=True)]))
    topics.produce(topic, [b"not an alert"])
    up = threading.Event()
    with Receiver(lambda number: 200 if up.is_set() else 503) as receiver:
        settings = policy(
            topics,
            tmp_path,
            topic,
            webhooks=(WebhookPolicy(receiver.url),),
            reactions=(Reaction.on_alert("keep", keep),),
        )
        with running(settings, on_outcome=lambda *pair: outcomes.append(pair)):
            until(lambda: len(seen) == 20, "the other reaction saw all alerts")
            until(lambda: receiver.requests, "an attempt at the receiver that is down")
            assert ("webhook", "done") not in outcomes
            up.set()
            until(lambda: outcomes.count(("webhook", "done")) == 20, "all alerts delivered")
        assert sorted(receiver.accepted) == sorted(ids)
    assert sorted(seen) == sorted(ids)
    for name in ("webhook", "keep"):
        assert outcomes.count((name, "historical")) == outcomes.count((name, "unreadable")) == 1


@pytest.mark.broker
def test_what_was_not_delivered_when_the_worker_stopped_is_delivered_by_the_next_one(
    topics: TopicSpace, tmp_path: Path
) -> None:
    topic = topics.create("alerts")
    topics.produce(topic, committed_values([alert(f"id-{number}") for number in range(3)]))
    with Receiver(lambda number: 200 if number == 0 else 503) as receiver:
        settings = policy(topics, tmp_path, topic, webhooks=(WebhookPolicy(receiver.url),))
        with running(settings):
            until(lambda: len(receiver.requests) >= 3, "the first delivered, the second tried")
    with Receiver() as receiver:
        settings = policy(topics, tmp_path, topic, webhooks=(WebhookPolicy(receiver.url),))
        with running(settings):
            until(lambda: len(receiver.requests) >= 2, "the other two delivered")
        assert receiver.ids[-2:] == ["id-1", "id-2"]


@pytest.mark.broker
def test_a_rebalance_while_the_receiver_is_down_loses_no_alert(topics: TopicSpace, tmp_path: Path) -> None:
    topic = topics.create("alerts", partitions=2)
    ids = [f"id-{number}" for number in range(12)]
    for number, id_ in enumerate(ids):
        topics.produce(topic, committed_values([alert(id_)]), partition=number % 2)
    up = threading.Event()
    with Receiver(lambda number: 200 if up.is_set() else 503) as receiver:
        settings = [policy(topics, tmp_path / name, topic, webhooks=(WebhookPolicy(receiver.url),)) for name in "ab"]
        with running(settings[0]) as first:
            until(lambda: receiver.requests, "the first worker tries")
            assert first.ready()
            with running(settings[1]) as second:
                until(second.ready, "the second worker has a partition")
                # Both commit once a second: what they wrongly acknowledged would be committed now, and lost.
                time.sleep(2.0)
                up.set()
                until(lambda: set(receiver.accepted) == set(ids), "every alert accepted")


@pytest.mark.broker
def test_a_missing_topic_is_one_sentence_with_the_command_that_mends_it(topics: TopicSpace, tmp_path: Path) -> None:
    worker = ReactWorker(policy(topics, tmp_path, topics.name("nowhere"), log_alerts=True))
    with pytest.raises(SetupError, match=r"topics that do not exist: .*nowhere → stream-monitor topics create"):
        worker.run(threading.Event())


def test_a_broker_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("stream_monitor.agents.worker._METADATA_TIMEOUT_S", 0.3)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        worker = ReactWorker(ReactPolicy({"bootstrap.servers": address, "log_level": 0}, data_dir=tmp_path))
        with pytest.raises(SetupError, match=rf"none answers at {address} → start the broker"):
            worker.run(threading.Event())


def test_a_policy_without_reactions_waits_to_be_stopped(tmp_path: Path) -> None:
    with running(ReactPolicy({}, log_alerts=False, data_dir=tmp_path)) as worker:
        until(worker.ready, "ready")
