"""The life of an alert, as scripts: one letter a window of 10 ms, and what is published after it.

#  beyond the threshold       ~  between clear and the threshold
.  clear                      ?  insufficient data
!  beyond, not significant    -  no figure at all
P  pending                    F  firing          R  resolved          (space: nothing)
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from stream_monitor.alerts.lifecycle import AlertState, Observation, Transition, retire, step
from stream_monitor.alerts.rule import RulePolicy
from stream_monitor.errors import FormatError
from stream_monitor.events.names import Status

RULE = RulePolicy("r", "csi", above=0.2)
VALUES = {"#": 0.3, "!": 0.3, "~": 0.15, ".": 0.05, "?": 0.9, "-": None}
LETTERS = {"pending": "P", "firing": "F", "resolved": "R"}


def seen(letter: str, at: int, size: int = 10, slide: int = 10) -> Observation:
    status = {"?": Status.INSUFFICIENT_DATA, "-": Status.NO_DATA}.get(letter, Status.OK)
    start = at * slide
    return Observation(start, start + size, VALUES[letter], status, significant=letter != "!")


def play(rule: RulePolicy, script: str, size: int = 10, slide: int = 10) -> tuple[str, list[Transition], list[str]]:
    state, published, transitions, reasons = None, "", [], []
    for at, letter in enumerate(script):
        done = step(rule, state, seen(letter, at, size, slide))
        state = None if done.state is None else AlertState.from_bytes(done.state.to_bytes())
        published += "".join(LETTERS[t.state] for t in done.transitions) or " "
        transitions += done.transitions
        reasons.append(done.reason)
    return published, transitions, reasons


@pytest.mark.parametrize(
    ("law", "rule", "script", "published"),
    [
        ("fires at once where one window is enough", {}, ".##..", " F R "),
        ("waits for consecutive windows", {"for_windows": 3}, "###.", "P FR"),
        ("a window between starts the count anew", {"for_windows": 2}, "#.##", "P PF"),
        ("a pending alert is dropped in silence", {"for_windows": 2}, "#..", "P  "),
        ("beyond chance as well as beyond the threshold", {}, "!!#", "  F"),
        ("an insignificant window starts the count anew", {"for_windows": 2}, "#!##", "P PF"),
        ("significance is not needed to go on", {}, "#!!.", "F  R"),
        ("insufficient data neither fires nor counts", {"for_windows": 2}, "???#?#", "   P F"),
        ("insufficient data does not resolve", {}, "#???.", "F   R"),
        ("missing figures do not resolve", {}, "#---.", "F   R"),
        ("ten windows without a figure are stale", {}, "#" + "?" * 12, "F         R  "),
        ("stale_after is event time", {"stale_after_ms": 30}, "#-?-#", "F  RF"),
        ("a stale pending alert is dropped", {"for_windows": 2, "stale_after_ms": 20}, "#--##", "P  PF"),
        ("hysteresis holds a firing alert", {"clear": 0.1}, "#~~.", "F  R"),
        ("hysteresis does not fire", {"clear": 0.1}, "~~#", "  F"),
        ("hysteresis does not keep a pending alert", {"clear": 0.1, "for_windows": 2}, "#~#", "P P"),
        ("keep_firing_for bridges clear windows", {"keep_firing_for_ms": 30}, "#..#...", "F     R"),
        ("cooldown holds back the next alert", {"cooldown_ms": 30}, "#.###", "FRP F"),
        ("cooldown runs from the end of the alert", {"cooldown_ms": 20}, "#.#.#", "FRP F"),
        ("cooldown with for", {"cooldown_ms": 10, "for_windows": 2}, "##.##", "PFRPF"),
        ("below works as above does", {"above": None, "below": 0.1}, "#.#", " FR"),
    ],
)
def test_law(law: str, rule: dict[str, object], script: str, published: str) -> None:
    assert play(replace(RULE, **rule), script)[0] == published, law  # type: ignore[arg-type]


def test_overlapping_windows_count_once() -> None:
    """Windows of 40 ms every 10 ms: the second without overlap is the fifth."""
    rule = replace(RULE, for_windows=2)
    assert play(rule, "#####", size=40, slide=10)[0] == "P   F"
    assert play(rule, "###.#####", size=40, slide=10)[0] == "P   P   F"


def test_times_and_reasons_tell_the_story() -> None:
    rule = replace(RULE, for_windows=2, cooldown_ms=1_000)
    _, (pending, firing, resolved), reasons = play(rule, "##?.")
    assert (pending.starts_ms, pending.ends_ms, pending.at_ms) == (10, None, 10)
    assert (firing.starts_ms, firing.ends_ms, firing.at_ms) == (20, None, 20)
    assert (resolved.starts_ms, resolved.ends_ms, resolved.reason) == (20, 40, "recovered")
    assert reasons == ["breached", "fired", "unusable", "recovered"]


def test_a_window_judged_before_changes_nothing() -> None:
    first = step(replace(RULE, for_windows=2), None, seen("#", 3))
    for at in (3, 2, 0):
        again = step(replace(RULE, for_windows=2), first.state, seen("#", at))
        assert (again.state, again.transitions, again.reason) == (first.state, (), "repeated")


def test_no_predictions_at_all_is_a_value_a_rule_can_watch() -> None:
    rule = RulePolicy("silence", "predictions", below=1)
    done = step(rule, None, Observation(0, 10, 0.0, Status.NO_DATA))
    assert [t.state for t in done.transitions] == ["firing"]


def test_a_value_that_is_no_number_is_unusable() -> None:
    for value in (None, float("nan"), float("inf")):
        assert step(RULE, None, Observation(0, 10, value, Status.OK)).reason == "unusable"


def test_a_retired_version_resolves_what_fires_and_nothing_else() -> None:
    firing = step(RULE, None, seen("#", 0))
    done = retire(firing.state, 50, "version_retired")
    assert [(t.state, t.reason, t.starts_ms, t.ends_ms) for t in done.transitions] == [
        ("resolved", "version_retired", 10, 50)
    ]
    assert done.state is None
    pending = step(replace(RULE, for_windows=2), None, seen("#", 0))
    assert retire(pending.state, 50, "version_retired").transitions == ()
    assert retire(None, 50, "rule_removed").transitions == ()


def test_transitions_of_old_windows_are_marked_historical() -> None:
    done = step(RULE, None, replace(seen("#", 0), historical=True))
    assert [t.historical for t in done.transitions] == [True]


def test_what_is_quiet_needs_no_state() -> None:
    assert step(RULE, None, seen(".", 0)).state is None
    fired = step(RULE, None, seen("#", 0))
    assert step(RULE, fired.state, seen(".", 1)).state is None
    cooling = replace(RULE, cooldown_ms=15)
    resting = step(cooling, fired.state, seen(".", 1)).state
    assert resting is not None
    assert step(cooling, resting, seen(".", 2)).state is not None
    assert step(cooling, resting, seen(".", 3)).state is None


def test_state_of_another_format_is_refused() -> None:
    for data in (b"", b"\x92\x63\x90", b"garbage"):
        with pytest.raises(FormatError):
            AlertState.from_bytes(data)
