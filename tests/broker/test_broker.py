"""The fixture itself: it gives a broker that runs transactions, and says clearly when it cannot."""

from __future__ import annotations

import pytest
from confluent_kafka import Producer

from tests.broker.docker import container_environment
from tests.broker.source import BOOTSTRAP_VARIABLE, NoBroker, properties, running_broker
from tests.broker.topics import TopicSpace


@pytest.mark.broker
def test_what_was_committed_is_read_back_and_what_was_aborted_is_not(topics: TopicSpace) -> None:
    topic = topics.create("transactions", partitions=3)
    producer = Producer({"bootstrap.servers": topics.bootstrap, "transactional.id": topics.name("writer")})
    producer.init_transactions(30)
    for ending, value in [("commit", b"kept"), ("abort", b"dropped"), ("commit", b"kept too")]:
        producer.begin_transaction()
        for partition in range(3):
            producer.produce(topic, value, b"key", partition)
        producer.flush(30)
        producer.commit_transaction(30) if ending == "commit" else producer.abort_transaction(30)
    records = topics.read_committed(topic)
    assert [(record.partition, record.value) for record in records] == [
        (partition, value) for partition in range(3) for value in (b"kept", b"kept too")
    ]


def test_a_broker_that_does_not_answer_is_named_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BOOTSTRAP_VARIABLE, "127.0.0.1:1")
    monkeypatch.setattr("tests.broker.source.GIVEN_TIMEOUT_S", 0.2)
    with (
        pytest.raises(NoBroker, match=r"STREAM_MONITOR_TEST_BOOTSTRAP=127\.0\.0\.1:1.*gave no metadata"),
        running_broker(),
    ):
        pass


def test_a_machine_without_any_source_is_told_why_for_each(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.delenv(BOOTSTRAP_VARIABLE, raising=False)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoBroker) as caught, running_broker():
        pass
    assert str(caught.value) == (
        "no Kafka broker for tests: STREAM_MONITOR_TEST_BOOTSTRAP is not set; no Docker engine answers; "
        "no `java` on the PATH for Kafka from jars (apt install openjdk-17-jre-headless)"
    )


def test_the_container_gets_every_property_of_the_jar_broker() -> None:
    environment = container_environment(29092)
    own = properties(port=29092, controller_port=19093, log_dir="/x")
    named = {"KAFKA_" + key.upper().replace(".", "_") for key in own}
    assert named - {"KAFKA_CONTROLLER_QUORUM_BOOTSTRAP_SERVERS"} <= set(environment)
    assert environment["KAFKA_ADVERTISED_LISTENERS"] == "PLAINTEXT://127.0.0.1:29092"
    assert environment["KAFKA_LISTENERS"] == "PLAINTEXT://:29092,CONTROLLER://:19093"
