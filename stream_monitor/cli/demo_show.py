"""Runs the demo and shows its story: a living screen on a terminal, plain lines when piped, and a summary."""

from __future__ import annotations

import queue
import tempfile
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import typer
from rich.console import Console
from rich.live import Live

from stream_monitor.app.demo import LOG, Demo, Failed, News, Reacted, running_demo
from stream_monitor.app.demo_plan import DemoPlan
from stream_monitor.app.demo_quiet import log_tail
from stream_monitor.app.demo_story import Story, Verdict, described
from stream_monitor.app.generate import Phase
from stream_monitor.cli.demo_screen import frame, minutes
from stream_monitor.cli.stopping import stop_event
from stream_monitor.errors import StreamMonitorError
from stream_monitor.events.alert import AlertEvent
from stream_monitor.events.metric import MetricEvent

_GRACE_S = 20.0  # beyond the duration, for a machine that is slow to count the last events
_INTERRUPTED = 130


class View(Protocol):
    """How a story is shown while it goes on."""

    def screen(self) -> AbstractContextManager[Any]: ...

    def update(self, story: Story, demo: Demo, phase: Phase, elapsed_s: float) -> None: ...


class PlainView:
    """A line for each thing that happens."""

    def __init__(self) -> None:
        self._said = 0

    def screen(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def update(self, story: Story, demo: Demo, phase: Phase, elapsed_s: float) -> None:
        for line in story.lines[self._said :]:
            typer.echo(f"{minutes(line.at_s)}  {line.text}")
        self._said = len(story.lines)


class LiveView:
    """A screen drawn anew four times a second; the last frame stays."""

    def __init__(self, console: Console | None = None) -> None:
        self._live = Live(console=console or Console(), auto_refresh=False, vertical_overflow="crop")

    def screen(self) -> AbstractContextManager[Any]:
        return self._live

    def update(self, story: Story, demo: Demo, phase: Phase, elapsed_s: float) -> None:
        shown = frame(story, demo.sent, phase, elapsed_s, playing=demo.playing, url=demo.url)
        self._live.update(shown, refresh=True)


def show(plan: DemoPlan, view: View, began: float) -> int:
    """Plays it and returns the exit code. The state is in a temporary folder that is removed.

    `began`: monotonic seconds at which the command started.
    """
    stop = stop_event()
    story = Story(plan)
    samples: list[str] = []
    with tempfile.TemporaryDirectory(prefix="stream-monitor-demo-") as name:
        folder = Path(name)
        try:
            with running_demo(plan, folder) as demo:
                story.say(time.monotonic() - began, f"the stream begins; metrics at {demo.url}/metrics")
                with view.screen():
                    while not _over(story, demo, plan) and not stop.is_set():
                        _take(story, _fresh(demo), time.monotonic() - began)
                        phase = demo.stream.phase(max(0, time.time_ns() // 1_000_000 - demo.start_ms))
                        if demo.playing:
                            story.phase(time.monotonic() - began, phase)
                        elif not samples:
                            # Now, since gauges show the newest window, and the next one is empty.
                            samples = demo.scrape()
                        view.update(story, demo, phase, time.monotonic() - began)
        except StreamMonitorError as error:
            typer.secho(f"The demo failed: {error}", fg="red", err=True)
            typer.echo(log_tail(folder / LOG), err=True)
            return error.exit_code
        if stop.is_set():
            typer.echo("Stopped.", err=True)
            return _INTERRUPTED
        verdict = story.verdict(demo.sent.predictions, demo.sent.labels)
        failures = verdict.failures(drift=plan.drift)
        _summary(story, verdict, demo.sent.repeats, samples, failures)
        if failures:
            typer.echo(log_tail(folder / LOG), err=True)
        return 1 if failures else 0


def _over(story: Story, demo: Demo, plan: DemoPlan) -> bool:
    """When all that was sent is counted and all expected alerts have come, or when that takes too long."""
    if demo.playing:
        return False
    verdict = story.verdict(demo.sent.predictions, demo.sent.labels)
    settled = verdict.counts_agree and not verdict.missing
    return settled or time.time() - demo.start_ms / 1000 > plan.duration_ms / 1000 + _GRACE_S


def _fresh(demo: Demo) -> list[News]:
    """What came since the last time; waits a quarter of a second at most for the first."""
    found: list[News] = []
    time.sleep(0.25)
    while True:
        try:
            found.append(demo.news.get_nowait())
        except queue.Empty:
            return found


def _take(story: Story, news: Iterable[News], at_s: float) -> None:
    news = list(news)
    story.metrics(at_s, [each for each in news if isinstance(each, MetricEvent)])
    for each in news:
        if isinstance(each, Failed):
            raise each.error
        if isinstance(each, AlertEvent):
            story.alert(at_s, each)
        elif isinstance(each, Reacted):
            story.reacted(at_s, each.alert)


def _summary(story: Story, verdict: Verdict, repeats: int, samples: list[str], failures: list[str]) -> None:
    agree = "equal" if verdict.counts_agree else "NOT EQUAL"
    typer.echo("")
    typer.echo(f"sent      {verdict.sent:,} predictions ({repeats:,} of them twice), {verdict.labels_sent:,} labels")
    typer.echo(
        f"counted   {verdict.counted:,} predictions in {verdict.windows} windows, {verdict.labels_counted:,} labels, "
        f"{verdict.too_late:,} events too late: {agree}"
    )
    shown = [alert for alert in story.alerts.values() if alert.fired_s is not None]
    for alert in sorted(shown, key=lambda alert: alert.fired_s or 0.0):
        word = "expected" if alert.expected else "follows from it" if story.plan.drift else "NOT EXPECTED"
        reacted = "not reacted to" if alert.reacted_s is None else f"reacted to at {minutes(alert.reacted_s)}"
        typer.echo(f"alert     {minutes(alert.fired_s or 0.0)} {alert.rule}, {described(alert)}; {reacted}; {word}")
    if not shown:
        typer.echo("alerts    none")
    typer.echo(f"/metrics  had {len(samples)} samples, such as")
    for sample in _telling(samples):
        typer.echo(f"          {sample}")
    for failure in failures:
        typer.secho(f"FAILED: {failure}", fg="red", err=True)
    if not failures:
        end = "every alert that had to come came" if story.plan.drift else "nothing changed and no alert came"
        typer.secho(f"All as it must be: every event is counted once, {end}.", fg="green")
        typer.echo("Next: stream-monitor init writes a config for your own topics.")


def _telling(samples: list[str]) -> list[str]:
    """One sample each of what the screen showed."""
    starts = ("streammonitor_drift_score{", "streammonitor_model_performance{", "streammonitor_alert_active{")
    wanted = ('feature="income"', 'metric="accuracy"', "")
    return [
        found
        for start, part in zip(starts, wanted, strict=True)
        if (found := next((each for each in samples if each.startswith(start) and part in each), None)) is not None
    ]
