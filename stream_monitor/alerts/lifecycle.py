"""The life of one alert: inactive → pending → firing → resolved, for one rule on one figure of one series.

Promises: a pure function of rule, state and observation; time is event time, from the observation.
No two firings without a resolve between, no resolve without a firing; windows without a usable figure change
nothing until they have lasted `stale_after`; a window judged before changes nothing. Costs: O(1).
Leaves to others: significance (alerts/significance.py) and which windows are judged (each once).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from typing import Literal

import msgspec

from stream_monitor.alerts.rule import RulePolicy
from stream_monitor.errors import FormatError
from stream_monitor.events.names import Status
from stream_monitor.events.unreadable import UNREADABLE

FORMAT_VERSION = 1
STALE_WINDOWS = 10  # without stale_after: so many window lengths

Phase = Literal["inactive", "pending", "firing"]
State = Literal["pending", "firing", "resolved"]
# Why a step did what it did; bounded, so it can be counted.
Reason = Literal[
    "quiet",  # nothing to do
    "breached",  # became pending, or one more window towards firing
    "fired",
    "still_firing",
    "hysteresis",  # back inside the threshold, not yet past `clear`
    "kept_firing",  # clear, but keep_firing_for has not passed
    "cooldown",  # would fire, but the last alert ended too recently
    "not_significant",  # beyond the threshold, but within what chance gives
    "dropped",  # a pending alert ended without having fired
    "recovered",  # resolved: the metric is clear
    "unusable",  # no usable figure; nothing changes
    "stale",  # resolved: no usable figure for stale_after
    "repeated",  # this window, or a later one, has been judged
    "version_retired",
    "rule_removed",
]


@dataclass(frozen=True, slots=True)
class Observation:
    """What one closed window says to one rule. Times in ms since epoch.

    status        of the figure; "no_data" with a null value where the window had no such figure
    significant   by alerts/significance.py; null where the metric has no p-value
    """

    window_start_ms: int
    window_end_ms: int
    value: float | None
    status: Status
    significant: bool | None = None
    historical: bool = False


@dataclass(frozen=True, slots=True)
class Transition:
    """starts_ms: end of the window in which the state began (for resolved: in which the alert had fired)."""

    state: State
    reason: Reason
    starts_ms: int
    ends_ms: int | None
    at_ms: int
    historical: bool


@dataclass(frozen=True, slots=True)
class AlertState:
    phase: Phase
    count: int  # breaching windows without overlap so far
    counted_end_ms: int  # end of the last one counted
    since_ms: int  # when the phase began
    judged_end_ms: int  # end of the newest window seen
    usable_end_ms: int  # end of the newest window with a usable figure
    breach_end_ms: int  # end of the newest window that held the alert up
    resolved_ms: int | None  # end of the last alert, for the cooldown

    def to_bytes(self) -> bytes:
        return msgspec.msgpack.encode((FORMAT_VERSION, self))

    @classmethod
    def from_bytes(cls, data: bytes) -> AlertState:
        """FormatError if the bytes are of another format."""
        try:
            version, state = msgspec.msgpack.decode(data, type=tuple[int, msgspec.Raw])
            if version != FORMAT_VERSION:
                raise FormatError(f"alert state has format {version}; accepted: {FORMAT_VERSION}")
            return msgspec.msgpack.decode(state, type=AlertState)
        except UNREADABLE as error:
            raise FormatError(f"alert state cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class Step:
    """state null: nothing to remember."""

    state: AlertState | None
    transitions: tuple[Transition, ...]
    reason: Reason


def step(rule: RulePolicy, state: AlertState | None, observation: Observation) -> Step:
    """Judge one closed window. Windows must come in the order of their ends; earlier ones change nothing."""
    if state is not None and observation.window_end_ms <= state.judged_end_ms:
        return Step(state, (), "repeated")
    value = _usable(observation)
    if value is None:
        return _unusable(rule, state, observation)
    if state is not None and state.phase == "firing":
        return _firing(rule, state, observation, value)
    return _not_firing(rule, state, observation, value)


def retire(state: AlertState | None, at_ms: int, reason: Reason, *, historical: bool = False) -> Step:
    """End the alert because its version or rule is gone; `at_ms` is event time."""
    if state is None or state.phase != "firing":
        return Step(None, (), reason)
    return Step(None, (_resolved(state, reason, at_ms, historical),), reason)


def _usable(observation: Observation) -> float | None:
    """no_data is a statement where it has a value: `predictions` 0."""
    if observation.status not in (Status.OK, Status.NO_DATA):
        return None
    value = observation.value
    return value if value is not None and isfinite(value) else None


def _not_firing(rule: RulePolicy, state: AlertState | None, seen: Observation, value: float) -> Step:
    end = seen.window_end_ms
    pending = state is not None and state.phase == "pending"
    resolved_ms = state.resolved_ms if state is not None else None
    if not rule.beyond(value) or seen.significant is False:
        reason: Reason = "dropped" if pending else "not_significant" if rule.beyond(value) else "quiet"
        return Step(_inactive(rule, resolved_ms, end), (), reason)

    if state is None or not pending:
        count, counted_end, since = 1, end, end
    elif seen.window_start_ms >= state.counted_end_ms:
        count, counted_end, since = state.count + 1, end, state.since_ms
    else:  # overlaps the last window counted: the same rows cannot be evidence twice
        count, counted_end, since = state.count, state.counted_end_ms, state.since_ms
    after = AlertState("pending", count, counted_end, since, end, end, end, resolved_ms)
    begun = () if pending else (Transition("pending", "breached", since, None, end, seen.historical),)
    if count < rule.for_windows:
        return Step(after, begun, "breached")
    if _cooling(rule, resolved_ms, end):
        return Step(after, begun, "cooldown")
    fired = Transition("firing", "fired", end, None, end, seen.historical)
    return Step(replace(after, phase="firing", since_ms=end, resolved_ms=None), (fired,), "fired")


def _firing(rule: RulePolicy, state: AlertState, seen: Observation, value: float) -> Step:
    """Significance is needed to fire, not to go on: a window with fewer rows is no sign of recovery."""
    end = seen.window_end_ms
    after = replace(state, judged_end_ms=end, usable_end_ms=end)
    if not rule.cleared(value):
        held = replace(after, breach_end_ms=end)
        return Step(held, (), "still_firing" if rule.beyond(value) else "hysteresis")
    if end - state.breach_end_ms < rule.keep_firing_for_ms:
        return Step(after, (), "kept_firing")
    return _end(rule, state, "recovered", seen)


def _unusable(rule: RulePolicy, state: AlertState | None, seen: Observation) -> Step:
    end = seen.window_end_ms
    if state is None or state.phase == "inactive":
        return Step(_inactive(rule, state.resolved_ms if state else None, end), (), "unusable")
    stale_after = rule.stale_after_ms
    if stale_after is None:
        stale_after = STALE_WINDOWS * (end - seen.window_start_ms)
    if end - state.usable_end_ms < stale_after:
        return Step(replace(state, judged_end_ms=end), (), "unusable")
    if state.phase == "firing":
        return _end(rule, state, "stale", seen)
    return Step(_inactive(rule, state.resolved_ms, end), (), "stale")


def _end(rule: RulePolicy, state: AlertState, reason: Reason, seen: Observation) -> Step:
    end = seen.window_end_ms
    resolved = _resolved(state, reason, end, seen.historical)
    return Step(_inactive(rule, end, end), (resolved,), reason)


def _resolved(state: AlertState, reason: Reason, at_ms: int, historical: bool) -> Transition:
    return Transition("resolved", reason, state.since_ms, at_ms, at_ms, historical)


def _cooling(rule: RulePolicy, resolved_ms: int | None, end_ms: int) -> bool:
    return resolved_ms is not None and end_ms < resolved_ms + rule.cooldown_ms


def _inactive(rule: RulePolicy, resolved_ms: int | None, end_ms: int) -> AlertState | None:
    """Kept only while a cooldown runs, so that state is bounded by what is not quiet."""
    if not _cooling(rule, resolved_ms, end_ms):
        return None
    return AlertState("inactive", 0, end_ms, end_ms, end_ms, end_ms, end_ms, resolved_ms)
