"""Access lists of one test on the secured broker: what `stream-monitor acls` prints, given to a user or taken away."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from typer.testing import CliRunner

from stream_monitor.cli.main import app

_RESOURCES = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional-id": ResourceType.TRANSACTIONAL_ID,
}


class Grant(NamedTuple):
    """One line of what the command prints, without its reason."""

    principal: str
    operation: str
    resource: str
    name: str
    pattern: str

    def __str__(self) -> str:
        """As errors name the right."""
        star = "*" if self.pattern == "prefixed" else ""
        return f"{self.operation} on {self.resource.replace('-', ' ')} {self.name}{star}"


def printed(config: Path, role: str) -> list[Grant]:
    """What the command prints for a role, for the user of the same name."""
    words = ["acls", "-c", str(config), "--role", role, "--principal", f"User:{role}", "--format", "json"]
    said = CliRunner().invoke(app, words, catch_exceptions=False)
    assert said.exit_code == 0, said.output
    return [Grant(*(each[field] for field in Grant._fields)) for each in json.loads(said.stdout)]


def give(admin: AdminClient, grants: Iterable[Grant]) -> None:
    wanted = [_binding(grant, AclBinding) for grant in grants]
    for answer in admin.create_acls(wanted).values():
        answer.result(30)
    _until(lambda: all(admin.describe_acls(_exactly(each)).result(30) for each in wanted))


def take(admin: AdminClient, grants: Iterable[Grant]) -> None:
    wanted = [_exactly(_binding(grant, AclBinding)) for grant in grants]
    for answer in admin.delete_acls(wanted).values():
        assert answer.result(30), "there was no such right"
    _until(lambda: not any(admin.describe_acls(each).result(30) for each in wanted))


def _until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    """The controller answers before the broker's own list has followed."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _binding(grant: Grant, kind: type[AclBinding]) -> AclBinding:
    operation = {"DescribeConfigs": AclOperation.DESCRIBE_CONFIGS}.get(grant.operation)
    return kind(
        _RESOURCES[grant.resource],
        grant.name,
        ResourcePatternType[grant.pattern.upper()],
        grant.principal,
        "*",
        operation or AclOperation[grant.operation.upper()],
        AclPermissionType.ALLOW,
    )


def _exactly(each: AclBinding) -> AclBindingFilter:
    return AclBindingFilter(
        each.restype,
        each.name,
        each.resource_pattern_type,
        each.principal,
        each.host,
        each.operation,
        each.permission_type,
    )
