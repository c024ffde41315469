"""`stream-monitor topics create`: make the topics that are missing, say how the others differ."""

from __future__ import annotations

import typer

from stream_monitor.cli.group import command_group
from stream_monitor.cli.options import DEFAULT_CONFIG, ConfigFile

app = command_group("The topics that the monitor reads and writes.")


@app.callback()
def topics() -> None:
    pass


@app.command("create")
def create(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Create missing topics; existing ones are left alone, and what differs is reported."""
    from stream_monitor.app.broker import wanted_topics
    from stream_monitor.app.connection import connected
    from stream_monitor.app.setup import load_setup
    from stream_monitor.kafka.topics import create_topics

    setup = load_setup(config)
    connection = connected(setup.client)
    specs = wanted_topics(setup, connection.partitions)
    reports = create_topics(connection.admin, specs, replication=setup.config.topics.replication_factor or -1)
    for report in reports:
        done = "created" if report.created else "exists "
        typer.echo(
            f"{done}  {report.spec.name}  {report.partitions} {'partition' if report.partitions == 1 else 'partitions'}"
        )
        for difference in report.differences:
            typer.secho(f"         differs: {difference}", fg="yellow")
