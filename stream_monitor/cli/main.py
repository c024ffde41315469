"""The command line: `stream-monitor COMMAND`. One file a command; this one only puts them together.

Heavy modules (confluent-kafka, numpy, pydantic, rich) are imported inside the commands, so that `--help` is quick.
Exit codes: 0 ok, 1 failure while running, 2 wrong usage, 3 drift found, 78 wrong config.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from stream_monitor import __version__
from stream_monitor.cli import acls, backtest, demo, doctor, generate, init, profile, run, schema, topics, validate
from stream_monitor.cli.group import command_group

app = command_group(
    "Monitors machine-learning models: predictions and labels from Kafka in, drift and alerts out.",
    name="stream-monitor",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"stream-monitor {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


app.command("demo")(demo.demo)
app.command("init")(init.init)
app.command("validate")(validate.validate)
app.add_typer(topics.app, name="topics")
app.add_typer(profile.app, name="profile")
app.command("schema")(schema.schema)
app.command("run")(run.run)
app.command("backtest")(backtest.backtest)
app.command("doctor")(doctor.doctor)
app.command("acls")(acls.acls)
app.command("generate")(generate.generate)


def main() -> None:
    try:
        app()
    except Exception:
        # Python's own way would show what stands in the error's text, which may be a secret.
        import traceback

        from stream_monitor.app.redaction import redact

        sys.stderr.write(redact(traceback.format_exc()))
        sys.exit(1)


if __name__ == "__main__":  # `python -m stream_monitor.cli.main`: how a supervisor starts its workers
    main()
