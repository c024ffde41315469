"""The life of one alert: inactive → pending → firing → resolved, for one rule on one figure of one series.

Promises: a pure function of rule, state and observation; time is event time and comes in with the observation.
No two firings without a resolve between, no resolve without a firing; windows without a usable figure change
nothing until they have lasted `stale_after`; a window judged before changes nothing. Costs: O(1).
Leaves to others: significance (alerts/significance.py) and which windows are judged (each once, at its close).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stream_monitor.alerts.rule import RulePolicy

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
    status: str
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
        raise NotImplementedError

    @classmethod
    def from_bytes(cls, data: bytes) -> AlertState:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Step:
    """state null: nothing to remember."""

    state: AlertState | None
    transitions: tuple[Transition, ...]
    reason: Reason


def step(rule: RulePolicy, state: AlertState | None, observation: Observation) -> Step:
    raise NotImplementedError


def retire(state: AlertState | None, at_ms: int, reason: Reason, *, historical: bool = False) -> Step:
    """End the alert because its version or rule is gone."""
    raise NotImplementedError
