"""`stream-monitor validate`: everything that can be said about a config without a broker."""

from __future__ import annotations

import typer

from stream_monitor.cli.options import DEFAULT_CONFIG, ConfigFile


def validate(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Check a config and list all its mistakes at once."""
    from stream_monitor.app.setup import load_setup
    from stream_monitor.app.sizes import format_size

    setup = load_setup(config, ask_librdkafka=True)
    models = ", ".join(setup.policies.models) or "none listed, models register themselves"
    typer.echo(f"{config} is valid. Models: {models}. Rules: {', '.join(rule.name for rule in setup.policies.rules)}.")
    budget = format_size(setup.config.limits.memory_budget)
    typer.echo(f"{setup.memory}; limits.memory_budget is {budget}.")
