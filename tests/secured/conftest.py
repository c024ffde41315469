import re
from collections.abc import Iterator

import pytest
from confluent_kafka.admin import (
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from tests.broker.secured import SecuredBroker
from tests.broker.topics import TopicSpace
from tests.cli.conftest import run

__all__ = ["run"]


@pytest.fixture
def topics(secured: SecuredBroker, request: pytest.FixtureRequest) -> Iterator[TopicSpace]:
    """Names of this test alone; its own clients are the super user's. What it gives to others ends with it."""
    label = re.sub(r"[^a-zA-Z0-9]+", "-", request.node.name).removeprefix("test-")
    space = TopicSpace(secured.addresses["sasl"], label, secured.sasl("admin"))
    yield space
    everything = (ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY)
    for answer in space.admin.delete_acls([AclBindingFilter(*everything)]).values():
        answer.result(30)
