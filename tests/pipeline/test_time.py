"""Watermarks, idleness and the clock: what closes a window, what holds it, what never makes an event late."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from stream_monitor.events.policy import OutcomePolicy, Task
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS
from stream_monitor.pipeline.policy import ModelPolicy, Policies, ReferencePolicy
from stream_monitor.windows.grid import WindowSpec
from stream_monitor.windows.watermark import SourceProgress, Sources, read_watermark
from tests.pipeline.world import World, counted, expected_counts, prediction

T0 = 1_700_000_000_000 - 1_700_000_000_000 % 60_000
ROLES = ("predictions",)


def policies(**changes: object) -> Policies:
    model = ModelPolicy(
        name="m",
        outcome=OutcomePolicy(task=Task.BINARY, positive_class="1"),
        reference=ReferencePolicy(kind="none"),
        windows=(WindowSpec(60_000, 60_000),),
        max_out_of_order_ms=10_000,
        allowed_lateness_ms=120_000,
    )
    chosen = Policies(models={"m": model}, panes_partitions=1, idle_timeout_ms=30_000, progress_timeout_ms=15_000)
    return replace(chosen, **changes)  # type: ignore[arg-type]


def world(n: int = 2, **changes: object) -> World:
    made = World(policies(**changes), partitions=n)
    made.clock = T0
    return made


def put(w: World, partition: int, *moments_ms: int) -> None:
    for at in moments_ms:
        id_ = f"{partition}-{at}-{len(w.logs[PREDICTIONS][partition])}"
        w.logs[PREDICTIONS][partition].append(prediction(id_, at / 1000, score=0.5))


def turn(w: World, *, seconds: int = 1, only: list[int] | None = None) -> None:
    """One flush of each worker and one evaluation."""
    w.clock += seconds * 1_000
    for p in range(w.partitions) if only is None else only:
        w.ingest(p, PREDICTIONS, 1_000)
        w.ingest(p, LABELS, 1_000)
        w.flush(p)
    w.evaluate(0, 1_000)


def tick(w: World) -> None:
    w.folds[0].tick(w.clock)
    w.publish(0, w.folds[0].drain())


def windows(w: World) -> list[tuple[str, int, int]]:
    return [(e.window.start[11:16], int(e.value or 0), e.revision) for e in w.metrics if e.metric == "predictions"]


def test_a_window_closes_when_every_partition_has_passed_its_end() -> None:
    w = world()
    put(w, 0, T0 + 5_000, T0 + 71_000)
    put(w, 1, T0 + 6_000)
    turn(w)
    assert windows(w) == [], "partition 1 has not passed the end"
    put(w, 1, T0 + 69_999)
    turn(w)
    assert windows(w) == [], "69.999 less the allowed disorder of 10 s is before the end"
    put(w, 1, T0 + 70_000)
    turn(w)
    assert [(count, revision) for _, count, revision in windows(w)] == [(2, 0)]


def test_a_late_event_corrects_and_a_too_late_one_is_counted() -> None:
    w = world(1)
    put(w, 0, T0 + 5_000, T0 + 71_000)
    turn(w)
    put(w, 0, T0 + 6_000)
    turn(w, seconds=20)
    assert [(count, revision) for _, count, revision in windows(w)] == [(1, 0), (2, 1)]
    put(w, 0, T0 + 200_000, T0 + 7_000)
    turn(w)  # the watermark moves to 190 s after the delta of the same flush was merged
    put(w, 0, T0 + 8_000)
    turn(w)
    late = [e for e in w.metrics if e.metric == "too_late"]
    assert [(e.window.start[14:16], e.value) for e in late] == [(windows(w)[0][0][3:5], 1.0)]


def test_an_idle_partition_does_not_hold_the_watermark_and_an_unknown_one_does() -> None:
    w = world()
    put(w, 0, T0 + 5_000)
    turn(w, only=[0])
    for step in range(60):
        put(w, 0, T0 + 10_000 + step * 2_000)
        turn(w, seconds=2, only=[0])
    assert windows(w) == [], "nobody has spoken for partition 1"
    for step in range(40):
        put(w, 0, T0 + 130_000 + step * 1_000)
        turn(w, seconds=1)
    assert windows(w), "partition 1 is caught up and without events"


def test_a_partition_whose_owner_fell_silent_holds_the_watermark_and_its_backlog_is_not_too_late() -> None:
    w = world()
    put(w, 0, T0 + 1_000)
    put(w, 1, T0 + 1_000)
    for _ in range(40):
        turn(w)  # both idle by now
    for step in range(200):  # the owner of partition 1 is dead; events for it pile up
        put(w, 0, T0 + 41_000 + step * 2_000)
        put(w, 1, T0 + 41_000 + step * 2_000)
        turn(w, seconds=2, only=[0])
    closed = len(windows(w))
    turn(w)
    for _ in range(3):
        turn(w)
    assert len(windows(w)) > closed
    assert not [e for e in w.metrics if e.metric == "too_late"]
    assert any(a.labels["alertname"] == "watermark-stalled" for a in w.alerts)


@pytest.mark.parametrize("dies_s", range(20, 34))
def test_the_backlog_of_an_idle_partition_whose_owner_dies_is_not_even_late(dies_s: int) -> None:
    """Its last word was "idle"; what comes to it right afterwards must find its window open."""
    w = world(progress_timeout_ms=Policies({}).progress_timeout_ms)
    for step in range(300):
        put(w, 0, w.clock)
        alive = step < 90 + dies_s or step >= 200
        if not 1 <= step < 90 + dies_s:  # then the partition is idle, up to the death of its owner
            put(w, 1, w.clock)
        turn(w, only=[0, 1] if alive else [0])
    assert len(windows(w)) > 3
    assert not any(revision for _, _, revision in windows(w)), windows(w)


def test_when_all_is_idle_the_clock_closes_windows_and_no_event_becomes_late_for_it() -> None:
    w = world(1)
    put(w, 0, T0 + 5_000)
    turn(w)
    for _ in range(150):
        turn(w)
        tick(w)
    closed = [(count, revision) for _, count, revision in windows(w)]
    assert closed[0] == (1, 0)
    assert (0, 0) in closed, "a live series publishes empty windows"
    assert "no_data" in {e.status for e in w.metrics}
    put(w, 0, T0 + 6_000)
    turn(w)
    tick(w)
    assert (2, 1) in [(count, revision) for _, count, revision in windows(w)]
    assert not [e for e in w.metrics if e.metric == "too_late"]


def test_idleness_after_a_replay_of_old_data_closes_what_has_begun_and_nothing_after_it() -> None:
    w = world(1)
    old = T0 - 40 * 86_400_000
    put(w, 0, old + 5_000, old + 65_000)
    for _ in range(60):
        turn(w)
        tick(w)
    assert [count for _, count, _ in windows(w)] == [1, 1]
    assert all(e.historical for e in w.metrics)


def test_a_gap_in_the_source_ranges_raises_an_alert_and_a_repeat_is_dropped() -> None:
    w = world(1)
    put(w, 0, T0 + 1_000, T0 + 2_000)
    turn(w)
    first = list(w.panes[0])
    w.panes[0].extend(first)
    w.evaluate(0, 1_000)
    assert w.folds[0].drain().summary.repeats > 0
    w.positions[PREDICTIONS, 0] += 0
    put(w, 0, T0 + 3_000, T0 + 71_000)
    w.positions[PREDICTIONS, 0] += 1
    turn(w)
    turn(w)
    assert [a.labels["alertname"] for a in w.alerts] == ["source-gap"]
    assert sum(count for _, count, _ in windows(w)) == 2, "two before, the third was skipped by hand"


def test_a_source_topic_made_anew_is_counted_from_its_beginning_and_an_alert_says_so() -> None:
    w = World(replace(policies(), panes_partitions=2), partitions=1)
    w.clock = T0
    w.topic_ids = {PREDICTIONS: "first", LABELS: "x"}
    put(w, 0, *(T0 + step * 1_000 for step in range(50)))
    turn_all(w)
    w.recreate(PREDICTIONS, "second")
    put(w, 0, *(T0 + 50_000 + step * 500 for step in range(20)))  # fewer: all offsets lie below the old position
    turn_all(w)
    put(w, 0, T0 + 131_000)
    turn_all(w)
    assert [count for _, count, _ in windows(w)][:2] == [70, 0]
    assert [a.labels for a in w.alerts] == [
        {"alertname": "topic-recreated", "severity": "critical", "topic": "predictions"}
    ], "one of the two panes partitions says so, and no gap is seen"
    turn_all(w, seconds=601)
    assert [a.state for a in w.alerts] == ["firing", "resolved"]


def test_partitions_that_are_added_hold_the_watermark_at_once_and_an_alert_says_what_is_not_exact() -> None:
    w = World(replace(policies(), panes_partitions=2), partitions=1)
    w.clock = T0
    put(w, 0, T0 + 1_000)
    turn_all(w)
    w.add_partition()
    put(w, 0, T0 + 100_000)
    turn(w, only=[0])
    assert windows(w) == [], "nobody has spoken for the new partition"
    put(w, 1, T0 + 2_000, T0 + 100_000)
    turn_all(w)
    assert [count for _, count, _ in windows(w)] == [2]
    assert [a.labels["alertname"] for a in w.alerts] == ["partitions-added"] * 2
    assert {a.labels["topic"] for a in w.alerts} == {"predictions", "labels"}


def test_an_owner_that_started_before_the_topic_grew_does_not_take_partitions_back() -> None:
    sources = Sources()
    assert sources.count("predictions", 4, "a") == 0
    assert sources.count("predictions", 6, "a") == 4
    assert sources.count("predictions", 4, "a") == 0
    assert sources.counts == {"predictions": 6}
    assert sources.count("predictions", 2, "b") == 0
    assert sources.counts == {"predictions": 2}, "made anew, with fewer"


def test_a_flood_of_rejects_raises_an_alert_that_ends() -> None:
    w = world(1)
    w.logs[PREDICTIONS][0].extend([b"{"] * 30)
    turn(w)
    for step in range(200):
        put(w, 0, T0 + step * 1_000)
        turn(w)
    assert [(a.labels["alertname"], a.state) for a in w.alerts] == [
        ("reject-flood", "firing"),
        ("reject-flood", "resolved"),
    ]
    assert {d.reason for d in w.dead} == {"malformed_json"}
    assert len(w.dead) == 30


def test_a_series_beyond_the_limit_is_booked_as_other_and_totals_stay_exact() -> None:
    w = world(1, max_series=4)
    w.policies = replace(w.policies, models={"m": replace(w.policies.models["m"], segments=(("country",),))})
    w = World(w.policies, partitions=1)
    w.clock = T0
    for i in range(20):
        w.logs[PREDICTIONS][0].append(prediction(str(i), T0 / 1000 + 1, score=0.5, tags={"country": f"C{i}"}))
    put(w, 0, T0 + 71_000)
    turn(w)
    counts = {tuple(e.segment.values()): e.value for e in w.metrics if e.metric == "predictions"}
    assert counts[()] == 20
    assert counts[("__other__",)] == 17
    assert sum(value for segment, value in counts.items() if segment) == 20


def test_models_that_are_not_listed_register_themselves_up_to_the_limit() -> None:
    w = world(1, max_models=2)
    for i in range(5):
        w.logs[PREDICTIONS][0].append(prediction(str(i), T0 / 1000, model=f"new{i}", score=0.5))
    turn(w)
    assert [d.reason for d in w.dead] == ["model_limit"] * 3
    assert "limits.max_models (2)" in w.dead[0].detail


def test_the_watermark_says_who_holds_it() -> None:
    sources = Sources()
    sources.counts["predictions"] = 3
    sources.observe(SourceProgress("predictions", 0, 0, 5, {"m": 50_000}, False, ["m"]), 1_000)
    sources.observe(SourceProgress("predictions", 1, 0, 5, {"m": 40_000}, False, ["m"]), 1_000)
    reading = read_watermark(sources, "m", ROLES, max_out_of_order_ms=1_000, silent_after_ms=10_000)
    assert (reading.watermark_ms, reading.holding) == (None, (("predictions", 2),))
    sources.observe(SourceProgress("predictions", 2, 0, 0, {}, True, []), 1_000)
    reading = read_watermark(sources, "m", ROLES, max_out_of_order_ms=1_000, silent_after_ms=10_000)
    assert (reading.watermark_ms, reading.holding) == (39_000, ())
    sources.observe(SourceProgress("predictions", 0, 5, 5, {}, True, []), 20_000)
    reading = read_watermark(sources, "m", ROLES, max_out_of_order_ms=1_000, silent_after_ms=10_000)
    assert reading.holding == (("predictions", 1), ("predictions", 2)), "silent for 19 s"


def test_years_without_events_are_not_published_window_by_window() -> None:
    w = world(1)
    w = World(with_model(w.policies, retire_after_ms=3_600_000), partitions=1)
    w.clock = T0
    put(w, 0, T0)
    turn(w)
    put(w, 0, T0 + 400 * 86_400_000)
    turn(w)
    put(w, 0, T0 + 400 * 86_400_000 + 71_000)
    turn(w)
    assert [value for _, value, _ in windows(w)] == [1, *[0] * 60, 1], "until it retires, and from its return"


def test_a_series_that_returns_while_its_last_window_may_change_goes_on_with_the_revisions() -> None:
    model = with_model(policies(), retire_after_ms=600_000, segments=(("c",),), max_out_of_order_ms=0)
    w = World(model, partitions=1)
    w.clock = T0

    def send(c: str, at_ms: int) -> None:
        value = prediction(f"{c}{at_ms}", at_ms / 1000, tags={"c": c}, score=0.5)
        w.logs[PREDICTIONS][0].append(value)
        turn(w, seconds=20)

    send("x", T0)
    for minute in range(1, 13):
        send("y", T0 + minute * 60_000)
    send("x", T0 + 601_000)
    send("y", T0 + 13 * 60_000)
    ids = [e.id for e in w.metrics]
    assert len(ids) == len(set(ids))
    found = [(e.value, e.revision) for e in w.metrics if e.segment == {"c": "x"} and e.metric == "predictions"]
    assert found.count((1.0, 1)) == 1, "the window that had been published as empty"


def test_every_partition_ends_the_gaps_it_raised() -> None:
    w = World(replace(policies(), panes_partitions=2), partitions=1)
    w.clock = T0
    for skipped in range(2):
        for _ in range(2):
            put(w, 0, T0)
            turn_all(w)
        put(w, 0, T0, T0)
        w.positions[PREDICTIONS, 0] += 1
        turn_all(w)
        turn_all(w, seconds=601)
        states = [a.state for a in w.alerts if a.labels["alertname"] == "source-gap"]
        assert states == ["firing", "firing", "resolved", "resolved"] * (skipped + 1)


def turn_all(w: World, *, seconds: int = 1) -> None:
    turn(w, seconds=seconds)
    for partition in range(1, len(w.panes)):
        w.evaluate(partition, 1_000)


def with_model(chosen: Policies, **changes: object) -> Policies:
    return replace(chosen, models={"m": replace(chosen.models["m"], **changes)})  # type: ignore[arg-type]


def test_corrections_go_on_though_the_clock_of_evaluate_was_ahead_and_was_set_back() -> None:
    w = world(1)
    put(w, 0, T0 + 5_000, T0 + 71_000)
    turn(w)
    put(w, 0, T0 + 6_000)
    turn(w, seconds=20)
    w.folds[0].tick(w.clock + 3_600_000)  # an hour ahead: this is when the next correction is published
    put(w, 0, T0 + 7_000)
    turn(w, seconds=20)
    w.folds[0].tick(w.clock + 3_600_000)
    w.publish(0, w.folds[0].drain())
    put(w, 0, T0 + 8_000)
    turn(w, seconds=20)
    turn(w, seconds=20)
    assert windows(w)[-1][1:] == (4, 3)


def test_whoever_dies_or_lags_no_event_of_an_ordered_stream_is_too_late() -> None:
    """Workers that stand still for longer than the idle timeout, that lag behind, partitions without events for long:
    each partition's own events are in order, so none of them may be too late, and all must be counted."""
    for seed in range(4):
        rng = random.Random(seed)
        chosen = with_model(policies(), allowed_lateness_ms=0)
        w = World(chosen, partitions=3)
        w.clock = T0
        dead, quiet = dict.fromkeys(range(3), 0), dict.fromkeys(range(3), 0)
        sent = []
        for _ in range(400):
            w.clock += 1_000
            for p in range(3):
                for state in (dead, quiet):
                    state[p] = state[p] - 1 if state[p] else rng.choice([0] * 60 + [20, 90])
                if not quiet[p]:
                    sent.append(w.clock - rng.randrange(5_000))
                    put(w, p, sent[-1])
                if not dead[p]:
                    w.ingest(p, PREDICTIONS, rng.choice([0, 1, 3]) or 50)
                    w.ingest(p, LABELS, 10)
                    w.flush(p)
            w.evaluate(0, 1_000)
            tick(w)
        w.run_out()
        assert not [e for e in w.metrics if e.metric == "too_late"], seed
        expected = expected_counts([("m", "1", {}, at) for at in sent], w.policies)
        assert counted(w.metrics, "predictions", "prediction") == expected, seed
