"""A restart with another config: restored state that no longer fits is carried over or ended, never lost silently."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from stream_monitor.alerts.rule import RulePolicy
from stream_monitor.detectors.policy import DetectorPolicy
from stream_monitor.events.policy import OutcomePolicy, Task
from stream_monitor.join.policy import JoinPolicy
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS
from stream_monitor.pipeline.policy import ModelPolicy, Policies, ReferencePolicy
from stream_monitor.windows.grid import WindowSpec
from tests.pipeline.world import World, label, newest, prediction

T0 = 1_700_000_000_000 - 1_700_000_000_000 % 3_600_000
MINUTE = 60_000


def policies(*window_minutes: int, **changes: object) -> Policies:
    model = ModelPolicy(
        name="m",
        outcome=OutcomePolicy(task=Task.BINARY, positive_class="1"),
        reference=ReferencePolicy(kind="none"),
        windows=tuple(WindowSpec(minutes * MINUTE, minutes * MINUTE) for minutes in window_minutes),
        max_out_of_order_ms=0,
    )
    return Policies(models={"m": replace(model, **changes)}, panes_partitions=1)  # type: ignore[arg-type]


def world(chosen: Policies) -> World:
    w = World(chosen, partitions=1)
    w.clock = T0
    return w


def restart(w: World, chosen: Policies) -> None:
    w.policies = chosen
    w.crash_worker(0)
    w.crash_evaluate(0)


def put(w: World, *minutes: float) -> None:
    for at in minutes:
        ms = T0 + int(at * MINUTE)
        w.logs[PREDICTIONS][0].append(prediction(f"{ms}", ms / 1000, score=0.5, tags={"c": "x"}))


def ingest(w: World) -> None:
    w.clock += 1_000
    w.ingest(0, PREDICTIONS, 1_000)
    w.ingest(0, LABELS, 1_000)
    w.flush(0)


def turn(w: World) -> None:
    ingest(w)
    w.evaluate(0, 1_000)


def predictions(w: World, minutes: int) -> list[float | None]:
    found = [e for e in w.metrics if e.metric == "predictions" and e.window.size_seconds == minutes * 60]
    return [e.value for e in found if not e.segment]


@pytest.mark.parametrize("evaluated", [True, False])
def test_wider_panes_take_up_what_was_counted_in_narrow_ones(evaluated: bool) -> None:
    w = world(policies(1))
    put(w, 0, 1.1, 2.1)
    ingest(w)
    if evaluated:
        w.evaluate(0, 1_000)
    restart(w, policies(5))
    put(w, 3.1, 5.1)
    turn(w)
    assert predictions(w, 5) == [4.0]
    w.crash_evaluate(0)
    put(w, 3.2)
    w.clock += 60_000
    turn(w)
    assert predictions(w, 5) == [4.0, 5.0], "and their old records are gone"


def test_windows_narrower_than_the_panes_there_are_begin_behind_them() -> None:
    """Of the events of a pane of five minutes nobody knows the minute."""
    w = world(policies(5, 15))
    put(w, 1, 2)
    turn(w)
    restart(w, policies(1, 15))
    put(w, 4.5, 6, 7.5, 15.5)
    turn(w)
    assert predictions(w, 1) == [0, 1, 1, 0, 0, 0, 0, 0, 0, 0], "from minute 5 on"
    assert predictions(w, 15) == [5]


def test_ingest_that_still_cuts_wide_panes_holds_narrow_windows_back() -> None:
    w = world(policies(5))
    w.told = {0: (policies(5), {})}
    restart(w, policies(1, 5))
    for minute in range(12):
        put(w, minute)
        turn(w)
    assert predictions(w, 5) == [5, 5]
    assert predictions(w, 1) == []
    w.told = {}
    w.crash_worker(0)
    for minute in range(12, 18):
        put(w, minute)
        turn(w)
    assert predictions(w, 5) == [5, 5, 5]
    assert predictions(w, 1) == [1, 1], "from minute 15 on"


def test_more_lateness_brings_no_window_back_that_was_over() -> None:
    w = world(policies(1, allowed_lateness_ms=0))
    put(w, 0, 0.1, 1, 2)
    turn(w)
    restart(w, policies(1, allowed_lateness_ms=10 * MINUTE))
    put(w, 0.2, 1.2, 3)
    w.clock += 60_000
    turn(w)
    late = [e for e in w.metrics if e.metric == "too_late"]
    assert sum(e.value or 0 for e in late) == 2
    assert predictions(w, 1) == [2, 1, 1]


def test_a_window_size_that_comes_back_begins_anew() -> None:
    w = world(policies(1, 5, allowed_lateness_ms=0))
    put(w, *range(7))
    turn(w)
    restart(w, policies(1, allowed_lateness_ms=0))
    for minute in range(7, 23):
        put(w, minute)
        turn(w)
    restart(w, policies(1, 5, allowed_lateness_ms=0))
    for minute in range(23, 32):
        put(w, minute)
        turn(w)
    assert predictions(w, 5) == [5, 5], "of minutes 0 and 25: what lay between is gone in part"


def test_a_correction_of_a_window_whose_panes_are_merged_into_wider_ones_is_left_out() -> None:
    w = world(policies(1, 5))
    put(w, 0, 1, 2)
    turn(w)
    put(w, 0.5)
    turn(w)  # within the interval of corrections: still to be published
    restart(w, policies(5))
    put(w, 3)
    w.clock += 60_000
    turn(w)
    assert predictions(w, 1)[:2] == [1, 1]
    assert 4 not in predictions(w, 1)


def test_a_model_taken_out_of_the_config_goes_on_with_the_template() -> None:
    w = world(policies(1))
    put(w, 0, 1.1, 2.1)
    turn(w)
    restart(w, replace(policies(1), models={}))
    put(w, 5.1, 11.1)
    turn(w)
    assert predictions(w, 5)[:2] == [3.0, 1.0]


def test_an_expired_label_is_booked_out_where_it_was_booked_in() -> None:
    w = world(policies(1, join=JoinPolicy(2 * MINUTE, 0)))
    put(w, 0)
    turn(w)
    restart(w, policies(1, join=JoinPolicy(6 * MINUTE, 0)))
    w.logs[LABELS][0].append(label(f"{T0}", T0 / 1000 + 90, label="1"))
    for minute in range(1, 10):
        put(w, minute)
        w.logs[LABELS][0].append(label(f"{T0 + minute * MINUTE}", T0 / 1000 + minute * 60, label="1"))
        turn(w)
    expired = [e.value for e in newest(w.metrics).values() if e.metric == "labels_expired"]
    assert expired
    assert set(expired) == {0.0}


def test_a_correction_of_a_window_taken_out_of_the_config_is_published_before_its_panes_go() -> None:
    w = world(policies(1, 10, allowed_lateness_ms=2 * MINUTE))
    put(w, 8.4, 10.1)
    turn(w)
    put(w, 7, 8.41)
    w.clock += 60_000
    turn(w)
    put(w, 7.01, 8.42)  # within the interval of corrections: still to be published
    turn(w)
    assert predictions(w, 10) == [1.0, 3.0]
    restart(w, policies(1))
    put(w, 11)
    turn(w)
    w.clock += 60_000
    put(w, 11.5)
    turn(w)
    assert predictions(w, 10) == [1.0, 3.0, 5.0]


def test_label_state_goes_when_labels_are_taken_out_of_the_config() -> None:
    w = world(policies(1, join=JoinPolicy(MINUTE, 0), retire_after_ms=10 * MINUTE))
    for minute in range(5):
        put(w, minute)
        w.logs[LABELS][0].append(label(f"{T0 + minute * MINUTE}", T0 / 1000 + minute * 60, label="1"))
        turn(w)
    assert any(b"label" in key for key in w.state[0] if key.startswith(b'["pane"'))
    restart(w, policies(1, retire_after_ms=10 * MINUTE))
    put(w, 6)
    turn(w)
    assert not any(b"label" in key for key in w.state[0] if key.startswith(b'["pane"'))


def test_an_alert_on_a_window_taken_out_of_the_config_ends() -> None:
    many = RulePolicy("many", "predictions", above=0.0, for_windows=1, severity="warning")
    w = world(replace(policies(1, 5), rules=(many,), live_horizon_ms=None))
    put(w, 0, 1, 2, 3, 4, 5)
    turn(w)
    assert {a.labels["window"]: a.state for a in w.alerts} == {"1m": "firing", "5m": "firing"}
    restart(w, replace(policies(1), rules=(many,), live_horizon_ms=None))
    put(w, 6)
    turn(w)
    assert {a.labels["window"]: a.state for a in w.alerts} == {"1m": "firing", "5m": "resolved"}
    w.crash_evaluate(0)
    assert [alert.labels["window"] for alert in w.folds[0].active_alerts().values()] == ["1m"]


def test_everything_may_change_at_once() -> None:
    before = policies(
        1, 5, join=JoinPolicy(MINUTE, 0), segments=(("c",),), detectors=(DetectorPolicy("error", "adwin"),)
    )
    w = world(before)
    for after in (policies(5), before, policies(2, 3, segments=(("d", "c"),)), replace(before, models={}), before):
        start = len(w.logs[PREDICTIONS][0])
        put(w, *(start + i / 2 for i in range(20)))
        for i in range(20):
            moment = T0 + int((start + i / 2) * MINUTE)
            w.logs[LABELS][0].append(label(f"{moment}", moment / 1000, label=str(i % 2)))
            turn(w)
        restart(w, after)
    w.run_out()
    twice = [id_ for id_, count in Counter(e.id for e in w.metrics).items() if count > 1]
    assert not twice


def test_a_new_window_size_begins_with_its_first_whole_window() -> None:
    w = world(policies(1))
    for minute in range(15):
        put(w, minute)
        turn(w)
    restart(w, policies(1, 10))
    for minute in range(15, 42):
        put(w, minute)
        if minute == 16:
            put(w, 15.5)
        turn(w)
    assert predictions(w, 10) == [10.0, 10.0], "from minute 20 on; of minutes 10 to 20 the first are gone"
