"""`stream-monitor doctor`: look at everything a run needs, one line each, with what mends it."""

from __future__ import annotations

from typing import Annotated

import typer

from stream_monitor.cli.failures import as_said
from stream_monitor.cli.options import DEFAULT_CONFIG, ConfigFile
from stream_monitor.cli.run import Role
from stream_monitor.errors import ConfigError


def doctor(
    config: ConfigFile = DEFAULT_CONFIG,
    instance: Annotated[str | None, typer.Option(help="The instance to look at; default: the host's name.")] = None,
    role: Annotated[
        list[Role] | None, typer.Option(help="Also: may this client run the stage? Again for more.")
    ] = None,
) -> None:
    """Check everything that a run needs: packages, config, state, port, broker, topics and keys."""
    from stream_monitor.app.doctor import examine
    from stream_monitor.app.redaction import redact

    failed: set[str] = set()
    for finding in examine(config, instance, role or ()):
        word, colour = ("ok    ", "green") if finding.ok else ("failed", "red")
        typer.echo(f"{typer.style(word, fg=colour)}  {finding.subject:<10}  {redact(finding.detail)}")
        if not finding.ok:
            failed.add(finding.subject)
            if finding.mend:
                typer.echo(f"        {'':<10}  → {as_said(finding.mend, config)}")
    if failed:
        raise typer.Exit(ConfigError.exit_code if failed == {"config"} else 1)
