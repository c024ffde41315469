"""`stream-monitor backtest`: the same two folds over two files, no Kafka."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from stream_monitor.cli.options import DEFAULT_CONFIG, ConfigFile

DRIFT_FOUND = 3


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


def backtest(
    predictions: Annotated[Path, typer.Option(metavar="NDJSON", help="Prediction events, one a line.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="For metrics.ndjson and alerts.ndjson.")
    ],
    labels: Annotated[Path | None, typer.Option(metavar="NDJSON", help="Label events, one a line.")] = None,
    config: ConfigFile = DEFAULT_CONFIG,
    fail_on: Annotated[
        Severity | None, typer.Option(help="Exit 3 if an alert of this severity or a higher one fired.")
    ] = None,
) -> None:
    """Monitor past events from files, with the same code and figures as live."""
    from stream_monitor.app.backtest import DEAD_LETTERS_FILE, alert_line, remarks, run_backtest
    from stream_monitor.app.setup import load_setup
    from stream_monitor.cli.progress import progress
    from stream_monitor.cli.table import print_table
    from stream_monitor.errors import StreamMonitorError, UsageError

    setup = load_setup(config)
    for file in (predictions, labels):
        if file is not None and not file.is_file():
            raise UsageError(f"There is no file {file}")
    total = sum(file.stat().st_size for file in (predictions, labels) if file is not None)
    with progress("backtest", total) as advance:
        report = run_backtest(setup, predictions, labels, output, advance)
    typer.echo(f"{report.predictions} predictions, {report.labels} labels, {sum(report.rejected.values())} rejected")
    for reason, count in sorted(report.rejected.items()):
        typer.echo(f"  rejected as {reason}: {count}")
    if report.rejected and setup.config.dead_letters.enabled:
        typer.echo(f"  each with its fault in {output / DEAD_LETTERS_FILE}")
    for remark in remarks(setup, report):
        typer.echo(remark)
    if report.lines:
        typer.echo("")
        print_table(
            ("model", "metric", "figures", "lowest", "highest", "of"),
            [
                (
                    line.model,
                    line.metric,
                    str(line.windows),
                    f"{line.lowest:.4g}",
                    f"{line.highest:.4g}",
                    line.highest_of,
                )
                for _, line in sorted(report.lines.items())
            ],
        )
    total_fired = sum(report.severities.values())
    typer.echo(f"\n{total_fired} alert{'' if total_fired == 1 else 's'} fired")
    if report.fired:
        print_table(("rule", "severity", "of", "since"), [alert_line(alert) for alert in report.fired])
    if total_fired > len(report.fired):
        typer.echo(f"and {total_fired - len(report.fired)} more")
    typer.echo(f"\n{report.metric_events} metric events and {report.alert_events} alert events in {output}")
    if report.rejected and sum(report.rejected.values()) == report.predictions + report.labels:
        raise StreamMonitorError(f"none of the {report.predictions + report.labels} lines is a usable event")
    order = list(Severity)
    if fail_on is not None and any(report.severities[each] for each in order[order.index(fail_on) :]):
        typer.echo(f"An alert of severity {fail_on} or higher fired.", err=True)
        raise typer.Exit(DRIFT_FOUND)
