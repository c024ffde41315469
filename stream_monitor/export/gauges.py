"""The gauges of one model: the newest closed window of each series, as published metric events say it.

Promises: a newer window replaces the older one whole, so a figure it lacks does not linger; a revision updates the
window it revises; historical windows, and figures whose status is not ok, show nothing. A pure function of view,
events and policy. Costs: O(gauges of the model) a commit that touches it; at most `max_series` gauges.
Leaves to others: which partition owns the model (board.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from stream_monitor.events.metric import MetricEvent, segment_label, window_label
from stream_monitor.events.names import ALL_SEGMENTS, MetricName, Status, TimeBasis
from stream_monitor.events.times import parse_timestamp
from stream_monitor.export import names
from stream_monitor.export.policy import ExportPolicy

Labels = tuple[str, ...]
GaugeKey = tuple[str, Labels]  # family name, label values
Gauges = Mapping[GaugeKey, float]

# Versions remembered only to know which came first; a model with more has other problems.
_VERSIONS_REMEMBERED = 1_000


@dataclass(frozen=True, slots=True, order=True)
class WindowSize:
    """Sorted by size, then slide: the smallest first. In ms."""

    size_ms: int
    slide_ms: int

    @property
    def label(self) -> str:
        return window_label(self.size_ms, self.slide_ms)


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """One line of windows: a version's segment under one window size and time basis."""

    version: str
    segment: str
    window: WindowSize
    basis: str


@dataclass(frozen=True, slots=True)
class NewestWindow:
    """`gauges` hold (revision, value) so that an older revision, read again, changes nothing."""

    end_ms: int
    gauges: Mapping[GaugeKey, tuple[int, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelView:
    """What is known of one model. `versions`: oldest first, as they were first seen here.

    gauges      what a scrape shows, limited
    left_out    gauges beyond the limit; `newly_left_out` of them in the last step, for the counter
    """

    versions: tuple[str, ...] = ()
    windows: Mapping[SeriesKey, NewestWindow] = field(default_factory=dict)
    gauges: Gauges = field(default_factory=dict)
    left_out: frozenset[GaugeKey] = frozenset()
    newly_left_out: int = 0


def advance(view: ModelView, events: Iterable[MetricEvent], policy: ExportPolicy) -> ModelView:
    """The view after one commit's metric events of this model."""
    shown = [event for event in events if _exportable(event, policy)]
    if not shown:
        return view
    versions = _ranked(view.versions, {event.model_version or "" for event in shown})
    windows = dict(view.windows)
    of_series: dict[SeriesKey, list[MetricEvent]] = {}
    for event in shown:
        of_series.setdefault(_series_key(event), []).append(event)
    for key, told in of_series.items():
        windows[key] = _updated(windows.get(key), key, told, policy)
    windows = _chosen(windows, versions[-policy.versions :], policy)
    gauges, left_out = _limited(windows, policy.max_series)
    return ModelView(versions, windows, gauges, left_out, len(left_out - view.left_out))


def _exportable(event: MetricEvent, policy: ExportPolicy) -> bool:
    if event.historical or event.model_version is None:
        return False
    if policy.segments is not None and segment_label(event.segment) not in policy.segments:
        return False
    return (
        event.metric == MetricName.PREDICTIONS
        or event.metric == MetricName.MISSING_RATIO
        or event.metric in policy.drift_metrics
        or (event.metric in policy.performance_metrics and not isinstance(event.class_, str))
    )


def _series_key(event: MetricEvent) -> SeriesKey:
    window = WindowSize(round(event.window.size_seconds * 1_000), round(event.window.slide_seconds * 1_000))
    return SeriesKey(event.model_version or "", segment_label(event.segment), window, str(event.window.time_basis))


def _updated(
    held: NewestWindow | None, key: SeriesKey, events: list[MetricEvent], policy: ExportPolicy
) -> NewestWindow:
    ends_ms = [parse_timestamp(event.window.end) for event in events]
    newest_ms = max(ends_ms)
    if held is not None and newest_ms < held.end_ms:
        return held
    gauges = dict(held.gauges) if held is not None and held.end_ms == newest_ms else {}
    for event, end_ms in zip(events, ends_ms, strict=True):
        if end_ms < newest_ms:
            continue
        for gauge, value in _gauges_of(event, key, end_ms, policy):
            if gauge in gauges and gauges[gauge][0] > event.revision:
                continue
            if value is None:
                gauges.pop(gauge, None)
            else:
                gauges[gauge] = (event.revision, value)
    return NewestWindow(newest_ms, gauges)


def _gauges_of(
    event: MetricEvent, key: SeriesKey, end_ms: int, policy: ExportPolicy
) -> Iterable[tuple[GaugeKey, float | None]]:
    """The gauges one event sets; a null value takes the gauge away."""
    model, window = event.model_name, key.window.label
    series = (model, key.version, key.segment)
    value = event.value if event.status == Status.OK else None
    if event.metric == MetricName.PREDICTIONS:
        if event.window.time_basis == TimeBasis.PREDICTION:
            yield (names.WINDOW_SAMPLES.name, (*series, window)), float(event.n)
            yield (names.WINDOW_END.name, (*series, window)), end_ms / 1_000
    elif event.metric == MetricName.MISSING_RATIO:
        yield (names.FEATURE_MISSING.name, (*series, event.feature or "", window)), value
    elif event.metric in policy.drift_metrics:
        reference = "" if event.reference is None else str(event.reference.kind)
        labels = (*series, event.feature or "", event.metric, reference, window)
        threshold = policy.threshold(
            event.metric, model=model, feature=event.feature, segment=key.segment, window=window
        )
        yield (names.DRIFT_SCORE.name, labels), value
        if threshold is not None:
            yield (names.DRIFT_RATIO.name, labels), None if value is None else value / threshold
    else:
        yield (names.MODEL_PERFORMANCE.name, (*series, event.metric, window, key.basis)), value


def _ranked(known: tuple[str, ...], seen: set[str]) -> tuple[str, ...]:
    """Versions in the order they appeared; those that appeared together in natural order ("10" after "9")."""
    new = sorted(seen - set(known), key=_natural)
    return (*known, *new)[-_VERSIONS_REMEMBERED:]


def _natural(version: str) -> list[tuple[int, int, str]]:
    parts = re.findall(r"\d+|\D+", version)
    numbers = [part.lstrip("0") if part.isdecimal() else "" for part in parts]
    # Longer is larger: int() refuses very long digit strings.
    return [
        (0, len(number), number) if part.isdecimal() else (1, 0, part)
        for part, number in zip(parts, numbers, strict=True)
    ]


def _chosen(
    windows: Mapping[SeriesKey, NewestWindow], versions: tuple[str, ...], policy: ExportPolicy
) -> dict[SeriesKey, NewestWindow]:
    """What the policy shows; the rest is forgotten, so that a view stays as small as what it shows."""
    of_versions = {key: window for key, window in windows.items() if key.version in versions}
    if policy.windows is not None:
        return {key: window for key, window in of_versions.items() if key.window.label in policy.windows}
    smallest: dict[str, WindowSize] = {}
    for key in of_versions:
        smallest[key.basis] = min(smallest.get(key.basis, key.window), key.window)
    return {key: window for key, window in of_versions.items() if key.window == smallest[key.basis]}


# Who stays when a model has too many gauges: first what every other figure needs to be read.
_PRIORITY = {
    family.name: rank
    for rank, family in enumerate(
        (
            names.WINDOW_END,
            names.WINDOW_SAMPLES,
            names.MODEL_PERFORMANCE,
            names.DRIFT_RATIO,
            names.DRIFT_SCORE,
            names.FEATURE_MISSING,
        )
    )
}


def _limited(
    windows: Mapping[SeriesKey, NewestWindow], limit: int
) -> tuple[dict[GaugeKey, float], frozenset[GaugeKey]]:
    """The overall series before segments, then by family, then by label: the same ones at every scrape."""
    found = [
        (series.segment != ALL_SEGMENTS, _PRIORITY[key[0]], key, value)
        for series, window in windows.items()
        for key, (_, value) in window.gauges.items()
    ]
    found.sort()
    kept = {key: value for _, _, key, value in found[:limit]}
    return kept, frozenset(key for _, _, key, _ in found[limit:])
