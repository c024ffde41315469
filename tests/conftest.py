"""Fixtures shared by all tests: one real Kafka broker a session, own topics and groups a test."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator

import hypothesis
import pytest

from tests.broker.secured import SecuredBroker, secured_broker
from tests.broker.source import Broker, NoBroker, running_broker
from tests.broker.topics import TopicSpace

# Tests do not measure time, and a busy machine is no fault.
hypothesis.settings.register_profile("stream-monitor", deadline=None)
hypothesis.settings.load_profile("stream-monitor")

REQUIRE_VARIABLE = "STREAM_MONITOR_REQUIRE_BROKER"


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """A real broker, or a skip that says why; a failure instead where one is demanded."""
    try:
        with running_broker() as running:
            yield running
    except NoBroker as error:
        if os.environ.get(REQUIRE_VARIABLE) == "1":
            pytest.fail(f"{error} ({REQUIRE_VARIABLE}=1 demands one)", pytrace=False)
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def secured() -> Iterator[SecuredBroker]:
    """A real broker with TLS, authentication and access lists; started when the first test asks for it."""
    try:
        with secured_broker() as running:
            yield running
    except NoBroker as error:
        if os.environ.get(REQUIRE_VARIABLE) == "1":
            pytest.fail(f"{error} ({REQUIRE_VARIABLE}=1 demands one)", pytrace=False)
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def bootstrap(broker: Broker) -> str:
    return broker.bootstrap


@pytest.fixture
def topics(bootstrap: str, request: pytest.FixtureRequest) -> TopicSpace:
    """Names, creation, producing and reading back of topics that belong to this test alone."""
    return TopicSpace(bootstrap, re.sub(r"[^a-zA-Z0-9]+", "-", request.node.name))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say why tests were skipped, one line a reason: with neither Docker nor Java it would be seventy equal ones."""
    reasons = Counter(str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", []))
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"{count} {reason}")
