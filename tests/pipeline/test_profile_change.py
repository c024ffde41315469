"""A model's profile changes between two runs, or worker by worker: counts stay exact, no figure mixes two schemas, and
bins that evaluate does not know stop its partition until it does."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from stream_monitor.events.metric import MetricEvent
from stream_monitor.events.policy import OutcomePolicy, Task
from stream_monitor.pipeline.ingest import PREDICTIONS
from stream_monitor.pipeline.policy import ModelPolicy, Policies, ReferencePolicy
from stream_monitor.reference.build import build_profile
from stream_monitor.reference.profile import Profile
from stream_monitor.windows.grid import WindowSpec
from tests.pipeline.world import World, counted, expected_counts, newest, prediction

T0 = 1_700_000_000_000 - 1_700_000_000_000 % 3_600_000
MINUTE = 60_000


def profile(seed: int, **changes: object) -> Profile:
    """One on other bins for each seed."""
    rng = random.Random(seed)
    n = 400
    return build_profile(
        model_name="m",
        task=Task.BINARY,
        positive_class="1",
        columns={"income": [rng.gauss(seed * 10, 3) for _ in range(n)], **changes},  # type: ignore[dict-item]
        outputs=[rng.random() for _ in range(n)],
        created_at=T0 - 1_000_000 + seed,
    )


OLD, NEW = profile(1), profile(2)
FROM_FILE = ReferencePolicy(kind="profile")


def policies(reference: ReferencePolicy = FROM_FILE) -> Policies:
    model = ModelPolicy(
        name="m",
        outcome=OutcomePolicy(task=Task.BINARY, positive_class="1"),
        reference=reference,
        windows=(WindowSpec(MINUTE, MINUTE),),
        max_out_of_order_ms=0,
        allowed_lateness_ms=5 * MINUTE,
    )
    return Policies(models={"m": model}, rules=(), panes_partitions=1, live_horizon_ms=None, revision_interval_ms=0)


def world(partitions: int = 1, given: Profile | None = OLD) -> World:
    w = World(policies(), {} if given is None else {"m": given}, partitions=partitions)
    w.clock = T0
    return w


def put(w: World, minute: float, n: int = 40, partition: int = 0) -> None:
    for i in range(n):
        ms = T0 + int(minute * MINUTE) + i * 10
        value = prediction(f"{partition}-{ms}", ms / 1000, features={"income": float(i)}, score=i / n)
        w.logs[PREDICTIONS][partition].append(value)


def ingest(w: World, partition: int = 0) -> None:
    w.clock += 1_000
    w.ingest(partition, PREDICTIONS, 10_000)
    w.flush(partition)


def turn(w: World) -> None:
    for partition in range(w.partitions):
        ingest(w, partition)
    w.evaluate(0, 1_000)


def figures(w: World, minute: int, metric: str = "csi") -> MetricEvent:
    (found,) = [
        event
        for event in newest(w.metrics).values()
        if event.metric == metric and event.window.start == _text(minute) and not event.segment
    ]
    return found


def _text(minute: int) -> str:
    from stream_monitor.events.times import format_timestamp

    return format_timestamp(T0 + minute * MINUTE)


def said(w: World, minute: int) -> tuple[str, str | None]:
    """Status of the window's csi, and the reference it is compared with."""
    event = figures(w, minute)
    return str(event.status), None if event.reference is None else event.reference.id


def test_after_a_new_profile_each_window_is_compared_with_the_one_it_was_counted_by() -> None:
    w = world()
    put(w, 0)
    put(w, 1)
    turn(w)
    put(w, 2.1)
    put(w, 3.1)
    ingest(w)  # by the old bins, and not evaluated yet
    w.profiles = {"m": NEW}
    w.crash_worker(0)
    w.crash_evaluate(0)
    put(w, 3.5)
    put(w, 0.5, 7)  # late, by the new bins
    for minute in (4, 5, 6):
        put(w, minute)
        turn(w)
    assert said(w, 1) == ("ok", OLD.id)
    assert said(w, 2) == ("ok", OLD.id), "closed under the new config, counted by the old bins"
    assert said(w, 3)[0] == "no_reference", "counted by both"
    assert said(w, 4) == ("ok", NEW.id)
    assert said(w, 0)[0] == "no_reference", "the correction too"
    assert [figures(w, minute, "predictions").value for minute in range(6)] == [47, 40, 40, 80, 40, 40]


def test_the_profile_before_survives_further_restarts_and_a_way_back() -> None:
    w = world()
    put(w, 0)
    put(w, 1)
    turn(w)
    w.profiles = {"m": NEW}
    w.crash_worker(0)
    for _ in range(2):
        w.crash_evaluate(0)
        put(w, 2)
        turn(w)
    w.profiles = {"m": OLD}
    w.crash_worker(0)
    w.crash_evaluate(0)
    for minute in (3, 4):
        put(w, minute)
        turn(w)
    assert said(w, 1) == ("ok", OLD.id)
    assert said(w, 2) == ("ok", NEW.id)
    assert said(w, 3) == ("ok", OLD.id)


def test_profiles_of_equal_bins_go_on_without_a_gap() -> None:
    w = world()
    wider = OLD.effective(None)
    assert wider.schema_id == OLD.schema_id
    put(w, 0)
    turn(w)
    w.profiles = {"m": wider}
    w.crash_worker(0)
    w.crash_evaluate(0)
    put(w, 0.5)
    for minute in (1, 2):
        put(w, minute)
        turn(w)
    assert said(w, 0) == ("ok", OLD.id)


@pytest.mark.parametrize("seed", range(3))
def test_workers_on_old_and_new_profile_at_once_count_exactly_and_no_figure_mixes_schemas(seed: int) -> None:
    rng = random.Random(seed)
    w = world(partitions=3)
    of_minute: dict[int, Counter[str]] = {}
    events = []
    w.profiles = {"m": NEW}
    known = {0: OLD, 1: OLD, 2: OLD}
    w.told = {p: (w.policies, {"m": OLD}) for p in known}
    w.folds[0] = type(w.folds[0])(w.policies, {"m": OLD}, partition=0)
    switch = {p: rng.uniform(2, 9) for p in known} | {"evaluate": rng.uniform(0, 2)}
    for step in range(48):
        minute = step / 4
        if minute >= switch["evaluate"]:
            switch["evaluate"] = 99
            w.crash_evaluate(0)
        for p in known:
            if minute >= switch[p]:
                switch[p] = 99
                known[p] = NEW
                w.told.pop(p)
                w.crash_worker(p)
            at = minute - (rng.uniform(0, 3) if rng.random() < 0.2 and minute > 4 else 0)
            n = rng.randrange(8, 14)
            put(w, at, n, p)
            for i in range(n):
                ms = T0 + int(at * MINUTE) + i * 10
                of_minute.setdefault((ms - T0) // MINUTE, Counter())[known[p].schema_id] += 1
                events.append(("m", "1", {}, ms))
            ingest(w, p)
        w.evaluate(0, rng.randrange(1, 8))
        if rng.random() < 0.1:
            w.crash_evaluate(0)
    w.run_out()
    assert counted(w.metrics, "predictions", "prediction") == expected_counts(events, w.policies)
    assert not [a for a in w.alerts if a.labels["alertname"] == "unknown-schema"], "evaluate was told first"
    both = 0
    for minute, by in of_minute.items():
        for metric in ("csi", "psi"):
            event = figures(w, minute, metric)
            if len(by) > 1:
                assert event.status == "no_reference"
                both += 1
            else:
                assert (event.schema_id, event.status, event.n) == (*by, "ok", by.total())
    assert 0 < both < 2 * len(of_minute)


# -- a schema that evaluate does not know ----------------------------------------------------------------------------


def test_a_schema_that_is_not_known_stops_its_partition_until_it_is() -> None:
    w = world()
    put(w, 0)
    turn(w)
    w.told = {0: (w.policies, {"m": NEW})}  # ingest was deployed first
    w.crash_worker(0)
    for minute in (1, 2, 3):
        put(w, minute)
        turn(w)
    stopped_at = w.pane_positions[0]
    assert stopped_at < len(w.panes[0])
    assert [(a.labels["alertname"], a.labels["model_name"], a.state) for a in w.alerts] == [
        ("unknown-schema", "m", "firing")
    ]
    assert NEW.schema_id in w.alerts[0].annotations["summary"]
    w.crash_evaluate(0)
    w.evaluate(0, 1_000)  # started anew, and still without the profile
    assert w.pane_positions[0] == stopped_at
    assert len(w.alerts) == 1
    shown = w.folds[0].active_alerts().values()
    assert [(a.labels["alertname"], a.state.phase) for a in shown] == [("unknown-schema", "firing")]
    assert w.folds[0].drain().summary.held == ("m",)
    w.profiles = {"m": NEW}
    w.crash_evaluate(0)
    put(w, 4)
    turn(w)
    assert [(a.labels["alertname"], a.state) for a in w.alerts[1:]] == [("unknown-schema", "resolved")]
    assert w.alerts[1].fingerprint == w.alerts[0].fingerprint
    assert not w.folds[0].active_alerts()
    assert [figures(w, minute, "predictions").value for minute in range(4)] == [40.0] * 4
    assert said(w, 2) == ("ok", NEW.id)


def test_nothing_behind_the_stop_is_folded_and_the_clock_closes_nothing() -> None:
    w = world()
    put(w, 0)
    turn(w)
    before = len(w.metrics)
    w.told = {0: (w.policies, {"m": NEW})}
    w.crash_worker(0)
    put(w, 1)
    ingest(w)
    w.told = {}
    w.crash_worker(0)
    put(w, 2)  # known bins, behind the unknown ones
    turn(w)
    w.folds[0].tick(w.clock + 3_600_000)
    w.publish(0, w.folds[0].drain())
    assert len(w.metrics) == before


def test_a_profile_that_only_ingest_was_given_is_not_known_either() -> None:
    w = world(given=None)
    w.told = {0: (w.policies, {"m": NEW})}
    put(w, 0)
    turn(w)
    assert [a.labels["alertname"] for a in w.alerts] == ["unknown-schema"]
    assert w.pane_positions[0] == 0


def test_panes_of_the_state_are_known_though_no_profile_describes_them_any_more() -> None:
    """State that was written before profiles were kept in it."""
    w = world()
    put(w, 0)
    turn(w)
    w.state[0] = {key: value for key, value in w.state[0].items() if not key.startswith(b'["reference"')}
    put(w, 0.5)
    ingest(w)
    w.profiles = {"m": NEW}
    w.crash_worker(0)
    w.crash_evaluate(0)
    put(w, 1)
    put(w, 2)
    turn(w)
    assert not w.alerts
    assert figures(w, 0, "predictions").value == 80
    assert said(w, 0)[0] == "no_reference"


def test_only_some_former_profiles_are_kept() -> None:
    w = world()
    for seed in range(1, 9):
        w.profiles = {"m": profile(seed)}
        w.crash_worker(0)
        w.crash_evaluate(0)
        put(w, seed)
        turn(w)
    kept = [key for key in w.state[0] if key.startswith(b'["reference"')]
    assert len(kept) == 4
    assert said(w, 7) == ("ok", profile(7).id)


# -- learned profiles ------------------------------------------------------------------------------------------------


def test_a_profile_from_a_file_takes_the_place_of_a_learned_one_and_back() -> None:
    learning = policies(ReferencePolicy(events=100))
    w = World(learning, partitions=1)
    w.clock = T0
    for minute in range(6):
        put(w, minute)
        turn(w)
    learned = w.folds[0]._models["m"].learner.profile
    assert learned is not None
    assert said(w, 4) == ("ok", learned.id)
    w.policies, w.profiles = policies(), {"m": NEW}
    w.crash_worker(0)
    w.crash_evaluate(0)
    for minute in (6, 7, 8):
        put(w, minute)
        turn(w)
    assert said(w, 5) == ("ok", learned.id)
    assert said(w, 7) == ("ok", NEW.id)
    w.policies, w.profiles = learning, {}
    w.crash_worker(0)
    w.crash_evaluate(0)
    w.worker(0).adopt([learned])  # as ingest finds it on the profiles topic
    for minute in (9, 10, 11):
        put(w, minute)
        turn(w)
    assert said(w, 8) == ("ok", NEW.id)
    assert said(w, 10) == ("ok", learned.id)
    assert not [a for a in w.alerts if a.labels["alertname"] == "unknown-schema"]


# -- effective_from --------------------------------------------------------------------------------------------------


def test_workers_deployed_one_after_the_other_switch_at_one_event_time() -> None:
    coming = NEW.effective(T0 + 6 * MINUTE)
    w = world(partitions=2)
    w.told = {p: (w.policies, {"m": OLD}) for p in (0, 1)}
    w.profiles = {"m": coming}
    w.folds[0] = type(w.folds[0])(w.policies, {"m": coming}, partition=0)
    w.policies = policies()
    w.crash_evaluate(0)
    w.folds[0]._model("m").refer_to(OLD)  # as its state has it
    for minute in range(10):
        for p in (0, 1):
            if minute == 3 + p:
                w.told.pop(p)
                w.crash_worker(p)
            put(w, minute, partition=p)
        turn(w)
    found = [said(w, minute) for minute in range(9)]
    assert found[:3] == [("ok", OLD.id)] * 3
    assert [status for status, _ in found[3:6]] == ["no_reference"] * 3, "counted, but by no bins or only in part"
    assert found[6:] == [("ok", NEW.id)] * 3
    assert [figures(w, minute, "predictions").value for minute in range(9)] == [80.0] * 9
