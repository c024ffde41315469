"""Quix Streams with the exactly-once guarantee: a tumbling window of a minute, `reduce`, `final`, to a topic.

Its own JSON deserialiser (orjson), its RocksDB state with a changelog topic, a commit every second as ingest's.
The window's event time is the record's timestamp, which is its default.
"""

from __future__ import annotations

import sys
from pathlib import Path

from quixstreams import Application

sys.path.insert(0, str(Path(__file__).parent))
from job import MINUTE_MS, SIZE, Clock, Window, add, given

task = given()
clock = Clock(task.events)
closed: list[Window] = []

app = Application(
    broker_address=task.bootstrap,
    consumer_group=task.group,
    auto_offset_reset="earliest",
    processing_guarantee="exactly-once",
    commit_interval=1.0,
    state_dir=task.folder,
    loglevel="WARNING",
)


def features(event: dict) -> dict[str, float]:
    if clock.count():
        app.stop()
    return event["features"]


def first(values: dict[str, float]) -> list[int]:
    return add([0] * SIZE, values)


def fold(counts: list[int], values: dict[str, float]) -> list[int]:
    counts = add(counts, values)
    if clock.seen >= clock.events:
        clock.end()
    return counts


def keep(window: dict, key: bytes, timestamp: int, headers: object) -> None:
    closed.append((key.decode(), window["start"], window["value"]))


source = app.topic(task.topic, value_deserializer="json", key_deserializer="bytes")
sink = app.topic(task.output, value_serializer="json", key_serializer="bytes")
frame = app.dataframe(source).apply(features).tumbling_window(MINUTE_MS).reduce(reducer=fold, initializer=first).final()
frame.update(keep, metadata=True).to_topic(sink)

if __name__ == "__main__":
    app.run()
    clock.print(closed)
