"""Looking only when something can be over is looking each time, and what nobody asks for is not kept."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from stream_monitor.alerts.rule import RulePolicy
from stream_monitor.detectors.policy import DetectorPolicy
from stream_monitor.pipeline.forgetting import Forgetting
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS
from stream_monitor.pipeline.policy import Policies
from stream_monitor.sketches.packed import PackedLabels
from stream_monitor.windows.grid import WindowSpec
from tests.pipeline.test_exact_counts import play, policies, send_all, stream
from tests.pipeline.world import World, label, prediction

RULES = (RulePolicy("many", "predictions", above=3.0), RulePolicy("quiet", "predictions", below=1.0))


def short_lived(**changes: object) -> Policies:
    chosen = policies(rules=RULES)
    model = replace(chosen.models["m"], retire_after_ms=20_000, **changes)  # type: ignore[arg-type]
    return replace(chosen, models={"m": model})


def played(seed: int, *, crashes: bool, narrow: bool) -> World:
    """With `narrow` the config changes half-way, from windows that do not lie on the grid of the later ones."""
    rng = random.Random(seed)
    random.seed(seed)  # of the order in which restored records come
    odd = (WindowSpec(12_000, 12_000), WindowSpec(36_000, 12_000))
    world = World(short_lived(windows=odd) if narrow else short_lived())
    predictions, labels = stream(rng, 1_500)
    # Version 2 falls silent, and comes back.
    predictions = [e for e in predictions if e["version"] == "1" or not 30_000 < e["at"] < 560_000]
    half = len(predictions) // 8
    send_all(world, predictions[:half], labels[:half])
    play(world, rng, crashes=crashes)
    if narrow:
        world.policies = short_lived()
        for partition in range(world.partitions):
            world.crash_worker(partition)
        for partition in range(len(world.panes)):
            world.crash_evaluate(partition)
    send_all(world, predictions[half:], labels[half:])
    play(world, rng, crashes=crashes)
    return world


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_looking_now_and_then_publishes_what_looking_each_time_does(
    monkeypatch: pytest.MonkeyPatch, seed: int, narrow: bool
) -> None:
    seldom = played(seed, crashes=seed > 0, narrow=narrow)
    expire, silent = Forgetting.expire, Forgetting.silent
    looks = 0

    def expire_now(self: Forgetting, *arguments: object) -> None:
        nonlocal looks
        looks += 1
        self._expired = {}
        expire(self, *arguments)  # type: ignore[arg-type]

    def silent_now(self: Forgetting, *arguments: object) -> object:
        self._silent_from = None
        return silent(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Forgetting, "expire", expire_now)
    monkeypatch.setattr(Forgetting, "silent", silent_now)
    always = played(seed, crashes=seed > 0, narrow=narrow)
    assert looks > 20
    assert [event.encode() for event in seldom.metrics] == [event.encode() for event in always.metrics]
    assert [alert.encode() for alert in seldom.alerts] == [alert.encode() for alert in always.alerts]
    if (seed, narrow) == (0, False):
        assert any(alert.reason == "version_retired" for alert in always.alerts)
    for mine, theirs in zip(seldom.state, always.state, strict=True):
        assert {key for key in mine if b'"series"' not in key} == {key for key in theirs if b'"series"' not in key}


@pytest.mark.parametrize("crashes", [False, True])
def test_samples_are_kept_only_until_the_detectors_have_seen_them(crashes: bool) -> None:
    chosen = policies()
    model = replace(chosen.models["m"], detectors=(DetectorPolicy("error", "page_hinkley"),))
    world = World(replace(chosen, models={"m": model}, panes_partitions=1), partitions=1)
    for i in range(300):
        world.send(PREDICTIONS, f"p{i}", prediction(f"p{i}", i, score=0.7, tags={"country": "DE"}))
        world.send(LABELS, f"p{i}", label(f"p{i}", i, label=str(i % 2)))
    fed = []
    for step in range(30):
        world.clock += 1_000
        world.ingest(0, PREDICTIONS, 10)
        world.ingest(0, LABELS, 10)
        world.flush(0)
        world.evaluate(0, 100)
        fed = [e.n for e in world.metrics if e.metric == "change_detected"]
        panes = {key: value for key, value in world.state[0].items() if key.startswith(b'["pane"') and b"label" in key}
        sampled = [key for key, value in panes.items() if PackedLabels.read(value).sample is not None]
        assert all(b'"[]"' in key for key in sampled), "those of the overall series"
        assert len(sampled) <= 2, "one under way, and one that waits for its watermark"
        if crashes and step % 3 == 0:
            world.crash_evaluate(0)
    assert fed == [20] * len(fed)
    assert len(fed) > 10
