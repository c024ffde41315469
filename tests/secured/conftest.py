import re

import pytest

from tests.broker.secured import SecuredBroker
from tests.broker.topics import TopicSpace
from tests.cli.conftest import run

__all__ = ["run"]


@pytest.fixture
def topics(secured: SecuredBroker, request: pytest.FixtureRequest) -> TopicSpace:
    """Names of this test alone; its own clients are the super user's."""
    label = re.sub(r"[^a-zA-Z0-9]+", "-", request.node.name).removeprefix("test-")
    return TopicSpace(secured.addresses["sasl"], label, secured.sasl("admin"))
