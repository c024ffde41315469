"""The react role on the broker inside librdkafka, which the demo uses: no promise of delivery, but it must run."""

from __future__ import annotations

from pathlib import Path

from confluent_kafka import Producer

from stream_monitor.agents.policy import ReactPolicy
from stream_monitor.agents.reaction import Reaction
from stream_monitor.events.alert import AlertEvent
from tests.agents.receiver import alert
from tests.agents.test_react import running, until


def test_alerts_are_reacted_to_without_any_installed_broker(tmp_path: Path) -> None:
    producer = Producer(
        {"bootstrap.servers": "x", "test.mock.num.brokers": 1, "transactional.id": "demo", "log_level": 0}
    )
    brokers = producer.list_topics("alerts", timeout=10).brokers.values()
    bootstrap = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    producer.init_transactions(10)
    for number in range(3):
        producer.begin_transaction()
        producer.produce("alerts", alert(f"id-{number}").encode(), b"f", partition=0)
        producer.commit_transaction(10)
    seen: list[str] = []

    async def keep(event: AlertEvent) -> None:
        seen.append(event.id)

    policy = ReactPolicy(
        {"bootstrap.servers": bootstrap},
        alerts_topic="alerts",
        log_alerts=False,
        reactions=(Reaction.on_alert("keep", keep),),
        data_dir=tmp_path,
    )
    with running(policy) as worker:
        until(lambda: len(seen) == 3 and worker.ready(), "three alerts seen")
    assert seen == ["id-0", "id-1", "id-2"]
