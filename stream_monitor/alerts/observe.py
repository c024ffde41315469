"""What the closed windows of a model say to its rules.

Promises: every figure a rule selects becomes one observation, with its alert's labels and fingerprint;
significance is decided over all p-values that any rule looks at in these windows, each counted once.
Costs: rules × figures comparisons. Leaves to others: states and transitions (alerts/judge.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stream_monitor.alerts.lifecycle import Observation
from stream_monitor.alerts.rule import RulePolicy
from stream_monitor.alerts.significance import benjamini_hochberg
from stream_monitor.events.metric import segment_label
from stream_monitor.events.names import Status, TimeBasis
from stream_monitor.metrics.figure import Figure


@dataclass(frozen=True, slots=True)
class ClosedWindow:
    """One closed window of one series and all its figures.

    model_version  null for the model-wide series
    segment        {} for the overall series
    window         canonical label: "5m" or "1h/5m"
    time_basis     "prediction" or "label": the two are judged apart, they close at different times
    """

    model_name: str
    model_version: str | None
    segment: Mapping[str, str]
    window: str
    time_basis: TimeBasis
    start_ms: int
    end_ms: int
    historical: bool
    figures: Sequence[Figure]

    def labels(self) -> dict[str, str]:
        labels = {
            "model_name": self.model_name,
            "segment": segment_label(self.segment),
            "window": self.window,
            "time_basis": self.time_basis,
        }
        if self.model_version is not None:
            labels["model_version"] = self.model_version
        return labels


@dataclass(slots=True)
class Observed:
    """One figure under one rule. Its labels are made when they are asked for: most figures are quiet."""

    rule: RulePolicy
    window: ClosedWindow
    figure: Figure
    observation: Observation
    _labels: Mapping[str, str] | None = None
    _fingerprint: str | None = None

    @property
    def labels(self) -> Mapping[str, str]:
        if self._labels is None:
            self._labels = _labels(self.rule, self.window, self.figure)
        return self._labels

    @property
    def fingerprint(self) -> str:
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self.labels)
        return self._fingerprint


def observe(rules: Sequence[RulePolicy], windows: Sequence[ClosedWindow], level: float | None) -> Iterator[Observed]:
    """All windows given are one family of hypotheses: hand over all series of one model-window in one call.

    `level` from alerts.significance.budget_level; null turns the test off (effect size alone decides).
    """
    by_metric: dict[str, list[RulePolicy]] = {}
    for rule in rules:
        by_metric.setdefault(rule.metric, []).append(rule)
    matches = [
        (rule, window, figure)
        for window in windows
        for figure in window.figures
        for rule in by_metric.get(figure.metric, ())
        if selects(rule, window, figure)
    ]
    p_values = {
        id(figure): figure.p_value
        for _, _, figure in matches
        if figure.p_value is not None and figure.status == Status.OK
    }
    significant: dict[int, bool] = {}
    if level is not None:
        significant = dict(zip(p_values, benjamini_hochberg(list(p_values.values()), level), strict=True))
    for rule, window, figure in matches:
        yield _observed(rule, window, figure, significant.get(id(figure)))


def selects(rule: RulePolicy, window: ClosedWindow, figure: Figure) -> bool:
    """A null selector of the rule matches everything, but a null class only figures without one: an alert on
    `f1` is about the model, and fifty classes would be fifty alerts."""
    return (
        rule.metric == figure.metric
        and rule.model in (None, window.model_name)
        and rule.feature in (None, figure.feature)
        and rule.class_ == figure.class_
        and rule.window in (None, window.window)
        and (rule.segment is None or rule.segment == segment_label(window.segment))
    )


def fingerprint(labels: Mapping[str, str]) -> str:
    """16 hex digits of all labels but the severity: a rule made more severe does not end its alerts."""
    parts = [f"{name}\0{labels[name]}" for name in sorted(labels) if name != "severity"]
    return hashlib.blake2b("\1".join(parts).encode(), digest_size=8).hexdigest()


def _labels(rule: RulePolicy, window: ClosedWindow, figure: Figure) -> dict[str, str]:
    labels = {"alertname": rule.name, "severity": rule.severity, "metric": figure.metric, **window.labels()}
    if figure.feature is not None:
        labels["feature"] = figure.feature
    if figure.class_ is not None:
        labels["class"] = figure.class_
    if figure.detector is not None:
        labels["detector"] = figure.detector.kind
        labels["signal"] = figure.detector.signal
    return labels


def _observed(rule: RulePolicy, window: ClosedWindow, figure: Figure, significant: bool | None) -> Observed:
    observation = Observation(
        window_start_ms=window.start_ms,
        window_end_ms=window.end_ms,
        value=figure.value,
        status=figure.status,
        significant=significant,
        historical=window.historical,
    )
    return Observed(rule, window, figure, observation)
