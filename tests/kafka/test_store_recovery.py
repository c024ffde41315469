"""Counts stay exact when join stores are left behind Kafka, lost, and expire entries, again and again."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from stream_monitor.join.policy import JoinPolicy
from stream_monitor.join.store import MemoryStore
from stream_monitor.kafka.replay import gaps, metadata
from stream_monitor.kafka.stage import Start
from stream_monitor.pipeline.horizon import Span
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS, IngestFold, Records
from tests.pipeline.test_exact_counts import JOIN_WINDOW_MS, pairs_of, policies, send_all, stream
from tests.pipeline.world import World, counted, expected_counts, first_of


class Fragile(World):
    """A world with a store a worker; it is brought up from the commit metadata as the ingest stage does it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.rng = random.Random(5)
        self.metadata = dict.fromkeys(self.positions, "")
        self.stores = [MemoryStore() for _ in range(self.partitions)]
        self.expired = 0

    def worker(self, partition: int) -> IngestFold:
        if partition not in self.workers:
            store = self.stores[partition]
            fold = IngestFold(self.policies, self.decode, self.profiles, store, instance=str(partition))
            self.workers[partition] = fold
            starts = {r: Start(self.positions[r, partition], self.metadata[r, partition]) for r in self.logs}
            at = {role: start.offset for role, start in starts.items()}
            at |= {gap.role: gap.start for gap in gaps(partition, starts, store)}
            while any(at[role] < start.offset for role, start in starts.items()):
                before = dict(at)
                for role in self.rng.sample(list(at), 2):
                    self.replay(fold, partition, role, at, starts[role].offset)
                spans = {(role, partition): Span(before[role], end, False) for role, end in at.items()}
                fold.flush(self.clock, spans, {})
                fold.committed()
        return self.workers[partition]

    def replay(self, fold: IngestFold, partition: int, role: str, at: dict[str, int], end: int) -> None:
        """The next chunk of one role; both topics interleave anyhow."""
        offsets = range(at[role], min(end, at[role] + self.rng.randrange(30)))
        n = len(offsets)
        values = [self.logs[role][partition][offset] for offset in offsets]
        records = Records([partition] * n, offsets, [self.clock] * n, [None] * n, values)
        (fold.predictions if role == PREDICTIONS else fold.labels)(records)
        at[role] += n

    def flush(self, partition: int, *, commit: bool = True) -> None:
        fold = self.worker(partition)
        before = {role: self.positions[role, partition] for role in self.logs}
        floors = {role: fold.floor(role, partition) for role in self.logs}
        kept = fold.committed
        fold.committed = lambda: 0  # type: ignore[method-assign]  # the world's flush ends with the Kafka commit
        super().flush(partition, commit=commit)
        fold.committed = kept  # type: ignore[method-assign]
        if not commit:
            return
        for role, start in before.items():
            span = Span(start, self.positions[role, partition], False)
            self.metadata[role, partition] = metadata(floors[role], span, 4)
        fate = self.rng.random()
        if fate < 0.15:  # killed between the commit and the write
            self.crash_worker(partition)
            return
        self.expired += fold.committed().expired
        if fate > 0.95:
            self.stores[partition] = MemoryStore()
            self.crash_worker(partition)


@pytest.mark.parametrize("seed", range(2))
def test_counts_are_exact_with_stores_behind_or_lost(seed: int) -> None:
    rng = random.Random(seed)
    predictions, labels = stream(rng, 1_500)
    chosen = policies()
    join = JoinPolicy(JOIN_WINDOW_MS, 0, slack_ms=250_000)
    world = Fragile(replace(chosen, models={"m": replace(chosen.models["m"], join=join)}), partitions=3)
    send_all(world, predictions, labels)
    while any(world.positions[role, p] < len(world.logs[role][p]) for role, p in world.positions):
        world.clock += 1_000
        for p in range(world.partitions):
            world.ingest(p, PREDICTIONS, rng.randrange(1, 12))
            world.ingest(p, LABELS, rng.randrange(1, 12))
            world.flush(p, commit=rng.random() < 0.9)
    world.run_out()

    events = [("m", p["version"], p["tags"], p["at"]) for p in first_of(predictions, "id", "version")]
    assert counted(world.metrics, "predictions", "prediction") == expected_counts(events, world.policies)
    pairs = [("m", p["version"], p["tags"], p["label_at"]) for p in pairs_of(predictions, labels)]
    assert counted(world.metrics, "labels_joined", "label") == expected_counts(pairs, world.policies)
    assert world.expired > 0, "entries must have expired"
