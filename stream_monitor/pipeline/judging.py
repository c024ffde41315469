"""The rules of one model over the windows that close together: which alerts begin, fire and end."""

from __future__ import annotations

from collections.abc import Sequence

from stream_monitor.alerts.event import alert_event, performance_moved
from stream_monitor.alerts.judge import ActiveAlert, JudgedTransition, Verdict, judge, retire_version
from stream_monitor.alerts.lifecycle import retire
from stream_monitor.alerts.observe import ClosedWindow
from stream_monitor.alerts.significance import budget_level, windows_per_day
from stream_monitor.events.alert import AlertEvent
from stream_monitor.events.metric import window_label
from stream_monitor.events.names import MetricName, TimeBasis
from stream_monitor.metrics.figure import Figure
from stream_monitor.pipeline.metric_events import Events
from stream_monitor.pipeline.policy import ModelPolicy, Policies
from stream_monitor.pipeline.series import Series
from stream_monitor.windows.grid import Window

# A transition as published, and the fingerprint whose state changed.
Change = tuple[AlertEvent | None, str]


class Judge:
    """State: the alerts that are not quiet, by fingerprint."""

    def __init__(self, policy: ModelPolicy, policies: Policies) -> None:
        self.active: dict[str, ActiveAlert] = {}
        self._name = policy.name
        self._rules = policies.rules
        # What rules look at, and what they show as evidence: the other figures need not be kept until the window's end.
        self._asked_for = {rule.metric for rule in policies.rules} | {MetricName.CSI}
        self._source = policies.source
        self._joins_labels = policy.joins_labels
        bases = list(TimeBasis) if policy.joins_labels else [TimeBasis.PREDICTION]
        watched = {(spec.size_ms, spec.slide_ms) for spec in policy.windows} | {(policy.pane_ms, policy.pane_ms)}
        self._watched = {(window_label(*each), str(basis)) for each in watched for basis in bases}
        slides = [spec.slide_ms for spec in policy.windows] * (2 if policy.joins_labels else 1)
        self._level = budget_level(policies.target_false_alarms_per_day, windows_per_day(slides))
        self._ended_unwatched = False
        self._window: tuple[TimeBasis, Window] | None = None
        self._shown: list[ClosedWindow] = []
        self._events: dict[int, Events] = {}  # by id of the window shown

    def begin(self, basis: TimeBasis, window: Window) -> None:
        self._window = (basis, window)
        self._shown = []
        self._events = {}

    def show(self, series: Series, figures: Sequence[Figure], events: Events, historical: bool) -> None:
        """One series of the window under judgement."""
        assert self._window is not None
        basis, window = self._window
        shown = ClosedWindow(
            model_name=self._name,
            model_version=series.meta.version,
            segment=series.meta.segment,
            window=window_label(window.spec.size_ms, window.spec.slide_ms),
            time_basis=basis,
            start_ms=window.start_ms,
            end_ms=window.end_ms,
            historical=historical,
            figures=[figure for figure in figures if figure.metric in self._asked_for],
        )
        self._shown.append(shown)
        self._events[id(shown)] = events

    def end(self) -> list[Change]:
        """Judge what was shown."""
        verdict = judge(self._rules, self._shown, self.active, self._level)
        changes = self._carry_out(verdict)
        self._shown, self._events = [], {}  # a hundred kB a series
        return changes

    def retire(self, version: str, at_ms: int, *, historical: bool) -> list[Change]:
        """End the alerts of a version that is no longer served."""
        return self._carry_out(retire_version(self.active, version, at_ms, historical=historical))

    def end_unwatched(self, at_ms: int, *, historical: bool) -> list[Change]:
        """End alerts on windows that the config had before: none of them will ever close again. Restored ones, thus."""
        if self._ended_unwatched:
            return []
        self._ended_unwatched = True
        over = {
            fingerprint: retire(alert.state, at_ms, "rule_removed", historical=historical)
            for fingerprint, alert in self.active.items()
            if (alert.labels.get("window"), alert.labels.get("time_basis")) not in self._watched
        }
        transitions = tuple(
            JudgedTransition(fingerprint, self.active[fingerprint].labels, transition, None, None)
            for fingerprint, done in over.items()
            for transition in done.transitions
        )
        return self._carry_out(Verdict(transitions, dict.fromkeys(over), {}))

    def _carry_out(self, verdict: Verdict) -> list[Change]:
        changes: list[Change] = [(self._event(judged), judged.fingerprint) for judged in verdict.transitions]
        for fingerprint, alert in verdict.changed.items():
            if alert is None:
                self.active.pop(fingerprint, None)
            else:
                self.active[fingerprint] = alert
            changes.append((None, fingerprint))
        return changes

    def _event(self, judged: JudgedTransition) -> AlertEvent:
        seen = judged.observed
        event = None if seen is None else self._events[id(seen.window)].of(seen.figure)
        moved = performance_moved(self.active.values(), judged.labels, labels_came=self._joins_labels)
        return alert_event(judged, event, performance_moved=moved, generator_url=self._source)
