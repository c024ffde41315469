"""From closed windows and the alerts that are not quiet to transitions and the alerts that are not quiet now.

Promises: a pure fold: the same windows in the same order give the same transitions. Alerts of the series and
window judged that had no figure this time are told so (that is how they go stale). Costs: rules × figures.
Leaves to others: keeping the alerts (pipeline), publishing the transitions (alerts/event.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from stream_monitor.alerts.lifecycle import AlertState, Observation, Step, Transition, retire, step
from stream_monitor.alerts.observe import ClosedWindow, Observed, observe
from stream_monitor.alerts.rule import RulePolicy
from stream_monitor.errors import FormatError
from stream_monitor.events.names import Status
from stream_monitor.events.unreadable import UNREADABLE

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class ActiveAlert:
    """An alert that is pending, firing or cooling down. Kept by fingerprint."""

    rule: str
    labels: Mapping[str, str]
    state: AlertState

    def to_bytes(self) -> bytes:
        return msgspec.msgpack.encode((FORMAT_VERSION, self))

    @classmethod
    def from_bytes(cls, data: bytes) -> ActiveAlert:
        """FormatError if the bytes are of another format."""
        try:
            version, body = msgspec.msgpack.decode(data, type=tuple[int, msgspec.Raw])
            if version != FORMAT_VERSION:
                raise FormatError(f"active alert has format {version}; accepted: {FORMAT_VERSION}")
            return msgspec.msgpack.decode(body, type=ActiveAlert)
        except UNREADABLE as error:
            raise FormatError(f"active alert cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class JudgedTransition:
    """observed: the figure that caused it; null where there was none (stale, retired)."""

    fingerprint: str
    labels: Mapping[str, str]
    transition: Transition
    rule: RulePolicy | None
    observed: Observed | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """changed: by fingerprint, null where there is nothing left to keep. reasons: counts of every decision."""

    transitions: tuple[JudgedTransition, ...]
    changed: Mapping[str, ActiveAlert | None]
    reasons: Mapping[str, int]


def judge(
    rules: Sequence[RulePolicy],
    windows: Sequence[ClosedWindow],
    active: Mapping[str, ActiveAlert],
    level: float | None,
) -> Verdict:
    """`windows`: all series of one model whose window of one spec and time basis has just closed; `active`: at
    least the alerts of these series. See observe() for `level`."""
    verdict = _Writing(active)
    by_name = {rule.name: rule for rule in rules}
    seen: set[str] = set()
    alerted = {_series(alert.labels) for alert in active.values()}
    quiet = {id(window) for window in windows if not alerted or _series(window.labels()) not in alerted}
    for observed in observe(rules, windows, level):
        if id(observed.window) in quiet:
            done = step(observed.rule, None, observed.observation)
            if done.state is None:  # as nearly always: spares the labels and their hash
                verdict.note(done)
                continue
        seen.add(observed.fingerprint)
        alert = active.get(observed.fingerprint)
        done = step(observed.rule, alert.state if alert else None, observed.observation)
        verdict.add(observed.fingerprint, observed.labels, observed.rule, done, observed)

    series = {_series(window.labels()): window for window in windows}
    for fingerprint, alert in active.items():
        window = series.get(_series(alert.labels))
        if window is None or fingerprint in seen:
            continue
        rule = by_name.get(alert.rule)
        if rule is None:
            done = retire(alert.state, window.end_ms, "rule_removed", historical=window.historical)
        else:
            done = step(rule, alert.state, _nothing_seen(window))
        verdict.add(fingerprint, alert.labels, rule, done, None)
    return verdict.verdict()


def retire_version(
    active: Mapping[str, ActiveAlert], model_version: str, at_ms: int, *, historical: bool = False
) -> Verdict:
    """End all alerts of a version that is no longer served; `active` of one model, `at_ms` in event time."""
    verdict = _Writing(active)
    for fingerprint, alert in active.items():
        if alert.labels.get("model_version") == model_version:
            done = retire(alert.state, at_ms, "version_retired", historical=historical)
            verdict.add(fingerprint, alert.labels, None, done, None)
    return verdict.verdict()


class _Writing:
    """A verdict while it is made."""

    def __init__(self, active: Mapping[str, ActiveAlert]) -> None:
        self._active = active
        self._transitions: list[JudgedTransition] = []
        self._changed: dict[str, ActiveAlert | None] = {}
        self._reasons: Counter[str] = Counter()

    def add(
        self,
        fingerprint: str,
        labels: Mapping[str, str],
        rule: RulePolicy | None,
        done: Step,
        observed: Observed | None,
    ) -> None:
        self.note(done)
        for transition in done.transitions:
            self._transitions.append(JudgedTransition(fingerprint, labels, transition, rule, observed))
        before = self._active.get(fingerprint)
        name = rule.name if rule is not None else before.rule if before is not None else ""
        after = None if done.state is None else ActiveAlert(name, labels, done.state)
        if after != before:
            self._changed[fingerprint] = after

    def note(self, done: Step) -> None:
        """A decision, which may change nothing."""
        self._reasons[done.reason] += 1

    def verdict(self) -> Verdict:
        return Verdict(tuple(self._transitions), self._changed, dict(self._reasons))


def _series(labels: Mapping[str, str]) -> tuple[str | None, ...]:
    keys = ("model_name", "model_version", "segment", "window", "time_basis")
    return tuple(labels.get(key) for key in keys)


def _nothing_seen(window: ClosedWindow) -> Observation:
    return Observation(
        window_start_ms=window.start_ms,
        window_end_ms=window.end_ms,
        value=None,
        status=Status.NO_DATA,
        historical=window.historical,
    )
