"""`stream-monitor generate`: a made-up stream of predictions and labels, for trying things out and for load."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_monitor.cli.options import remembered
from stream_monitor.errors import UsageError

if TYPE_CHECKING:
    from stream_monitor.app.generate_sent import Sent

_PLAIN_EVERY_S = 5.0
_TERMINAL_EVERY_S = 0.2


def generate(
    bootstrap: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Kafka; default: the config's, or localhost:9092."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            metavar="FILE",
            callback=remembered,
            help="Take models, topics and Kafka properties from here.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write predictions.ndjson and labels.ndjson here, and nothing to Kafka; needs --events or --duration.",
        ),
    ] = None,
    rate: Annotated[
        str,
        typer.Option(metavar="NUMBER|max", help="Predictions a second, over all models; max: as many as go."),
    ] = "100",
    event_rate: Annotated[
        str | None,
        typer.Option(metavar="NUMBER", help="Predictions a second of event time; default: as --rate, with max 1000."),
    ] = None,
    events: Annotated[
        int | None,
        typer.Option(help="Predictions in all; labels still follow. Default: until Ctrl-C."),
    ] = None,
    duration: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="The same in event time, e.g. 5m."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Event time of the first prediction. Default: now; of what is sent faster than its event time passes: "
            "so early that it ends now; of files: 2026-01-01T00:00:00Z.",
        ),
    ] = None,
    models: Annotated[
        int | None,
        typer.Option(
            help="So many, in turn: credit-1, credit-2, …; default: those of the config, or one named credit.",
        ),
    ] = None,
    versions: Annotated[int, typer.Option(help="Of each model, in turn: 1, 2, ….")] = 1,
    numeric: Annotated[int, typer.Option(help="Numeric features, at least 1.")] = 5,
    categorical: Annotated[int, typer.Option(help="Categorical features.")] = 3,
    missing: Annotated[float, typer.Option(help="Share, 0 to 1, of numeric values that are null.")] = 0.01,
    segment: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TAG=N|TAG=A,B,…",
            help="A tag with so many values or these, each as often; again for each tag; none: no tags. "
            "Default: country, half of it DE, then FR, then US.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same values.")] = 1,
    drift: Annotated[bool, typer.Option("--drift/--no-drift", help="Whether the stream ever changes.")] = True,
    shift_after: Annotated[str, typer.Option(metavar="DURATION", help="When input features shift.")] = "3m",
    shift_ramp: Annotated[
        str, typer.Option(metavar="DURATION", help="How long it takes until the shift is complete.")
    ] = "0s",
    shift_size: Annotated[
        float,
        typer.Option(
            help="By how many standard deviations, -10 to 10; of a categorical feature half of the rows (at 1), three "
            "quarters (at 2), … take its rarest value.",
        ),
    ] = 1.5,
    shift_features: Annotated[
        str | None,
        typer.Option(metavar="NAME,…|N", help="Which: names, or the first N numeric ones; default: 1."),
    ] = None,
    drift_after: Annotated[
        str, typer.Option(metavar="DURATION", help="When inputs come to mean something else.")
    ] = "6m",
    drift_size: Annotated[
        float,
        typer.Option(help="0: as before; 0.5: they mean nothing any more; 1: the opposite."),
    ] = 1.0,
    drift_features: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,…|N", help="Which: names, or the first N numeric ones; default: the second and third."
        ),
    ] = None,
    repeat: Annotated[
        str,
        typer.Option(metavar="DURATION", help="When all is calm again and the changes begin anew; 0: never."),
    ] = "10m",
    label_delay: Annotated[
        str,
        typer.Option(metavar="DURATION", help="Median time from prediction to label: half to twice of it."),
    ] = "5s",
    label_share: Annotated[float, typer.Option(help="Share, 0 to 1, of predictions that get a label.")] = 1.0,
    out_of_order: Annotated[
        str, typer.Option(metavar="DURATION", help="Events are sent up to this late, each its own.")
    ] = "500ms",
    duplicates: Annotated[float, typer.Option(help="Share, 0 to 1, of predictions that are sent twice.")] = 0.01,
) -> None:
    """Produce made-up predictions and labels that drift, keyed by prediction_id."""
    from stream_monitor.app.generate import EventStream
    from stream_monitor.app.generate_kafka import Player, target_of, wall_clock_ms
    from stream_monitor.app.generate_options import GenerateOptions
    from stream_monitor.app.generate_sent import sent_line
    from stream_monitor.cli.stopping import stop_event

    options = GenerateOptions(
        rate=rate,
        event_rate=event_rate,
        events=events,
        duration=duration,
        start=start,
        models=models,
        versions=versions,
        numeric=numeric,
        categorical=categorical,
        missing=missing,
        segment=segment or (),
        drift=drift,
        shift_after=shift_after,
        shift_ramp=shift_ramp,
        shift_size=shift_size,
        shift_features=shift_features,
        drift_after=drift_after,
        drift_size=drift_size,
        drift_features=drift_features,
        repeat=repeat,
        label_delay=label_delay,
        label_share=label_share,
        out_of_order=out_of_order,
        duplicates=duplicates,
        seed=seed,
    )
    if out is not None and bootstrap is not None:
        raise UsageError("--out and --bootstrap both say where the stream goes: give one of them")
    target = target_of(config, bootstrap)
    policy = options.stream(target.worlds, labels=target.labels)
    if out is not None:
        from stream_monitor.app.generate_files import write_files

        stream = EventStream(policy, options.files_start_ms(policy))
        with _said(lambda sent: sent_line(sent, policy, stream.start_ms)) as say:
            sent = write_files(stream, out, stop_event(), say)
        typer.echo(f"{sent_line(sent, policy, stream.start_ms)}; in {out}")
        return

    speed = options.speed
    options.start_ms(policy, int(wall_clock_ms()))  # what is wrong with it is said before a broker is looked for
    servers, topics = target.client["bootstrap.servers"], target.topics_of(policy)
    player = Player(target.client, topics)
    began_ms = wall_clock_ms()
    stream = EventStream(policy, options.start_ms(policy, int(began_ms)))
    pace = "as many predictions as go" if speed == math.inf else f"{policy.rate * speed:g} predictions a second"
    typer.echo(f"{pace} to {' and '.join(topics.values())} at {servers}; Ctrl-C ends it", err=True)

    def now_ms() -> float:
        """The event time that it is for the stream, which runs at its own speed."""
        return math.inf if speed == math.inf else stream.start_ms + (wall_clock_ms() - began_ms) * speed

    with _said(lambda sent: sent_line(sent, policy, stream.start_ms)) as say:
        player.on_step = say
        sent = player.play(stream, stop_event(), now_ms)
    typer.echo(sent_line(sent, policy, stream.start_ms))


@contextmanager
def _said(line: Callable[[Sent], str]) -> Iterator[Callable[[Sent], None]]:
    """Yields what to call with each step: one living line on a terminal, a plain one now and then when piped."""
    began = last = time.monotonic()

    def due(every_s: float) -> bool:
        nonlocal last
        if time.monotonic() - last < every_s:
            return False
        last = time.monotonic()
        return True

    def full(sent: Sent) -> str:
        return f"{line(sent)}; {sent.records / (time.monotonic() - began):,.0f} records/s"

    if sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True).status("starting") as status:
            yield lambda sent: status.update(full(sent)) if due(_TERMINAL_EVERY_S) else None
        return
    yield lambda sent: typer.echo(full(sent), err=True) if due(_PLAIN_EVERY_S) else None
