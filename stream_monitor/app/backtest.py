"""Backtest over files: drives the two folds, writes what they publish, and keeps a short summary.

Promises that the output files appear whole or not at all, and that the events in them are those of a live run over
the same input. Costs the memory of the folds, not of the files: predictions that wait for their labels are on disk,
in the folder of the output.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO

from stream_monitor.app.garbage import collecting_seldom
from stream_monitor.app.setup import Setup
from stream_monitor.errors import StreamMonitorError, UsageError
from stream_monitor.events.alert import AlertEvent
from stream_monitor.events.metric import MetricEvent, segment_label
from stream_monitor.events.names import ALL_SEGMENTS, METRICS, Status
from stream_monitor.join.store import JoinStore
from stream_monitor.pipeline.backtest import Step, backtest

METRICS_FILE = "metrics.ndjson"
ALERTS_FILE = "alerts.ndjson"
DEAD_LETTERS_FILE = "dead-letters.ndjson"
_SUMMARISED = {"drift", "performance"}
_MOST_ALERTS = 20
_MOST_NAMES = 10
_JOIN_FOLDER = ".join.partial"
# Half as long a line as with Python's own 8 kB, which a block of long lines does not fit.
_READ_BYTES = 128 * 1024

Progress = Callable[[int], None]  # called with the bytes read since the last call


@dataclass(slots=True)
class MetricLine:
    """One metric of one model, over all its windows with enough data: how many, and the extremes."""

    model: str
    metric: str
    windows: int = 0
    lowest: float = float("inf")
    highest: float = float("-inf")
    highest_of: str = ""  # feature or class of the highest value

    def add(self, event: MetricEvent) -> None:
        self.windows += 1
        if event.value is None:
            return
        self.lowest = min(self.lowest, event.value)
        if event.value > self.highest:
            self.highest, self.highest_of = event.value, event.feature or ""


@dataclass(slots=True)
class Report:
    """What happened. `fired` holds the first few alerts that fired, `severities` counts all of them."""

    predictions: int = 0
    labels: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    metric_events: int = 0
    alert_events: int = 0
    lines: dict[tuple[str, str], MetricLine] = field(default_factory=dict)
    fired: list[AlertEvent] = field(default_factory=list)
    severities: Counter[str] = field(default_factory=Counter)
    models: set[str] = field(default_factory=set)  # with predictions
    labels_unused: set[str] = field(default_factory=set)  # models with labels that nothing was told to join

    def take(self, step: Step) -> None:
        self.predictions += step.counters.consumed["predictions"]
        self.labels += step.counters.consumed["labels"]
        for (_, reason), count in step.counters.rejected.items():
            self.rejected[reason] += count
        self.models.update(model for model, _ in step.counters.predictions)
        self.labels_unused.update(model for model, outcome in step.counters.joined if outcome == "labels_off")
        self.metric_events += len(step.output.metrics)
        self.alert_events += len(step.output.alerts)
        for event in step.output.metrics.of_segments((ALL_SEGMENTS,)):
            if METRICS[event.metric].family in _SUMMARISED and event.status == Status.OK and event.value is not None:
                key = (event.model_name, event.metric)
                self.lines.setdefault(key, MetricLine(*key)).add(event)
        for alert in step.output.alerts:
            if alert.state == "firing":
                self.severities[alert.labels.get("severity", "")] += 1
                if len(self.fired) < _MOST_ALERTS:
                    self.fired.append(alert)


def run_backtest(
    setup: Setup, predictions: Path, labels: Path | None, folder: Path, progress: Progress = lambda read: None
) -> Report:
    """Reads both files in their own order and writes `metrics.ndjson`, `alerts.ndjson` and `dead-letters.ndjson`."""
    report = Report()
    with ExitStack() as stack:
        stack.enter_context(collecting_seldom())
        outputs = [
            stack.enter_context(_WholeFile(folder, name)) for name in (METRICS_FILE, ALERTS_FILE, DEAD_LETTERS_FILE)
        ]
        metrics, alerts, dead_letters = (output.file for output in outputs)
        lines = _lines(stack, predictions, progress)
        truths: Iterable[bytes] = () if labels is None else _lines(stack, labels, progress)
        store = stack.enter_context(_join_store(setup, folder))
        for step in backtest(setup.policies, setup.decode, setup.profiles, lines, truths, store=store):
            report.take(step)
            metrics.writelines(event.encode() + b"\n" for event in step.output.metrics)
            alerts.writelines(event.encode() + b"\n" for event in step.output.alerts)
            if setup.config.dead_letters.enabled:
                dead_letters.writelines(letter.encode() + b"\n" for letter in step.dead_letters)
    return report


def remarks(setup: Setup, report: Report) -> list[str]:
    """What of the input the config leaves out of the comparison, one sentence each."""
    found = []
    if unlisted := report.models - setup.policies.models.keys():
        found.append(f"models that registered themselves, without a reference: {_names(unlisted)}")
    if unused := report.labels_unused:
        models = f"model {_names(unused)} has" if len(unused) == 1 else f"models {_names(unused)} have"
        found.append(f"labels were read, but {models} no `labels:`; no performance figures")
    return found


def _names(models: set[str]) -> str:
    shown = ", ".join(sorted(models)[:_MOST_NAMES])
    return shown if len(models) <= _MOST_NAMES else f"{shown} and {len(models) - _MOST_NAMES} more"


def alert_line(alert: AlertEvent) -> tuple[str, str, str, str]:
    """(rule, severity, subject, start) of a firing alert."""
    metric = alert.evidence.metric
    subject = alert.labels.get("feature") or (metric.metric if metric is not None else "")
    if metric is not None and metric.segment:
        subject = f"{subject} in {segment_label(metric.segment)}"
    return alert.labels.get("alertname", ""), alert.labels.get("severity", ""), subject, alert.starts_at


@contextmanager
def _join_store(setup: Setup, folder: Path) -> Iterator[JoinStore | None]:
    """An empty one, on disk; None where nothing is joined."""
    if all(model.join is None for model in [*setup.policies.models.values(), setup.policies.unlisted]):
        yield None
        return
    from stream_monitor.kafka.join_store import RocksJoinStore

    path = folder / _JOIN_FOLDER
    shutil.rmtree(path, ignore_errors=True)  # of one that was killed
    try:
        with closing(RocksJoinStore(path)) as store:
            yield store
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _lines(stack: ExitStack, path: Path, progress: Progress) -> Iterator[bytes]:
    """Lines that are not blank, stripped, some hundreds ahead."""
    try:
        file = stack.enter_context(path.open("rb", buffering=_READ_BYTES))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None

    def blocks() -> Iterator[list[bytes]]:
        while block := file.readlines(_READ_BYTES // 2):
            progress(sum(map(len, block)))
            yield list(filter(None, map(bytes.strip, block)))

    return chain.from_iterable(blocks())


class _WholeFile:
    """A file that takes its name only when it is complete."""

    def __init__(self, folder: Path, name: str) -> None:
        self._final, self._partial = folder / name, folder / f".{name}.partial"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.file: IO[bytes] = self._partial.open("wb")
        except OSError as error:
            raise StreamMonitorError(f"{folder} cannot be written: {error.strerror}") from None

    def __enter__(self) -> _WholeFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.file.close()
        if kind is None:
            os.replace(self._partial, self._final)
        else:
            self._partial.unlink(missing_ok=True)
