"""Every role under exactly the rights that `stream-monitor acls` prints, on a broker that allows nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Consumer

from stream_monitor.events.metric import MetricEvent
from tests.broker.secured import SecuredBroker
from tests.broker.topics import TopicSpace
from tests.cli.conftest import Run
from tests.cli.files import write_inputs
from tests.cli.test_run import counted, get, produce, running, wait_for
from tests.secured.access import give, printed
from tests.secured.files import write_config

pytestmark = pytest.mark.broker

STAGES = ("ingest", "evaluate", "react")
ROLES = (*STAGES, "topics", "doctor", "producer", "reader")


def configs(folder: Path, secured: SecuredBroker, topics: TopicSpace) -> dict[str, Path]:
    return {role: write_config(folder, secured.sasl(role), topics, role) for role in ROLES}


def as_user(topics: TopicSpace, secured: SecuredBroker, user: str) -> TopicSpace:
    """The same names, by another client."""
    space = TopicSpace(topics.bootstrap, client=secured.sasl(user))
    space.prefix = topics.prefix
    return space


@contextmanager
def reading(secured: SecuredBroker, topics: TopicSpace) -> Iterator[Callable[[], list[MetricEvent]]]:
    """Gives all metric events that the `reader`, in a group of its own, has read until now."""
    group = {"group.id": topics.name("mon.reader-1"), "auto.offset.reset": "earliest"}
    consumer = Consumer({**secured.sasl("reader"), **group})
    consumer.subscribe([topics.name("mon.metrics")])
    events: list[MetricEvent] = []

    def read() -> list[MetricEvent]:
        for message in consumer.consume(1000, 0.5):
            assert message.error() is None, message.error()
            events.append(MetricEvent.decode(message.value()))
        return events

    try:
        yield read
    finally:
        consumer.close()


def test_each_role_does_its_work_with_the_rights_that_are_printed_and_no_other(
    run: Run, tmp_path: Path, secured: SecuredBroker, topics: TopicSpace
) -> None:
    config = configs(tmp_path, secured, topics)
    for role in ROLES:
        give(topics.admin, printed(config[role], role))
    made = run("topics", "create", "-c", config["topics"])
    assert made.exit_code == 0, made.output
    again = run("topics", "create", "-c", config["topics"])
    assert (again.exit_code, again.stdout.count("exists ")) == (0, made.stdout.count("created")), again.output
    _, predictions, labels = write_inputs(tmp_path, n=1_500)
    with ExitStack() as stack:
        started = {
            role: stack.enter_context(running(config[role], "--role", role, "--instance", role)) for role in STAGES
        }
        sender = as_user(topics, secured, "producer")
        sent = produce(sender, "predictions", predictions)
        produce(sender, "labels", labels)
        said = run("doctor", "-c", config["doctor"])
        assert said.exit_code == 0, said.output
        for process, log in started.values():
            wait_for(lambda log=log: get(log, "/-/ready")[0] == 200, log, process)  # type: ignore[misc]
        process, log = started["evaluate"]
        read = stack.enter_context(reading(secured, topics))
        wait_for(lambda: counted(read()) == sent, log, process)
        for process, _ in started.values():
            process.terminate()
        for process, log in started.values():
            assert process.wait(60) == 0, log.read_text()
            assert "authoriz" not in log.read_text().lower()
