"""`stream-monitor demo`: everything at once, without Kafka: a broker in the process, the monitor, and a stream."""

from __future__ import annotations

from typing import Annotated

import typer

from stream_monitor.errors import UsageError


def demo(
    duration: Annotated[
        str, typer.Option(metavar="DURATION", help="How long it plays, e.g. 60s; 30s or more.")
    ] = "60s",
    drift: Annotated[bool, typer.Option("--drift/--no-drift", help="Whether the stream changes on the way.")] = True,
) -> None:
    """Show the monitor at work on a stream that drifts; needs no Kafka and leaves nothing behind."""
    import sys
    import time

    began = time.monotonic()
    from stream_monitor.app.demo_plan import DemoPlan
    from stream_monitor.app.durations import parse_duration

    try:
        plan = DemoPlan(parse_duration(duration), drift)
    except ValueError as error:
        raise UsageError(f"--duration {duration!r} is not accepted: {error}") from None
    # Said before the imports, which take some seconds on a small machine.
    typer.echo("Starting a Kafka broker inside this process, building a reference profile, starting the monitor …")
    from stream_monitor.cli.demo_show import LiveView, PlainView, show

    raise typer.Exit(show(plan, LiveView() if sys.stdout.isatty() else PlainView(), began))
