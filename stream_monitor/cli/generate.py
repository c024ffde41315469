"""`stream-monitor generate`: a made-up stream of predictions and labels, for trying things out and for load."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_monitor.errors import UsageError

if TYPE_CHECKING:
    from stream_monitor.app.generate_kafka import Sent

_PLAIN_EVERY_S = 5.0
_TERMINAL_EVERY_S = 0.2


def generate(
    bootstrap: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Kafka; default: the config's, or localhost:9092.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", help="Take models, topics and Kafka properties from here."),
    ] = None,
    rate: Annotated[float, typer.Option(min=0.01, max=1_000_000, help="Predictions a second, over all models.")] = 100,
    duration: Annotated[
        str | None, typer.Option(help="Predict for so long, e.g. 5m; labels still follow. Default: until Ctrl-C.")
    ] = None,
    drift: Annotated[bool, typer.Option("--drift/--no-drift", help="Whether the stream ever changes.")] = True,
    shift_after: Annotated[str, typer.Option(help="When an input feature shifts.")] = "3m",
    drift_after: Annotated[str, typer.Option(help="When inputs come to mean something else.")] = "6m",
    repeat: Annotated[str, typer.Option(help="When all is calm again and the changes begin anew; 0: never.")] = "10m",
    label_delay: Annotated[str, typer.Option(help="Median time from prediction to label.")] = "5s",
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same values.")] = 1,
) -> None:
    """Produce made-up predictions and labels that drift, keyed by prediction_id."""
    from stream_monitor.app.durations import parse_duration
    from stream_monitor.app.generate import EventStream, StreamPolicy
    from stream_monitor.app.generate_kafka import Player, sent_line, target_of
    from stream_monitor.cli.stopping import stop_event

    def milliseconds(option: str, text: str) -> int:
        try:
            return parse_duration(text)
        except ValueError as error:
            raise UsageError(f"{option} {text!r} is not accepted: {error}") from None

    target = target_of(config, bootstrap)
    lasts = None if duration is None else milliseconds("--duration", duration)
    policy = StreamPolicy(
        worlds=target.worlds,
        rate=rate,
        seed=seed,
        label_delay_ms=milliseconds("--label-delay", label_delay) if target.labels else None,
        shift_after_ms=milliseconds("--shift-after", shift_after) if drift else None,
        drift_after_ms=milliseconds("--drift-after", drift_after) if drift else None,
        repeat_ms=milliseconds("--repeat", repeat) or None,
        events=None if lasts is None else max(1, int(lasts * rate / 1000)),
    )
    servers, topics = target.client["bootstrap.servers"], " and ".join(target.topics.values())
    player = Player(target.client, target.topics)
    typer.echo(f"{rate:g} predictions a second to {topics} at {servers}; Ctrl-C ends it", err=True)
    start_ms = time.time_ns() // 1_000_000
    with _said(lambda sent: sent_line(sent, policy, start_ms)) as say:
        player.on_step = say
        sent = player.play(EventStream(policy, start_ms), stop_event())
    typer.echo(sent_line(sent, policy, start_ms))


@contextmanager
def _said(line: Callable[[Sent], str]) -> Iterator[Callable[[Sent], None]]:
    """Yields what to call with each step: one living line on a terminal, a plain one now and then when piped."""
    last = time.monotonic()
    if sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True).status("starting") as status:

            def show(sent: Sent) -> None:
                nonlocal last
                if time.monotonic() - last >= _TERMINAL_EVERY_S:
                    last = time.monotonic()
                    status.update(line(sent))

            yield show
        return

    def print_now_and_then(sent: Sent) -> None:
        nonlocal last
        if time.monotonic() - last >= _PLAIN_EVERY_S:
            last = time.monotonic()
            typer.echo(line(sent), err=True)

    yield print_now_and_then
