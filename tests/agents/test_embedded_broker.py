"""The react role on the broker inside librdkafka, which the demo uses: no promise of delivery, but it must run."""

from __future__ import annotations

import gc
from pathlib import Path

from confluent_kafka import Producer

from stream_monitor.agents.policy import ReactPolicy
from stream_monitor.agents.reaction import Reaction
from stream_monitor.events.alert import AlertEvent
from tests.agents.receiver import alert
from tests.agents.test_react import running, until


def embedded() -> tuple[Producer, str]:
    """A transactional producer that carries a broker, with a topic "alerts", and the broker's address."""
    producer = Producer(
        {"bootstrap.servers": "x", "test.mock.num.brokers": 1, "transactional.id": "demo", "log_level": 0}
    )
    brokers = producer.list_topics("alerts", timeout=10).brokers.values()
    producer.init_transactions(10)
    return producer, ",".join(f"{broker.host}:{broker.port}" for broker in brokers)


def test_alerts_are_reacted_to_without_any_installed_broker(tmp_path: Path) -> None:
    producer, bootstrap = embedded()
    for number in range(3):
        producer.begin_transaction()
        producer.produce("alerts", alert(f"id-{number}").encode(), b"f", partition=0)
        producer.commit_transaction(10)
    seen: list[str] = []

    async def keep(event: AlertEvent) -> None:
        seen.append(event.id)

    with running(policy(bootstrap, tmp_path, Reaction.on_alert("keep", keep))) as worker:
        until(lambda: len(seen) == 3 and worker.ready(), "three alerts seen")
    assert seen == ["id-0", "id-1", "id-2"]


def test_a_broker_that_has_gone_does_not_keep_the_worker_from_stopping(tmp_path: Path) -> None:
    producer, bootstrap = embedded()

    async def ignore(event: AlertEvent) -> None:
        pass

    # Leaving the block waits for the thread to end.
    with running(policy(bootstrap, tmp_path, Reaction.on_alert("ignore", ignore))) as worker:
        until(worker.ready, "partitions assigned")
        del producer
        gc.collect()


def policy(bootstrap: str, path: Path, reaction: Reaction) -> ReactPolicy:
    return ReactPolicy(
        {"bootstrap.servers": bootstrap, "log_level": 0},
        alerts_topic="alerts",
        log_alerts=False,
        reactions=(reaction,),
        data_dir=path,
    )
