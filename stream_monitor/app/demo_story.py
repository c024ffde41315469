"""What the demo has shown so far, made from nothing but the published events: trends, alerts, counts, the verdict.

Pure: news and times come in, lines and figures are read from it. Leaves to others: colours and terminals (cli/).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from stream_monitor.app.demo_plan import MODEL, DemoPlan, Expectation
from stream_monitor.app.generate import Phase
from stream_monitor.events.alert import AlertEvent
from stream_monitor.events.metric import MetricEvent
from stream_monitor.events.names import MetricName, TimeBasis

# (metric, feature): what has a trend on the screen
TrendKey = tuple[str, str | None]
_TRENDS = {MetricName.CSI, MetricName.PSI, MetricName.ACCURACY, MetricName.AUC_ROC}
_COUNTS = {
    (MetricName.PREDICTIONS, TimeBasis.PREDICTION),
    (MetricName.LABELS_JOINED, TimeBasis.LABEL),
}


@dataclass(slots=True)
class Trend:
    """Values of one figure by window start; `chance`: the 95 % limit without drift of the newest one."""

    values: dict[str, float] = field(default_factory=dict)
    chance: float | None = None

    @property
    def newest(self) -> float | None:
        return self.values[max(self.values)] if self.values else None

    def in_order(self) -> list[float]:
        return [self.values[start] for start in sorted(self.values)]


@dataclass(slots=True)
class AlertLine:
    """One alert from its first transition on. Times in seconds since the demo's start; null: not yet."""

    rule: str
    subject: str
    feature: str | None
    metric: str
    expected: bool
    state: str = ""
    value: float | None = None
    pending_s: float | None = None
    fired_s: float | None = None
    reacted_s: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened. `kind`: stage, window, labels, pending, firing, resolved."""

    at_s: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """How it ended. `missing`: expected alerts that did not fire and reach react; `surplus`: others that fired."""

    sent: int
    counted: int
    too_late: int
    labels_sent: int
    labels_counted: int
    windows: int
    missing: tuple[Expectation, ...]
    surplus: tuple[AlertLine, ...]

    @property
    def counts_agree(self) -> bool:
        return (self.sent, self.labels_sent) == (self.counted, self.labels_counted)

    def failures(self, *, drift: bool) -> list[str]:
        """Sentences; none if all is well. With drift, further alerts are consequences and no failure."""
        found = [f"the expected alert {each.rule} did not come, though {each.why}" for each in self.missing]
        if not drift:
            found += [f"the alert {each.rule} ({each.subject}) came, though nothing changed" for each in self.surplus]
        if self.sent != self.counted:
            found.append(f"{self.sent:,} predictions were sent and {self.counted:,} counted")
        if self.labels_sent != self.labels_counted:
            found.append(f"{self.labels_sent:,} labels were sent and {self.labels_counted:,} counted")
        return found


class Story:
    """State of the telling. Not for several threads."""

    def __init__(self, plan: DemoPlan) -> None:
        self.plan = plan
        self.lines: list[Line] = []
        self.alerts: dict[str, AlertLine] = {}  # by fingerprint
        self.trends: dict[TrendKey, Trend] = {}
        self.change_s: float | None = None
        self.newest_window: str | None = None
        self._counts: dict[tuple[str, str], tuple[int, int]] = {}  # basis, start → revision, value
        self._too_late: dict[tuple[str, str], int] = {}  # event id → increment
        self._told: set[tuple[str, str]] = set()
        self._phase = Phase(False, False)

    # -- what comes in -----------------------------------------------------------------------------------------

    def say(self, at_s: float, text: str) -> None:
        self.lines.append(Line(at_s, "stage", text))

    def phase(self, at_s: float, phase: Phase) -> None:
        """What the stream plays now."""
        if phase.shifted and not self._phase.shifted:
            self.say(at_s, "THE STREAM CHANGES: incomes rise (covariate shift)")
        if phase.drifted and not self._phase.drifted:
            self.say(at_s, "THE STREAM CHANGES: debts come to mean the opposite (concept drift)")
        self._phase = phase

    def metrics(self, at_s: float, events: Iterable[MetricEvent]) -> None:
        windows: dict[tuple[str, str], list[MetricEvent]] = {}
        for event in events:
            if event.segment or event.model_version is None:
                continue
            window = (str(event.window.time_basis), event.window.start)
            windows.setdefault(window, []).append(event)
            self._metric(at_s, event)
        for window, found in windows.items():
            if window not in self._told and all(event.revision == 0 for event in found):
                self._told.add(window)
                self._tell(at_s, window, found)

    def alert(self, at_s: float, event: AlertEvent) -> None:
        line = self._line(event)
        line.state = event.state
        if event.evidence.metric is not None:
            line.value = event.evidence.metric.value
        if event.state == "pending" and line.pending_s is None:
            line.pending_s = at_s
        if event.state == "firing" and line.fired_s is None:
            line.fired_s = at_s
        word = "ALERT FIRING" if event.state == "firing" else f"alert {event.state}"
        self.lines.append(Line(at_s, event.state, f"{word}: {line.rule}, {described(line)}"))

    def reacted(self, at_s: float, event: AlertEvent) -> None:
        line = self._line(event)
        if event.state == "firing" and line.reacted_s is None:
            line.reacted_s = at_s

    # -- what can be read --------------------------------------------------------------------------------------

    @property
    def counted(self) -> int:
        return self._counted(TimeBasis.PREDICTION)

    @property
    def labels_counted(self) -> int:
        return self._counted(TimeBasis.LABEL)

    @property
    def windows(self) -> int:
        """Closed windows with predictions."""
        return sum(value > 0 for (basis, _), (_, value) in self._counts.items() if basis == TimeBasis.PREDICTION)

    def firing(self, metric: str, feature: str | None) -> str:
        """State of the alert on this figure; empty if there is none."""
        for alert in self.alerts.values():
            if (alert.metric, alert.feature) == (metric, feature):
                return alert.state
        return ""

    def caption(self, *, playing: bool) -> str:
        """One sentence on what is to be seen now; it fits into 78 columns."""
        if not self.newest_window:
            return "The stages join their consumer groups; soon the first windows close."
        if not playing:
            return "The stream is over; the last labels come, the last windows close."
        if not self.plan.drift:
            return "Nothing changes on purpose. What moves is chance, and no alert may come."
        if self._phase.drifted:
            if self.change_s is None:
                return "Debts now mean the opposite. Inputs cannot show it, only the late labels can."
            return "The detector saw it in the model's errors: concept drift. Time to retrain."
        if self._phase.shifted:
            if self.firing(MetricName.CSI, MODEL.shifted_feature) != "firing":
                return "Incomes rise. Two windows in a row must show it, beyond chance, to fire."
            return "Fired: inputs left the training data. Accuracy holds, so it is only a shift."
        return "All is as in training. What moves is chance: see the limits 'by chance'."

    def verdict(self, sent: int, labels_sent: int) -> Verdict:
        fired = [alert for alert in self.alerts.values() if alert.fired_s is not None]
        seen = [(alert.rule, alert.feature) for alert in fired if alert.reacted_s is not None]
        return Verdict(
            sent=sent,
            counted=self.counted,
            too_late=sum(self._too_late.values()),
            labels_sent=labels_sent,
            labels_counted=self.labels_counted,
            windows=self.windows,
            missing=tuple(each for each in self.plan.expected if (each.rule, each.feature) not in seen),
            surplus=tuple(alert for alert in fired if not alert.expected),
        )

    # -- inside ------------------------------------------------------------------------------------------------

    def _counted(self, basis: TimeBasis) -> int:
        late = sum(value for (kind, _), value in self._too_late.items() if kind == basis)
        return late + sum(value for (kind, _), (_, value) in self._counts.items() if kind == basis)

    def _metric(self, at_s: float, event: MetricEvent) -> None:
        basis, start = str(event.window.time_basis), event.window.start
        value = event.value
        if event.metric == MetricName.TOO_LATE:
            self._too_late[basis, event.id] = int(value or 0)
        elif (event.metric, event.window.time_basis) in _COUNTS:
            known = self._counts.get((basis, start), (-1, 0))
            if event.revision > known[0]:
                self._counts[basis, start] = (event.revision, int(value or 0))
        elif event.metric == MetricName.CHANGE_DETECTED and value and self.change_s is None:
            self.change_s = at_s
        elif event.metric in _TRENDS and value is not None and event.status == "ok":
            trend = self.trends.setdefault((event.metric, event.feature), Trend())
            trend.values[start] = value
            trend.chance = None if event.null_band is None else event.null_band.p95

    def _tell(self, at_s: float, window: tuple[str, str], events: list[MetricEvent]) -> None:
        basis, start = window
        values = {(event.metric, event.feature): event.value for event in events}
        span = f"{clock(start)} to {clock(events[0].window.end)}"
        if basis == TimeBasis.LABEL:
            joined, accuracy = (
                values.get((metric, None)) for metric in (MetricName.LABELS_JOINED, MetricName.ACCURACY)
            )
            if joined:
                self.lines.append(
                    Line(at_s, "labels", f"labels {span}: {joined:,.0f} joined, accuracy {_figure(accuracy)}")
                )
            return
        n = values.get((MetricName.PREDICTIONS, None))
        if not n:
            return
        self.newest_window = span
        shifts = {feature: value for (metric, feature), value in values.items() if metric == MetricName.CSI and value}
        top = max(shifts, key=lambda feature: shifts[feature] or 0.0, default=None)
        rest = max((value or 0.0 for feature, value in shifts.items() if feature != top), default=0.0)
        psi = _figure(values.get((MetricName.PSI, None)))
        text = f"window {span} closed: {n:,.0f} predictions, CSI {top} {_figure(shifts.get(top))}"
        self.lines.append(Line(at_s, "window", f"{text} (others up to {_figure(rest)}), PSI of the score {psi}"))

    def _line(self, event: AlertEvent) -> AlertLine:
        line = self.alerts.get(event.fingerprint)
        if line is None:
            labels = event.labels
            rule, feature = labels.get("alertname", ""), labels.get("feature")
            expected = any((each.rule, each.feature) == (rule, feature) for each in self.plan.expected)
            line = AlertLine(rule, _subject(labels), feature, labels.get("metric", ""), expected)
            self.alerts[event.fingerprint] = line
        return line


def described(line: AlertLine) -> str:
    """The subject with its figure: "income: CSI 1.91"."""
    if line.metric == MetricName.CHANGE_DETECTED:
        return f"{line.subject} found a change"
    return line.subject if line.value is None else f"{line.subject}: {line.metric.upper()} {_figure(line.value)}"


def clock(timestamp: str) -> str:
    """ "10:15:30" of an RFC 3339 time."""
    return timestamp[11:19]


def _subject(labels: dict[str, str]) -> str:
    if "feature" in labels:
        return labels["feature"]
    if "detector" in labels:
        return f"{labels['detector']} on {labels.get('signal', '')}s"
    return "score" if labels.get("metric") == MetricName.PSI else labels.get("metric", "")


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"
