"""Source topics keyed by anything: events placed by id, with event time held back by the source that lags.

The oracle is the same events counted at once; a source partition that lags for hours must make nothing too late.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_monitor.errors import FormatError
from stream_monitor.join.policy import JoinPolicy
from stream_monitor.pipeline.horizon import Span
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS, IngestFold, Records
from stream_monitor.pipeline.messages import Progress, encode
from stream_monitor.pipeline.partition import partition_of
from stream_monitor.pipeline.policy import ModelPolicy, Policies
from stream_monitor.pipeline.repartition import RepartitionFold
from stream_monitor.windows.grid import WindowSpec
from stream_monitor.windows.watermark import SourceProgress
from tests.pipeline.world import DECODE, World, counted, expected_counts, label, prediction

MINUTE = 60_000
MODEL = ModelPolicy(
    name="m",
    windows=(WindowSpec(MINUTE, MINUTE),),
    max_out_of_order_ms=5_000,
    allowed_lateness_ms=0,
    join=JoinPolicy(24 * 60 * MINUTE, 24 * 60 * MINUTE),
)
POLICIES = Policies(models={"m": MODEL}, panes_partitions=1, live_horizon_ms=None, revision_interval_ms=0)
BEHIND = replace(POLICIES, repartition=True)
ROLES = (PREDICTIONS, LABELS)


class KeyedWorld(World):
    """The logs of this world are those that repartition fills; keys tell its marks from events."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.keys = {role: [[] for _ in range(self.partitions)] for role in self.logs}

    def put(self, role: str, partition: int, key: bytes | None, value: bytes) -> None:
        self.logs[role][partition].append(value)
        self.keys[role][partition].append(key)

    def ingest(self, partition: int, role: str, most: int) -> None:
        start = self._read.get((role, partition), self.positions[role, partition])
        values = self.logs[role][partition][start : start + most]
        n = len(values)
        records = Records(
            [partition] * n,
            range(start, start + n),
            [self.clock] * n,
            self.keys[role][partition][start : start + n],
            values,
        )
        fold = self.worker(partition)
        (fold.predictions if role == PREDICTIONS else fold.labels)(records)
        self._read[role, partition] = start + n


@dataclass
class Upstream:
    """Source logs, each with a repartition worker of its own that may sleep, abort and die."""

    world: KeyedWorld
    sources: int
    logs: dict[str, list[list[bytes]]] = field(init=False)

    def __post_init__(self) -> None:
        self.logs = {role: [[] for _ in range(self.sources)] for role in ROLES}
        self.at = {(role, s): 0 for role in ROLES for s in range(self.sources)}
        self.workers = {s: self._worker(s) for s in range(self.sources)}

    def _worker(self, source: int) -> RepartitionFold:
        return RepartitionFold(POLICIES, DECODE, instance=f"r{source}")

    def work(self, source: int, most: int, *, commit: bool = True) -> None:
        fold, spans = self.workers[source], {}
        for role in ROLES:
            start = self.at[role, source]
            values = self.logs[role][source][start : start + most]
            n = len(values)
            fold.take(role, Records([source] * n, range(start, start + n), [self.world.clock] * n, [None] * n, values))
            caught_up = start + n == len(self.logs[role][source])
            spans[role, source] = Span(start, start + n, caught_up)
        flush = fold.flush(self.world.clock, spans, dict.fromkeys(ROLES, self.sources))
        if not commit:
            fold.discarded()
            return
        for role in ROLES:
            for key, value in flush.events.get(role, ()):
                self.world.put(role, partition_of(key.decode(), self.world.partitions), key, value)
            for partition in range(self.world.partitions):
                self.world.put(role, partition, None, flush.marks[role])
            self.at[role, source] = spans[role, source].end
        fold.committed()

    def done(self) -> bool:
        return all(self.at[role, s] == len(self.logs[role][s]) for role, s in self.at)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_source_that_lags_makes_nothing_too_late_and_labels_find_their_predictions(
    seed: int,
) -> None:
    chance = random.Random(seed)
    world = KeyedWorld(BEHIND, partitions=chance.randint(1, 3))
    upstream = Upstream(world, sources=chance.randint(1, 4))
    events, lagging = [], chance.randrange(upstream.sources)
    for i in range(300):
        at, name = i * 3_000, f"id{i}"
        events.append(("m", "1", {}, at))
        # Source partitions say nothing of the id, and repeats may lie in another one than the first.
        for _ in range(chance.choice((1, 1, 1, 2))):
            upstream.logs[PREDICTIONS][chance.randrange(upstream.sources)].append(
                prediction(name, at / 1000, score=0.7)
            )
        if chance.random() < 0.7:
            upstream.logs[LABELS][chance.randrange(upstream.sources)].append(
                label(name, (at + 30_000) / 1000, label="1")
            )
    _interleave(world, upstream, chance, lagging)
    assert counted(world.metrics, "predictions", "prediction") == expected_counts(events, BEHIND)
    assert not [event for event in world.metrics if event.metric == "too_late"]
    labels = sum(len({_id(value) for log in upstream.logs[LABELS] for value in log}) for _ in (0,))
    assert sum(counted(world.metrics, "labels_joined", "label").values()) == labels


def _id(value: bytes) -> bytes:
    return value.split(b'"prediction_id": "')[1].split(b'"')[0]


def _interleave(world: KeyedWorld, upstream: Upstream, chance: random.Random, lagging: int) -> None:
    """All read in any order, now and then aborted; one source hardly ever, so that it ends last by far."""
    rounds = 0
    while not upstream.done() or not _all_read(world):
        rounds += 1
        world.clock += 1_000
        for source in range(upstream.sources):
            if source != lagging or rounds > 60 or chance.random() < 0.1:
                upstream.work(source, chance.randint(0, 6), commit=chance.random() < 0.9)
        for partition in range(world.partitions):
            for role in ROLES:
                world.ingest(partition, role, chance.randint(0, 30))
            if chance.random() < 0.05:
                world.crash_worker(partition)
            world.flush(partition, commit=chance.random() < 0.9)
        world.evaluate(0, chance.randint(0, 20), commit=chance.random() < 0.9)
    world.evaluate(0, 1 << 30)
    world.folds[0].finish()
    world.publish(0, world.folds[0].drain())


def _all_read(world: KeyedWorld) -> bool:
    return all(world.positions[role, p] == len(world.logs[role][p]) for role, p in world.positions)


def test_without_the_marks_the_lagging_source_would_be_too_late() -> None:
    """The control of the test above: the same events, placed by id but with event time taken from them."""
    chance = random.Random(5)
    found: Counter[bool] = Counter()
    for policies in (BEHIND, POLICIES):
        world = KeyedWorld(policies, partitions=2)
        upstream = Upstream(world, sources=3)
        for i in range(300):
            upstream.logs[PREDICTIONS][i % 3].append(prediction(f"id{i}", i * 3, score=0.7))
        if policies is POLICIES:  # ingest as it is without repartition: marks would be rejects, so they are left out
            put = world.put
            world.put = lambda role, p, key, value, put=put: None if key is None else put(role, p, key, value)  # type: ignore[method-assign]
        _interleave(world, upstream, chance, lagging=1)
        found[policies is BEHIND] = sum(event.metric == "too_late" for event in world.metrics)
    assert found[True] == 0
    assert found[False] > 0


def test_rejects_stay_behind_with_their_source_position() -> None:
    fold = RepartitionFold(POLICIES, replace(DECODE, max_future_ms=1_000), instance="r")
    good, far = prediction("a", 1.0), prediction("b", 10_000.0)
    values = [b"{", good, None, far, label("c", 1.0)]
    fold.take(PREDICTIONS, Records([3] * 5, range(7, 12), [2_000] * 5, [b"k"] * 5, values))
    fold.take(LABELS, Records([1], range(1), [2_000], [None], [b"[]"]))
    flush = fold.flush(5, {(PREDICTIONS, 3): Span(7, 12, True)}, {PREDICTIONS: 4, LABELS: 4})
    assert [(event.key, event.value) for event in flush.events[PREDICTIONS]] == [(b"a", good), (b"c", values[4])]
    assert [(each.topic, each.partition, each.offset, str(each.reason)) for each in flush.dead_letters] == [
        ("predictions", 3, 7, "malformed_json"),
        ("predictions", 3, 9, "empty"),
        ("predictions", 3, 10, "timestamp_out_of_range"),
        ("labels", 1, 0, "wrong_type"),
    ]
    assert flush.counters.consumed == {PREDICTIONS: 5, LABELS: 1}
    assert sum(flush.counters.rejected.values()) == 4
    # Ingest tells evaluate of them, which knows a flood by its share; once, however many partitions there are.
    ingest = IngestFold(BEHIND, DECODE, {}, World(POLICIES).store, instance="i")
    marks = [flush.first_marks[PREDICTIONS], flush.marks[PREDICTIONS], flush.marks[PREDICTIONS]]
    ingest.predictions(Records([0, 1, 2], [0] * 3, [1] * 3, [None] * 3, marks))
    told = [_decode(message.value) for message in ingest.flush(1, {}, {}).messages]
    assert [(each.events, each.rejects) for each in told if isinstance(each, Progress)] == [
        (3, {"malformed_json": 1, "empty": 1, "timestamp_out_of_range": 1})
    ]


def test_what_it_holds_is_bounded() -> None:
    fold = RepartitionFold(replace(POLICIES, max_unflushed_bytes=1_000), DECODE, instance="r")
    value = prediction("a", 1.0)
    most = 1_000 // len(value)
    fold.take(PREDICTIONS, Records([0] * most, range(most), [1] * most, [None] * most, [value] * most))
    assert not fold.is_full()
    fold.take(PREDICTIONS, Records([0], [most], [1], [None], [value]))
    assert fold.is_full()
    fold.discarded()
    assert not fold.is_full()


def test_ids_are_placed_as_the_join_names_them() -> None:
    """A number is its digits, an odd surrogate is kept: a label must land where its prediction did."""
    fold = RepartitionFold(POLICIES, DECODE, instance="r")
    number = prediction("1", 1.0).replace(b'"prediction_id": "1"', b'"prediction_id": 12')
    fold.take(PREDICTIONS, Records([0], [0], [1], [None], [number]))
    fold.take(LABELS, Records([0], [0], [1], [None], [label("12", 1.0, label="1")]))
    events = fold.flush(1, {}, {PREDICTIONS: 1, LABELS: 1}).events
    assert events[PREDICTIONS][0].key == events[LABELS][0].key == b"12"


def test_a_keyless_stranger_is_a_reject_and_another_format_of_marks_is_refused() -> None:
    fold = IngestFold(BEHIND, DECODE, {}, World(POLICIES).store, instance="i")
    fold.predictions(Records([0, 0], [0, 1], [1, 1], [None, None], [b"{}", None]))
    assert sum(fold.flush(1, {}, {}).counters.rejected.values()) == 2
    later = encode(Progress(v=99, instance="r", sources=[], counts={}))
    with pytest.raises(FormatError, match="99"):
        fold.predictions(Records([0], [2], [1], [None], [later]))


def _mark(source: int, newest: dict[str, int], *, caught_up: bool = True, active: list[str] | None = None) -> bytes:
    sources = [
        SourceProgress(PREDICTIONS, source, 0, 1, newest, caught_up, sorted(newest) if active is None else active)
    ]
    return encode(Progress(v=1, instance="r", sources=sources, counts={PREDICTIONS: 2}))


def _told(fold: IngestFold, now_ms: int, *marks: tuple[int, bytes]) -> SourceProgress:
    """What ingest says after these marks, each with the time of its record."""
    n = len(marks)
    fold.predictions(Records([0] * n, range(n), [at for at, _ in marks], [None] * n, [mark for _, mark in marks]))
    flush = fold.flush(now_ms, {(PREDICTIONS, 0): Span(0, n, True)}, {PREDICTIONS: 1})
    fold.committed()
    progress = next(m for m in map(_decode, [m.value for m in flush.messages]) if isinstance(m, Progress))
    return progress.sources[0]


def _decode(value: bytes) -> object:
    from stream_monitor.pipeline.messages import decode

    return decode(value)


def test_what_the_marks_say_of_the_sources() -> None:
    def fold() -> IngestFold:
        return IngestFold(BEHIND, DECODE, {}, World(POLICIES).store, instance="i")

    both = [(1_000, _mark(0, {"m": 9_000})), (1_000, _mark(1, {"m": 7_000}))]
    assert _told(fold(), 1_000, *both).newest_ms == {"m": 7_000}  # the least
    assert _told(fold(), 1_000, *both).caught_up
    unknown = _told(fold(), 1_000, both[0])
    assert not unknown.newest_ms
    assert not unknown.caught_up  # of the other source nothing is known
    idle = _told(fold(), 1_000, both[0], (1_000, _mark(1, {"m": 7_000}, active=[])))
    assert idle.newest_ms == {"m": 9_000}
    lagging = _told(fold(), 1_000, both[0], (1_000, _mark(1, {}, caught_up=False)))
    assert (lagging.newest_ms, lagging.caught_up) == ({}, False)
    all_idle = _told(fold(), 1_000, (1, _mark(0, {"m": 1}, active=[])), (1, _mark(1, {"m": 2}, active=[])))
    assert (all_idle.newest_ms, all_idle.caught_up, all_idle.active) == ({}, True, [])
    # An owner that spoke long before the other may have died: what it called idle counts no longer.
    dead = _told(fold(), 60_000, (1_000, _mark(1, {"m": 7_000}, active=[])), (60_000, _mark(0, {"m": 9_000})))
    assert (dead.newest_ms, dead.caught_up) == ({}, False)


def test_where_no_mark_comes_any_more_nothing_is_called_idle() -> None:
    fold = IngestFold(BEHIND, DECODE, {}, World(POLICIES).store, instance="i")
    assert _told(fold, 1_000, (1_000, _mark(0, {"m": 9_000})), (1_000, _mark(1, {"m": 7_000}))).caught_up
    assert _told(fold, 5_000).caught_up
    assert not _told(fold, 10_000).caught_up


def test_marks_of_an_aborted_read_are_forgotten() -> None:
    fold = IngestFold(BEHIND, DECODE, {}, World(POLICIES).store, instance="i")
    marks = [_mark(0, {"m": 9_000}), _mark(1, {"m": 7_000})]
    fold.predictions(Records([0, 0], [0, 1], [1, 1], [None, None], marks))
    fold.discarded()
    assert _told(fold, 1_000).newest_ms == {}
