"""Where the tests' Kafka broker comes from: the first source that works.

1. `STREAM_MONITOR_TEST_BOOTSTRAP`: a broker somebody else runs.
2. Docker, if an engine answers, through testcontainers.
3. Kafka 4.1.1 from Maven jars (needs `mvn` once and `java` 17 or newer).

`running_broker()` yields a started `Broker` and stops what it started. Where none works it raises `NoBroker`
with one sentence that names each source and why it did not work. Costs about 4 s with jars.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

BOOTSTRAP_VARIABLE = "STREAM_MONITOR_TEST_BOOTSTRAP"
KAFKA_VERSION = "4.1.1"
GIVEN_TIMEOUT_S = 15.0


class NoBroker(Exception):
    """No source gave a broker; the message says why for each."""


class SourceUnavailable(Exception):
    """This one source cannot give a broker here; the message says why."""


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker that answers metadata requests: `bootstrap` is its host:port list, `source` its origin."""

    bootstrap: str
    source: str


@contextmanager
def running_broker() -> Iterator[Broker]:
    from tests.broker.docker import docker_broker
    from tests.broker.jars import jar_broker

    given = os.environ.get(BOOTSTRAP_VARIABLE)
    if given:
        try:
            wait_until_answering({"bootstrap.servers": given}, timeout_s=GIVEN_TIMEOUT_S)
        except SourceUnavailable as error:
            raise NoBroker(f"no Kafka broker for tests: {BOOTSTRAP_VARIABLE}={given}: {error}") from error
        yield Broker(given, BOOTSTRAP_VARIABLE)
        return
    reasons = [f"{BOOTSTRAP_VARIABLE} is not set"]
    for source in (docker_broker, jar_broker):
        manager = source()
        try:
            broker = manager.__enter__()
        except SourceUnavailable as error:
            reasons.append(str(error))
            continue
        try:
            yield broker
        finally:
            manager.__exit__(None, None, None)
        return
    raise NoBroker("no Kafka broker for tests: " + "; ".join(reasons))


def wait_until_answering(client: Mapping[str, object], *, timeout_s: float) -> None:
    """Wait for metadata, not for the port: the port opens while the coordinators are still loading."""
    admin = AdminClient({**client, "log_level": 0})
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            admin.list_topics(timeout=1.0)
            return
        except KafkaException as error:
            if time.monotonic() >= deadline:
                raise SourceUnavailable(
                    f"{client['bootstrap.servers']} gave no metadata within {timeout_s:.0f} s ({error.args[0].str()})"
                ) from error
            time.sleep(0.1)


def properties(**values: object) -> dict[str, str]:
    """The server properties of this folder with `{port}` and the like filled in."""
    path = os.path.join(os.path.dirname(__file__), "server.properties")
    with open(path, encoding="utf-8") as file:
        lines = [line.strip() for line in file]
    pairs = (line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return {key: value.format(**values) for key, value in pairs}
