"""The join store: µs a put and a look-up, against the same calls on the store in memory.

No Kafka: the store alone, in batches as the fold uses it. The usual course of a prediction and its label: a look-up of
a key that is not there, a put, soon after a look-up of a key that is there, a put. Then look-ups of keys of any age.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benches.harness import Options, Result, interleaved, over, ratio, result
from benches.join_entries import BATCH, batches, entries, keys, scattered
from stream_monitor.join.store import JoinStore, MemoryStore
from stream_monitor.kafka.join_store import RocksJoinStore

_BEHIND = 5 * BATCH  # how many predictions a label comes after its own


class Cost(NamedTuple):
    """µs each, as CPU of the caller; of a prediction and its label also by the wall, and as CPU of all threads."""

    absent: float
    recent: float
    any_age: float
    put: float
    pair_wall: float
    pair_all: float

    @property
    def pair(self) -> float:
        """A prediction and its label."""
        return self.absent + self.recent + 2 * self.put

    def __str__(self) -> str:
        return f"pair {self.pair:.2f} µs, with the threads behind {self.pair_all:.2f}"


def run(options: Options) -> Result:
    events = options.count(400_000, quick=40_000) // BATCH * BATCH or BATCH
    found = interleaved(
        options, {"on disk": lambda _: _on_disk(events), "in memory": lambda _: _played(MemoryStore(), events)}
    )
    disk, memory = found["on disk"], found["in memory"]
    return result(
        figures={
            "look-up of an absent key, CPU µs": [each.absent for each in disk],
            "look-up of a recent key, CPU µs": [each.recent for each in disk],
            "look-up of a key of any age, CPU µs": [each.any_age for each in disk],
            "put, CPU µs": [each.put for each in disk],
            "pair, CPU µs of the caller": [each.pair for each in disk],
            "pair, CPU µs, threads behind included": [each.pair_all for each in disk],
            "pair, µs by the wall": [each.pair_wall for each in disk],
            "pair in memory, CPU µs": [each.pair_all for each in memory],
        },
        ratios={
            "pair_of_memory": ratio(over([each.pair_all for each in disk], [each.pair_all for each in memory]), "lower")
        },
        events=events,
    )


def _on_disk(events: int) -> Cost:
    # Beside the working directory, not in /tmp, which may be in memory.
    with tempfile.TemporaryDirectory(prefix="join-", dir=Path.cwd()) as folder:
        store = RocksJoinStore(Path(folder))
        found = _played(store, events)
        store.close()
        return found


def _played(store: JoinStore, events: int) -> Cost:
    spent = {"absent": 0.0, "recent": 0.0, "any": 0.0, "put": 0.0}
    wall = making = 0.0  # seconds in the store; CPU seconds of the bench itself

    def step(name: str, numbers: range | list[int], *, labelled: bool, write: bool = True) -> None:
        nonlocal wall, making
        began = time.thread_time()
        asked = keys(numbers)
        made, floors = entries(asked, numbers[0], labelled=labelled)
        called, called_wall = time.thread_time(), time.perf_counter()
        store.get_many(0, asked)
        looked_up = time.thread_time()
        if write:
            store.write(0, made, floors, {"predictions": numbers[-1] + 1}, None)
            spent["put"] += time.thread_time() - looked_up
        making += called - began
        spent[name] += looked_up - called
        wall += time.perf_counter() - called_wall

    began = time.process_time()
    for batch in batches(0, events + _BEHIND):
        if batch.stop <= events:
            step("absent", batch, labelled=False)
        if batch.start >= _BEHIND:
            step("recent", range(batch.start - _BEHIND, batch.stop - _BEHIND), labelled=True)
    us = 1e6 / events
    pair_wall, pair_all = wall * us, (time.process_time() - began - making) * us
    for numbers in scattered(0, events):
        step("any", numbers, labelled=True, write=False)
    return Cost(
        spent["absent"] * us, spent["recent"] * us, spent["any"] * us, spent["put"] / 2 * us, pair_wall, pair_all
    )
