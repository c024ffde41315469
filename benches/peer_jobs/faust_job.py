"""Faust (faust-streaming): an agent that folds batches (`stream.take`) into a tumbling windowed table.

The table has its changelog topic, as always; one write a key and minute of a batch, since each is a message of 160
numbers: a write an event, as its guide has it, took two and a half times the CPU. `use_partitioner`, since a batch has
events of all partitions. uvloop, compiled extensions and orjson, as recommended for speed; tables in memory.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mode.loop

mode.loop.use("uvloop")  # before Faust is imported

import faust  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from job import SIZE, Clock, Window, add, given  # noqa: E402

task = given()
clock = Clock(task.events)

app = faust.App(
    task.group,
    broker=f"kafka://{task.bootstrap}",
    store="memory://",
    topic_partitions=task.partitions,
    topic_replication_factor=1,
    topic_disable_leader=True,
    web_enabled=False,
)
topic = app.topic(task.topic, key_type=bytes, key_serializer="raw", value_serializer="json")
histograms = app.Table("histograms", partitions=task.partitions, default=lambda: [0] * SIZE, use_partitioner=True)
windowed = histograms.tumbling(60.0, key_index=False).relative_to_stream()


@app.agent(topic)
async def fold(stream: faust.StreamT) -> None:
    async for events in stream.take_events(1_000, within=0.1):
        last = clock.count(len(events))
        partials: dict[tuple[bytes, float], tuple[faust.EventT, list[int]]] = {}
        for event in events:
            minute = event.message.timestamp // 60
            add(partials.setdefault((event.key, minute), (event, [0] * SIZE))[1], event.value["features"])
        for (key, _), (event, counts) in partials.items():
            windows = windowed[key.decode()]
            merged = [a + b for a, b in zip(windows.current(event), counts, strict=True)]
            windows[histograms.window.current(event.message.timestamp)] = merged
        if last:
            clock.end()
            clock.print(closed_windows())


def closed_windows() -> list[Window]:
    """All but the newest window of each key."""
    found: dict[str, list[Window]] = {}
    for (key, (start, _)), counts in histograms.items():
        found.setdefault(key, []).append((key, round(start * 1000), counts))
    return [window for windows in found.values() for window in sorted(windows)[:-1]]


if __name__ == "__main__":
    faust.Worker(app, loglevel="WARNING").execute_from_commandline()
