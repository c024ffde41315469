"""A profile as a table for a person: one line a feature. Colour and box lines only on a terminal."""

from __future__ import annotations

import typer

from stream_monitor.cli.table import print_table
from stream_monitor.events.times import format_timestamp
from stream_monitor.reference.features import CategoricalFeature, Feature
from stream_monitor.reference.profile import Profile

_TOP = 3


def print_profile(profile: Profile) -> None:
    typer.echo(f"model      {profile.model_name} ({profile.task}), {profile.kind} profile {profile.id}")
    typer.echo(f"schema     {profile.schema_id}")
    typer.echo(f"rows       {profile.n}")
    if profile.classes:
        typer.echo(f"classes    {', '.join(profile.classes)}")
    typer.echo(f"made       {format_timestamp(profile.created_at)}")
    features = [*profile.features, *([profile.output] if profile.output is not None else [])]
    print_table(
        ("feature", "type", "bins", "missing", "invalid", "values"),
        [_line(feature, profile.n) for feature in features],
    )


def _line(feature: Feature, rows: int) -> tuple[str, ...]:
    missing, invalid = (f"{count / rows:.1%}" if rows else "–" for count in (feature.missing, feature.invalid))
    if isinstance(feature, CategoricalFeature):
        kind = "categorical, open" if feature.open_vocabulary else "categorical"
        top = ", ".join(
            f"{name} {count / feature.n:.0%}"
            for name, count in list(zip(feature.categories, feature.counts, strict=True))[:_TOP]
        )
        more = len(feature.categories) - _TOP
        values = f"{top}, {more} more" if more > 0 else top
        return (feature.name, kind, str(len(feature.psi_groups)), missing, invalid, values)
    kind = "numeric, discrete" if feature.discrete else "numeric"
    values = "none" if feature.mean is None else f"{feature.minimum:g} … {feature.maximum:g}, mean {feature.mean:g}"
    return (feature.name, kind, str(len(feature.psi_groups)), missing, invalid, values)
