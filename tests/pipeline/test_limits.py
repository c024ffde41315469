"""Floods of versions, tag values and models: what is kept is bounded, and everything is counted somewhere."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from stream_monitor.pipeline.admission import OTHER_SERIES
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS
from stream_monitor.pipeline.policy import Policies
from tests.pipeline.test_exact_counts import pairs_of, policies, stream
from tests.pipeline.test_time import T0
from tests.pipeline.test_time import policies as plain
from tests.pipeline.world import World, counted, expected_counts, first_of, label, prediction

COMBINATIONS = (("country",), ("country", "plan"))
MOST_SERIES, MOST_VERSIONS = 8, 2
# Overall series and segments that are kept; the model as a whole; __other__ of each version and combination.
MOST = MOST_SERIES + MOST_VERSIONS + 2 + (MOST_VERSIONS + 1) * len(COMBINATIONS)


def told() -> Policies:
    chosen = replace(policies(), max_series=MOST_SERIES, max_versions=MOST_VERSIONS, panes_partitions=1)
    return replace(chosen, models={"m": replace(chosen.models["m"], segments=COMBINATIONS, retire_after_ms=30_000)})


def flood(rng: random.Random, n: int) -> tuple[list[dict], list[dict]]:
    """Versions and tag values come and go, so that room becomes free."""
    predictions, labels = stream(rng, n)
    tagged: dict[str, dict] = {}
    for event in predictions:
        era = event["at"] // 60_000
        chosen = {
            "version": f"{era + rng.randrange(3)}",
            "tags": {"country": f"C{era * 2 + rng.randrange(4)}", "plan": rng.choice(["a", "b"])},
        }
        event.update(tagged.setdefault(event["id"], chosen))
    return predictions, labels


def send(world: World, predictions: list[dict], labels: list[dict]) -> None:
    for e in predictions:
        value = prediction(e["id"], e["at"] / 1000, version=e["version"], tags=e["tags"], score=e["score"])
        world.send(PREDICTIONS, e["id"], value)
    for e in labels:
        world.send(LABELS, e["id"], label(e["id"], e["at"] / 1000, label=e["label"]))


def play(source: World, rng: random.Random | None) -> World:
    """Evaluate everything that was ingested, with restarts where `rng` says so."""
    world = World(told(), partitions=2)
    world.panes = source.panes
    while world.pane_positions[0] < len(world.panes[0]):
        world.evaluate(0, 3, commit=rng is None or rng.random() < 0.7)
        for model in world.folds[0]._models.values():
            assert len(model.series) <= MOST
    world.folds[0].finish()
    world.publish(0, world.folds[0].drain())
    return world


@pytest.mark.parametrize("seed", range(2))
def test_segments_and_other_sum_up_to_the_overall_series_and_versions_to_the_model(seed: int) -> None:
    rng = random.Random(seed)
    predictions, labels = flood(rng, 700)
    source = World(told(), partitions=2)
    send(source, predictions, labels)
    while any(source.positions[role, p] < len(source.logs[role][p]) for role, p in source.positions):
        source.clock += 1_000
        for p in range(2):
            source.ingest(p, PREDICTIONS, 20)
            source.ingest(p, LABELS, 20)
            source.flush(p)
    world, restarted = play(source, None), play(source, rng)
    assert [event.encode() for event in restarted.metrics] == [event.encode() for event in world.metrics]

    counts = {
        "predictions": [(e["at"], e) for e in first_of(predictions, "id", "version")],
        "labels_joined": [(e["label_at"], e) for e in pairs_of(predictions, labels)],
    }
    for (metric, events), basis in zip(counts.items(), ("prediction", "label"), strict=True):
        by_series = counted(world.metrics, metric, basis)
        overall: Counter[tuple] = Counter()
        of_segments: Counter[tuple] = Counter()
        for (model, version, segment, start, size), n in by_series.items():
            if segment:
                of_segments[model, version, segment.count("="), start, size] += n
            else:
                overall[model, version, start, size] += n
        expected = expected_counts([("m", "all", {}, at) for at, _ in events], replace(told(), models={"m": bare()}))
        total: Counter[tuple] = Counter()
        for (model, _, start, size), n in overall.items():
            total[model, "all", "", start, size] += n
        assert total == expected
        for (model, version, start, size), n in overall.items():
            assert [of_segments[model, version, tags, start, size] for tags in (1, 2)] == [n, n]
    segments = {tuple(event.segment.values()) for event in world.metrics}
    assert {("__other__",), ("__other__", "__other__")} <= segments
    kept = {(event.model_version, *event.segment.values()) for event in world.metrics}
    assert len([each for each in kept if OTHER_SERIES not in each[1:]]) > MOST_SERIES, "free room is given away"
    versions = {event.model_version for event in world.metrics}
    assert OTHER_SERIES in versions
    assert len(versions) > MOST_VERSIONS + 2
    limited = world.folds[0].drain().summary.limited
    assert limited["m", "series"] > 0
    assert limited["m", "versions"] > 0


def bare():
    return replace(told().models["m"], segments=())


def test_a_version_for_every_event_takes_the_place_of_a_few() -> None:
    chosen = plain()
    world = World(replace(chosen, max_versions=3), partitions=1)
    for i in range(500):
        world.logs[PREDICTIONS][0].append(prediction(str(i), T0 / 1000 + i / 10, version=f"v{i}", score=0.5))
    world.run_out(step=50)
    counts = {e.model_version: e.value for e in world.metrics if e.metric == "predictions"}
    assert counts == {"v0": 1, "v1": 1, "v2": 1, "__other__": 497}
    assert len(world.state[0]) < 30


def test_tag_values_do_not_take_the_place_of_the_next_version() -> None:
    chosen = plain()
    model = replace(chosen.models["m"], segments=(("country",),))
    world = World(replace(chosen, models={"m": model}, max_series=5), partitions=1)
    for version in ("1", "2"):
        for i in range(20):
            value = prediction(f"{version}{i}", T0 / 1000, version=version, tags={"country": f"C{i}"}, score=0.5)
            world.logs[PREDICTIONS][0].append(value)
    world.run_out()
    assert {e.model_version for e in world.metrics if not e.segment} == {"1", "2"}
    counts = {(e.model_version, *e.segment.values()): e.value for e in world.metrics if e.metric == "predictions"}
    assert (counts["1",], counts["2",]) == (20, 20)
    assert len(counts) <= 7


@pytest.mark.parametrize("crashes", [False, True])
def test_models_beyond_the_limit_are_counted_and_said_though_each_ingest_worker_lets_some_pass(crashes: bool) -> None:
    world = World(replace(plain(), max_models=3), partitions=1)
    world.clock = T0
    for life in range(4):
        for i in range(3):
            value = prediction(f"{life}{i}", T0 / 1000 + life, model=f"new{life}{i}", score=0.5)
            world.logs[PREDICTIONS][0].append(value)
        world.logs[PREDICTIONS][0].append(prediction(f"{life}", T0 / 1000 + life, score=0.5))
        world.clock += 1_000
        world.ingest(0, PREDICTIONS, 100)
        world.flush(0)
        world.crash_worker(0)
        world.evaluate(0, 100)
        if crashes:
            world.crash_evaluate(0)
    summary = world.folds[0].drain().summary
    assert set(summary.models) == {"m", "new00", "new01", "new02"}
    assert summary.limited["__other__", "models"] == 9
    assert [(a.labels["alertname"], a.state) for a in world.alerts] == [("model-limit", "firing")]
    world.clock += 601_000
    world.logs[PREDICTIONS][0].append(prediction("last", T0 / 1000 + 5, score=0.5))
    world.run_out()
    assert [a.state for a in world.alerts] == ["firing", "resolved"]
    assert sum(e.value for e in world.metrics if e.metric == "predictions" and e.model_name == "m") == 5
