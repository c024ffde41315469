"""Random config changes between runs and worker by worker: a window that its config did not leave counts exactly, no
window counts more than there was, ids come once, and alerts live legal lives."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, replace

import pytest

from stream_monitor.alerts.rule import RulePolicy
from stream_monitor.detectors.policy import DetectorPolicy
from stream_monitor.events.policy import OutcomePolicy, Task
from stream_monitor.events.times import format_timestamp
from stream_monitor.join.policy import JoinPolicy
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS
from stream_monitor.pipeline.policy import ModelPolicy, Policies, ReferencePolicy
from stream_monitor.windows.grid import WindowSpec
from tests.pipeline.world import World, counted, expected_counts, label, prediction

SECOND = 1_000
ALWAYS = WindowSpec(60 * SECOND, 60 * SECOND)
OTHERS = tuple(
    WindowSpec(size * SECOND, slide * SECOND) for size, slide in ((20, 20), (30, 30), (90, 30), (120, 60), (180, 180))
)
RULES = (
    RulePolicy("many", "predictions", above=25.0, for_windows=1, severity="warning"),
    RulePolicy("any", "predictions", above=0.0, for_windows=2, severity="info"),
    RulePolicy("wrong", "accuracy", below=0.9, for_windows=1, severity="critical"),
)
JOIN = JoinPolicy(60 * SECOND, 0, slack_ms=3_600 * SECOND)
Series = tuple[str, int]  # window start, size in seconds


def config(rng: random.Random, *, labels: bool | None) -> Policies:
    """Any config that has the window of a minute. `labels` None: on or off."""
    joined = rng.random() < 0.5 if labels is None else labels
    model = ModelPolicy(
        name="m",
        outcome=OutcomePolicy(task=Task.BINARY, positive_class="1", decision_threshold=rng.choice([0.3, 0.5])),
        reference=ReferencePolicy(kind="none"),
        windows=(ALWAYS, *rng.sample(OTHERS, rng.randrange(4))),
        max_out_of_order_ms=rng.choice([0, 2, 10]) * SECOND,
        allowed_lateness_ms=rng.choice([0, 30, 120]) * SECOND,
        join=JOIN if joined else None,
        segments=rng.choice([(), (("c",),), (("d", "c"),)]),
        detectors=rng.choice([(), (DetectorPolicy("error", "adwin"),), (DetectorPolicy("error", "page_hinkley"),)])
        if joined
        else (),
        retire_after_ms=rng.choice([120, 7 * 86_400]) * SECOND,
    )
    listed = rng.random() < 0.8
    return Policies(
        models={"m": model} if listed else {},
        unlisted=replace(model, name=""),
        rules=tuple(rng.sample(RULES, rng.randrange(4))),
        panes_partitions=1,
        live_horizon_ms=None,
        revision_interval_ms=rng.choice([0, 3, 60]) * SECOND,
        # Small ones: the change comes while a round is under way.
        transaction_bytes=rng.choice([1, 10_000, 1 << 25]),
    )


@dataclass(frozen=True)
class Event:
    id: str
    at: int
    version: str
    label_at: int | None


def stream(rng: random.Random, n: int) -> list[Event]:
    events = []
    for i in range(n):
        at = i * 2_000 + rng.randrange(4_000)
        if rng.random() < 0.08:
            at = max(0, at - rng.randrange(300_000))
        label_at = at + rng.randrange(1, 60_000) if rng.random() < 0.7 else None
        events.append(Event(f"p{i}", at, rng.choice(["1", "2"]), label_at))
    return events


class Changing(World):
    """A world whose evaluate, and then each worker, is started anew with another config. `specs`: every config of
    evaluate with the watermarks between which it was in force."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.newest = 0
        self.runs = [(0, 1 << 60, self.specs)]

    @property
    def specs(self) -> frozenset[WindowSpec]:
        return frozenset(self.policies.model("m").windows)

    @property
    def mark(self) -> int:
        model = self.folds[0]._models.get("m")
        return 0 if model is None else min(model.meta.marks.values(), default=0)

    def change(self, rng: random.Random, after: Policies) -> None:
        since = self.mark
        before, self.policies = self.policies, after
        self.crash_evaluate(0)
        for p in range(self.partitions):
            if rng.random() < 0.5:
                self.told[p] = before, {}  # deployed later
            else:
                self.told.pop(p, None)
                self.crash_worker(p)
        self.runs.append((since, 1 << 60, self.specs))
        self._no_longer()

    def _no_longer(self) -> None:
        """Configs that nobody runs any more were in force up to the newest event."""
        if self.told:
            return
        self.runs = [(since, min(until, self.newest), specs) for since, until, specs in self.runs[:-1]] + self.runs[-1:]

    def deploy(self, p: int) -> None:
        if self.told.pop(p, None) is not None:
            self.crash_worker(p)
            self._no_longer()


def play(w: Changing, rng: random.Random, events: list[Event], *, changes: int, labels: bool | None) -> None:
    steps = 60
    at_steps = set(rng.sample(range(5, steps - 5), changes))
    later: list[tuple[int, Event]] = []
    for step in range(steps):
        for event in events[len(events) * step // steps : len(events) * (step + 1) // steps]:
            w.newest = max(w.newest, event.at, event.label_at or 0)
            tags = {"c": rng.choice("xy")}
            w.send(
                PREDICTIONS,
                event.id,
                prediction(event.id, event.at / 1000, version=event.version, tags=tags, score=rng.random()),
            )
            if event.label_at is not None:
                later.append((step + rng.randrange(4), event))
        for due, event in list(later):
            if due <= step or step == steps - 1:
                later.remove((due, event))
                w.send(LABELS, event.id, label(event.id, (event.label_at or 0) / 1000, label=rng.choice("01")))
        for p in rng.sample(range(w.partitions), w.partitions):
            w.clock += rng.randrange(3_000)
            for role in rng.sample([PREDICTIONS, LABELS], 2):
                w.ingest(p, role, 1_000)
            w.flush(p)
            if rng.random() < 0.3:
                w.deploy(p)
        if rng.random() < 0.8:
            w.evaluate(0, rng.randrange(1, 20))
        if step in at_steps:
            w.change(rng, config(rng, labels=labels))
    for p in range(w.partitions):
        w.deploy(p)
    w.run_out()


def stayed(w: Changing, spec: WindowSpec, start: int, late: int = 450 * SECOND) -> bool:
    """Whether every config had the window from its begin until nothing could change it any more."""
    first, last = start - 400 * SECOND, start + spec.size_ms + late
    return all(spec in specs for since, until, specs in w.runs if since <= last and until >= first)


def assert_exact(w: Changing, metric: str, basis: str, times: list[tuple[str, int]]) -> None:
    every = Policies(models={"m": ModelPolicy(name="m", windows=(ALWAYS, *OTHERS))})
    expected = expected_counts([("m", version, {}, at) for version, at in times], every)
    found = counted(w.metrics, metric, basis)
    found = Counter({key: n for key, n in found.items() if key[2] == ""})
    sizes = {spec.size_ms // 1000: spec for spec in (ALWAYS, *OTHERS)}
    starts = {format_timestamp(at): at for at in range(-600 * SECOND, 3_600 * SECOND, SECOND)}
    for key in found.keys() | expected.keys():
        spec, start = sizes[key[4]], starts[key[3]]
        assert found[key] <= expected[key], key
        if spec == ALWAYS or stayed(w, spec, start):
            assert found[key] == expected[key], (key, w.runs)


def assert_legal(w: Changing) -> None:
    firing: dict[str, str] = {}
    for alert in w.alerts:
        before = firing.get(alert.fingerprint, "resolved")
        assert (before, alert.state) in {
            ("resolved", "pending"), ("resolved", "firing"), ("pending", "firing"), ("pending", "pending"),
            ("firing", "resolved"),
        }, (before, alert)  # fmt: skip
        firing[alert.fingerprint] = alert.state
        if alert.state == "resolved":
            assert alert.reason in {"recovered", "stale", "version_retired", "rule_removed"}
    ids = Counter(alert.id for alert in w.alerts)
    assert not [each for each, n in ids.items() if n > 1]
    rules = {rule.name for rule in w.policies.rules}
    sizes = defaultdict(set)
    for alert in w.folds[0].active_alerts().values():
        sizes[alert.rule].add(alert.labels.get("window"))
    assert sizes.keys() <= rules | {"watermark-stalled", "late-flood"}


@pytest.mark.parametrize("labels", [True, None])
@pytest.mark.parametrize("seed", [3, *(pytest.param(seed, marks=pytest.mark.chaos) for seed in range(4, 40))])
def test_counts_equal_the_recount_whatever_changes(seed: int, labels: bool | None) -> None:
    rng = random.Random(f"{seed} {labels}")
    w = Changing(config(rng, labels=labels), partitions=2)
    events = stream(rng, 500)
    play(w, rng, events, changes=4, labels=labels)
    assert_exact(w, "predictions", "prediction", [(e.version, e.at) for e in events])
    if labels:
        assert_exact(w, "labels_joined", "label", [(e.version, e.label_at) for e in events if e.label_at is not None])
    ids = Counter(event.id for event in w.metrics)
    assert not [each for each, n in ids.items() if n > 1], "a metric id came twice"
    assert_legal(w)
