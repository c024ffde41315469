"""`stream-monitor schema`: JSON Schemas of all public events."""

from __future__ import annotations

from typing import Annotated

import typer

from stream_monitor.errors import UsageError


def schema(
    event: Annotated[str | None, typer.Argument(metavar="EVENT", help="Only this event; else all of them.")] = None,
) -> None:
    """Print the JSON Schemas of all public events."""
    import json

    from stream_monitor.events.schema import json_schemas

    schemas = json_schemas()
    if event is not None and event not in schemas:
        raise UsageError(f"There is no event {event!r}; accepted: {', '.join(schemas)}")
    typer.echo(json.dumps(schemas if event is None else schemas[event], indent=2, ensure_ascii=False))
