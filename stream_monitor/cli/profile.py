"""`stream-monitor profile build` and `profile show`: a reference profile from rows at hand, and what is in one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_monitor.cli.group import command_group
from stream_monitor.cli.options import DEFAULT_CONFIG, ConfigFile
from stream_monitor.errors import StreamMonitorError, UsageError

if TYPE_CHECKING:
    from stream_monitor.app.profile_data import ReferenceRows
    from stream_monitor.events.columns import FeatureKind

app = command_group("Reference profiles: what the stream is compared with.")


@app.callback()
def profile() -> None:
    pass


@app.command("build")
def build(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="NDJSON prediction events, or a .csv file.")],
    model: Annotated[str, typer.Option(metavar="NAME", help="A model of the config.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="PROFILE", help="Where to write the profile.")],
    config: ConfigFile = DEFAULT_CONFIG,
    features: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="CSV: feature columns; default: all others.")
    ] = None,
    score: Annotated[str | None, typer.Option(metavar="COLUMN", help="CSV: the predicted score.")] = None,
    label: Annotated[str | None, typer.Option(metavar="COLUMN", help="CSV: the predicted class.")] = None,
    actual: Annotated[str | None, typer.Option(metavar="COLUMN", help="CSV: the true class or value.")] = None,
    value: Annotated[str | None, typer.Option(metavar="COLUMN", help="CSV: the predicted value.")] = None,
    numeric: Annotated[str | None, typer.Option(metavar="A,B,…", help="Features to take as numeric.")] = None,
    categorical: Annotated[str | None, typer.Option(metavar="A,B,…", help="Features to take as categorical.")] = None,
) -> None:
    """Build a profile from training data, or from any period known to be good."""
    from stream_monitor.app.config import load_config
    from stream_monitor.app.policies import decode_policy, model_policy
    from stream_monitor.app.profile_build import build_from_rows, doubts
    from stream_monitor.app.profile_data import CsvColumns, read_csv, read_ndjson
    from stream_monitor.cli.progress import progress

    settings = load_config(config)
    found = [entry for entry in settings.models if entry.name == model]
    if not found:
        known = ", ".join(entry.name for entry in settings.models) or "none"
        raise UsageError(f"The config has no model {model!r}; accepted: {known}")
    if not data.is_file():
        raise UsageError(f"There is no file {data}")
    policy = model_policy(found[0])
    csv_options = {"features": features, "score": score, "label": label, "actual": actual, "value": value}
    is_csv = data.suffix.lower() == ".csv"
    if not is_csv and any(csv_options.values()):
        given = ", ".join(f"--{name}" for name, column in csv_options.items() if column)
        raise UsageError(f"{given} name columns of a CSV, and {data} does not end in .csv")
    with progress(f"reading {data.name}", data.stat().st_size) as advance:
        rows: ReferenceRows
        if is_csv:
            names = CsvColumns(_names(features), score, label, actual, value)
            rows = read_csv(data, policy.outcome, names, advance)
        else:
            rows = read_ndjson(data, model, decode_policy(settings), policy.outcome, advance)
    kinds: dict[str, FeatureKind] = dict.fromkeys(_names(numeric), "numeric")
    kinds |= dict.fromkeys(_names(categorical), "categorical")
    made = build_from_rows(rows, policy, kinds, settings.privacy.hash_key.encode())
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        # It holds the categories and quantiles of the training data: for its owner alone, who may share it.
        with os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(made.to_json() + b"\n")
    except OSError as error:
        raise StreamMonitorError(f"{output} cannot be written: {error.strerror}") from None
    if rows.rejected:
        typer.echo(f"{rows.rejected} lines were no events; the first one's fault: {rows.first_reject}", err=True)
    if rows.lone_labels:
        typer.echo(
            f"{rows.lone_labels} label events were left out; "
            "a true class or value is taken from `actual` in the prediction's own line",
            err=True,
        )
    if rows.others:
        typer.echo(f"{rows.others} events of other models were left out", err=True)
    for doubt in doubts(rows, policy, made):
        typer.secho(f"Look again: {doubt}", fg="yellow", err=True)
    show(output)
    typer.echo(f"\nwritten to {output}")


@app.command("show")
def show(file: Annotated[Path, typer.Argument(metavar="PROFILE", help="A profile file.")]) -> None:
    """Show what is in a profile: its features, their types, and how they were distributed."""
    from stream_monitor.app.setup import read_profile
    from stream_monitor.cli.profile_table import print_profile

    print_profile(read_profile(file))


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())
