"""`stream-monitor validate`: everything that can be said about a config without a broker."""

from __future__ import annotations

import typer

from stream_monitor.cli.options import DEFAULT_CONFIG, ConfigFile


def validate(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Check a config and list all its mistakes at once."""
    from stream_monitor.app.setup import load_setup

    setup = load_setup(config, ask_librdkafka=True)
    models = ", ".join(setup.policies.models) or "none listed, models register themselves"
    typer.echo(f"{config} is valid. Models: {models}. Rules: {', '.join(rule.name for rule in setup.policies.rules)}.")
