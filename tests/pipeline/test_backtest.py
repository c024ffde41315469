"""Backtest and live drive the same folds: with nothing too late the newest figures are the same."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace

import pytest

from stream_monitor.detectors.policy import DetectorPolicy
from stream_monitor.events.metric import MetricEvent
from stream_monitor.events.policy import OutcomePolicy, Task
from stream_monitor.join.policy import JoinPolicy
from stream_monitor.pipeline.backtest import backtest
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS
from stream_monitor.pipeline.policy import ModelPolicy, Policies, ReferencePolicy
from stream_monitor.reference.build import build_profile
from stream_monitor.reference.profile import Profile
from stream_monitor.windows.grid import WindowSpec
from tests.pipeline.world import DECODE, World, figure_key, label, newest, prediction


def policies() -> Policies:
    model = ModelPolicy(
        name="m",
        outcome=OutcomePolicy(task=Task.BINARY, positive_class="1"),
        reference=ReferencePolicy(kind="profile"),
        windows=(WindowSpec(20_000, 20_000), WindowSpec(60_000, 20_000)),
        max_out_of_order_ms=5_000,
        allowed_lateness_ms=3_600_000,
        join=JoinPolicy(120_000, 0),
        segments=(("country",),),
        detectors=(DetectorPolicy(), DetectorPolicy(kind="page_hinkley")),
    )
    return Policies(models={"m": model}, panes_partitions=2, live_horizon_ms=None, idle_timeout_ms=10**9)


def reference() -> Profile:
    rng = random.Random(0)
    return build_profile(
        model_name="m",
        task=Task.BINARY,
        positive_class="1",
        columns={
            "x": [rng.gauss(0, 1) for _ in range(2_000)],
            "c": [rng.choice("aab") for _ in range(2_000)],
        },
        outputs=[rng.random() for _ in range(2_000)],
        actuals=[str(int(rng.random() < 0.5)) for _ in range(2_000)],
        created_at=0,
    )


def events(
    rng: random.Random, n: int = 1_500, *, late: float = 0.0
) -> tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]]:
    """In order of time up to 2 s of disorder, for a share of `late` up to 100 s; x drifts halfway, the error rate rises
    at two thirds."""
    predictions, labels = [], []

    def arrival(moment: float) -> float:
        return moment + (rng.uniform(0, 100) if late and rng.random() < late else rng.random() * 2)

    for i in range(n):
        at = i * 0.2
        truth = int(rng.random() < 0.5)
        right = rng.random() < (0.9 if i < n * 2 // 3 else 0.5)
        score = rng.uniform(0.5, 1.0) if (truth == 1) == right else rng.uniform(0.0, 0.5)
        features = {"x": rng.gauss(0 if i < n // 2 else 2, 1), "c": rng.choice("aabz")}
        body = prediction(
            str(i), at, score=score, features=features, latency=rng.random(), tags={"country": rng.choice("AB")}
        )
        predictions.append((arrival(at), str(i), body))
        if rng.random() < 0.9:
            moment = at + rng.uniform(1, 30)
            labels.append((arrival(moment), str(i), label(str(i), moment, label=truth)))
    return [e[1:] for e in sorted(predictions)], [e[1:] for e in sorted(labels)]


def essence(event: MetricEvent, *drop: str) -> dict:
    document = json.loads(event.encode())
    return {key: value for key, value in document.items() if key not in {"emitted_at", *drop}}


@pytest.mark.parametrize("seed", range(3))
def test_live_and_backtest_publish_the_same_newest_figures(seed: int) -> None:
    rng = random.Random(seed)
    predictions, labels = events(rng)
    profiles = {"m": reference()}
    world = World(policies(), profiles, partitions=3)
    for role, sent in ((PREDICTIONS, predictions), (LABELS, labels)):
        for id_, value in sent:
            world.send(role, id_, value)
    for _ in range(200):
        world.clock += 100
        p = rng.randrange(3)
        world.ingest(p, rng.choice([PREDICTIONS, LABELS]), rng.randrange(30))
        if rng.random() < 0.5:
            world.flush(p)
            world.evaluate(rng.randrange(2), 10)
    world.run_out()
    live = newest(world.metrics)

    recorded = backtest(
        policies(), DECODE, profiles, [v for _, v in predictions], [v for _, v in labels], chunk=rng.randrange(20, 400)
    )
    metrics, alerts = [], []
    for step in recorded:
        metrics += step.output.metrics
        alerts += step.output.alerts
        assert not step.dead_letters
    again = newest(metrics)
    assert not [e for e in metrics + world.metrics if e.metric == "too_late"]
    assert live.keys() == again.keys()
    for key, event in again.items():
        assert essence(live[key], "id", "revision") == essence(event, "id", "revision")
    assert any(e.metric == "change_detected" and e.value == 1 for e in metrics), "the concept drift was found"
    assert {(a.fingerprint, a.state, a.starts_at) for a in alerts} == {
        (a.fingerprint, a.state, a.starts_at) for a in world.alerts
    }
    assert any(a.state == "firing" and a.labels.get("feature") == "x" for a in alerts)


def test_the_size_of_chunks_changes_nothing_but_the_time_of_publishing() -> None:
    predictions, labels = events(random.Random(5))
    inputs = [v for _, v in predictions], [v for _, v in labels]

    def run(chunk: int) -> dict:
        steps = backtest(policies(), DECODE, {"m": reference()}, *inputs, chunk=chunk)
        return {figure_key(e): essence(e) for step in steps for e in step.output.metrics}

    assert run(7) == run(100_000)


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("late", [0.0, 0.1])
def test_a_flush_that_decides_nothing_may_be_put_off(late: float, labelled: bool) -> None:
    """Figures, counts, what is too late and alerts are those of a flush a round; without late events even the moment
    of each is."""
    rng = random.Random(8)
    predictions, labels = events(rng, late=late)
    model = replace(policies().models["m"], max_out_of_order_ms=3_000, allowed_lateness_ms=15_000)
    strict = replace(policies(), models={"m": model})
    chunk = rng.randrange(10, 25)

    def run(most_waiting: int) -> tuple[int, list[MetricEvent], set[tuple[str, str, str]]]:
        answers = [v for _, v in labels] if labelled else []
        inputs = [v for _, v in predictions], answers
        steps = list(backtest(strict, DECODE, {"m": reference()}, *inputs, chunk=chunk, most_waiting=most_waiting))
        alerts = {(a.fingerprint, a.state, a.starts_at) for step in steps for a in step.output.alerts}
        return len(steps), [e for step in steps for e in step.output.metrics], alerts

    def too_late(found: list[MetricEvent]) -> Counter[tuple]:
        total: Counter[tuple] = Counter()
        for event in found:
            if event.metric == "too_late":
                total[figure_key(event)] += event.n
        return total

    (many, each, fired), (few, put_off, fired_too) = run(0), run(10 * chunk)
    assert few < many * 2 // 3
    assert fired_too == fired
    assert too_late(put_off) == too_late(each)
    assert bool(too_late(each)) == bool(late)
    before, after = newest(each), newest(put_off)
    drop = ("id", "revision") if late else ()
    assert after.keys() == before.keys()
    assert [essence(after[key], *drop) for key in after] == [essence(before[key], *drop) for key in after]
    if not late:
        assert sorted(e.encode() for e in put_off) == sorted(e.encode() for e in each)


def test_a_bootstrapped_reference_is_learned_and_used() -> None:
    model = replace(policies().models["m"], reference=ReferencePolicy(events=300), segments=())
    predictions, labels = events(random.Random(1))
    steps = backtest(
        replace(policies(), models={"m": model}),
        DECODE,
        {},
        [v for _, v in predictions],
        [v for _, v in labels],
        chunk=50,
    )
    outputs = [step.output for step in steps]
    profiles = [profile for output in outputs for profile in output.profiles]
    assert [(p.kind, p.n >= 300) for p in profiles] == [("bootstrap", True)]
    statuses = [e.status for o in outputs for e in o.metrics if e.metric == "csi" and e.feature == "x"]
    assert statuses.index("ok") > 0
    assert "no_reference" in [e.status for o in outputs for e in o.metrics if e.metric == "psi"]
    assert max(e.value or 0 for o in outputs for e in o.metrics if e.metric == "csi" and e.feature == "x") > 1


def test_a_bootstrapped_profile_of_another_task_is_left_aside() -> None:
    """The task of a model was changed in the config: the profile that is still on its topic says nothing any more."""
    binary = OutcomePolicy(task=Task.BINARY, positive_class="1")
    multiclass = OutcomePolicy(task=Task.MULTICLASS)
    learned: list[Profile] = []
    for outcome in (binary, multiclass):
        model = ModelPolicy(name="m", outcome=outcome, reference=ReferencePolicy(events=100))
        world = World(Policies(models={"m": model}, panes_partitions=1, live_horizon_ms=None), partitions=1)
        world.worker(0).adopt(learned)
        for i in range(400):
            answer = {"score": 0.5} if outcome is binary else {"label": "abc"[i % 3]}
            world.send(PREDICTIONS, str(i), prediction(str(i), i, features={"x": i % 7}, **answer))
            if i % 50 == 49:
                world.clock += 1_000
                world.ingest(0, PREDICTIONS, 50)
                world.flush(0)
                fold = world.folds[0]
                world.evaluate(0, 100)
        learned = [profile] if (profile := fold._models["m"].learner.profile) else []
        assert learned
        assert learned[0].task is outcome.task
        world.crash_evaluate(0)
        assert world.folds[0]._models["m"].learner.profile == learned[0]


def test_unknown_classes_are_counted_and_in_no_figure_and_macro_figures_say_class_null() -> None:
    outcome = OutcomePolicy(task=Task.MULTICLASS, classes=("a", "b"))
    model = ModelPolicy(
        name="m",
        outcome=outcome,
        reference=ReferencePolicy(kind="none"),
        join=JoinPolicy(60_000, 0),
        windows=(WindowSpec(60_000, 60_000),),
    )
    predictions = [prediction(str(i), 1 + i / 100, label="a") for i in range(100)]
    labels = [label(str(i), 2 + i / 100, label="ab?"[i % 3]) for i in range(100)]
    steps = list(backtest(Policies(models={"m": model}), DECODE, {}, predictions, labels))
    metrics = [json.loads(e.encode()) for step in steps for e in step.output.metrics]
    assert [m["n"] for m in metrics if m["metric"] == "accuracy"] == [67]
    assert sum(step.counters.joined["m", "unknown_class"] for step in steps) == 33
    assert {m["class"] for m in metrics if m["metric"] == "recall"} == {None, "a", "b"}
    assert all("class" not in m for m in metrics if m["metric"] == "accuracy")


def test_what_waits_for_a_flush_is_bounded_in_events_and_rejects() -> None:
    model = replace(policies().models["m"], windows=(WindowSpec(3_600_000, 3_600_000),))
    calm = replace(policies(), models={"m": model})
    inputs = [prediction(str(i), i * 0.01) for i in range(20_000)], [label(str(i), i * 0.01) for i in range(20_000)]
    steps = list(backtest(calm, DECODE, {"m": reference()}, *inputs, chunk=500, most_waiting=5_000))
    read = [sum(step.counters.consumed.values()) for step in steps]
    assert sum(read) == 40_000
    assert max(read) <= 5_000 + 1_000
    nonsense = [b"nonsense"] * 10_000
    steps = list(backtest(calm, DECODE, {"m": reference()}, [*inputs[0][:5_000], *nonsense, inputs[0][-1]], chunk=500))
    assert sum(len(step.dead_letters) for step in steps) == 10_000
    assert max(len(step.dead_letters) for step in steps) <= 1_000 + 500
