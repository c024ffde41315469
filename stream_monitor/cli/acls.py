"""`stream-monitor acls`: the least rights each role needs, as a table, as commands or as JSON."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from stream_monitor.cli.options import DEFAULT_CONFIG, ConfigFile
from stream_monitor.cli.table import print_table
from stream_monitor.errors import UsageError

if TYPE_CHECKING:
    from stream_monitor.kafka.rights import Right

# As kafka-acls reads it; it refuses a name alone, line after line.
_PRINCIPAL = re.compile(r"[A-Za-z]+:\S(.*\S)?")


class AclRole(StrEnum):
    REPARTITION = "repartition"
    INGEST = "ingest"
    EVALUATE = "evaluate"
    REACT = "react"
    TOPICS = "topics"
    DOCTOR = "doctor"
    PRODUCER = "producer"
    READER = "reader"


class Form(StrEnum):
    TABLE = "table"
    COMMANDS = "commands"
    JSON = "json"


def acls(
    config: ConfigFile = DEFAULT_CONFIG,
    role: Annotated[
        list[AclRole] | None,
        typer.Option(
            help="Only this role; again for more. run: repartition (where configured), ingest, evaluate and react; "
            "topics: topics create; producer: sends events; reader: reads metrics and alerts. Default: each of them."
        ),
    ] = None,
    principal: Annotated[
        str | None,
        typer.Option(metavar="User:NAME", help="Who gets the rights; default: User:stream-monitor-ROLE."),
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="commands: ready for kafka-acls.")] = Form.TABLE,
) -> None:
    """Print the rights each role needs on a broker that keeps access lists, and no more than it needs."""
    from stream_monitor.app.rights import rights_of
    from stream_monitor.app.setup import load_setup

    if principal is not None and not _PRINCIPAL.fullmatch(principal):
        raise UsageError(
            f"--principal {principal!r} is not accepted: "
            f"Kafka wants a type and a name, such as User:{_named(principal)}"
        )
    setup = load_setup(config)
    lines = [
        (str(each), principal or f"User:stream-monitor-{each}", right)
        for each in role or list(AclRole)
        for right in rights_of(setup, each)
    ]
    if form is Form.TABLE:
        header = ("role", "principal", "operation", "resource", "name", "pattern", "why")
        print_table(header, [(name, who, *_cells(right), right.why) for name, who, right in lines])
    elif form is Form.JSON:
        typer.echo(json.dumps([_json(name, who, right) for name, who, right in lines], indent=2))
    else:
        print_commands(lines, str(setup.client["bootstrap.servers"]))


def print_commands(lines: Sequence[tuple[str, str, Right]], servers: str) -> None:
    typer.echo("# admin.properties: how somebody connects who may change access lists")
    last = None
    for name, who, right in lines:
        if name != last:
            typer.echo(f"# {name}")
            last = name
        words = ["kafka-acls.sh", "--bootstrap-server", servers, "--command-config", "admin.properties"]
        words += ["--add", "--allow-principal", who, "--operation", str(right.operation)]
        words += [f"--{right.resource}", right.name, "--resource-pattern-type", _pattern(right)]
        typer.echo(shlex.join(words))


def _named(principal: str) -> str:
    """What was probably meant as the name."""
    return principal.rpartition(":")[2].strip() or "NAME"


def _cells(right: Right) -> tuple[str, str, str, str]:
    return str(right.operation), str(right.resource), right.name, _pattern(right)


def _json(name: str, who: str, right: Right) -> dict[str, str]:
    operation, resource, on, pattern = _cells(right)
    return {
        "role": name,
        "principal": who,
        "operation": operation,
        "resource": resource,
        "name": on,
        "pattern": pattern,
        "why": right.why,
    }


def _pattern(right: Right) -> str:
    return "prefixed" if right.prefixed else "literal"
