"""bytewax with a pre-aggregation of our own: each batch of messages becomes one histogram a key and minute (numpy).

Not what its windowing guide shows, but its `flat_map_batch` allows it: per-message cost is then that of the source and
of the decoding alone. Otherwise as bytewax_job.py.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import bytewax.operators as op
import numpy as np
import orjson
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.operators.windowing import EventClock, TumblingWindower, fold_window
from bytewax.run import cli_main

sys.path.insert(0, str(Path(__file__).parent))
from job import BINS, EDGES, MINUTE_MS, SIZE, SLOTS, Clock, Window, given

NAMES = [name for name, _ in SLOTS]
FIRST = np.array([first for _, first in SLOTS])
Partial = tuple[datetime, np.ndarray]

task = given()
clock = Clock(task.events)
closed: list[Window] = []


def partials(messages: list[KafkaSourceMessage]) -> Iterable[tuple[str, Partial]]:
    clock.count(len(messages))
    rows: dict[tuple[bytes, int], list[list[float]]] = {}
    for message in messages:
        features = orjson.loads(message.value)["features"]
        rows.setdefault((message.key, message.timestamp[1] // MINUTE_MS), []).append([features[n] for n in NAMES])
    for (key, minute), values in rows.items():
        codes = np.searchsorted(EDGES, np.array(values), side="right") + FIRST
        moment = datetime.fromtimestamp(minute * 60, UTC)
        yield key.decode(), (moment, np.bincount(codes.ravel(), minlength=SIZE))


def emit(window: tuple[str, tuple[int, np.ndarray]]) -> KafkaSinkMessage:
    key, (number, counts) = window
    closed.append((key, number * MINUTE_MS, counts.tolist()))
    clock.end()
    return KafkaSinkMessage(key.encode(), orjson.dumps({"window": number, "counts": counts.tolist()}))


assert len(NAMES) * BINS == SIZE
flow = Dataflow("histograms")
source = KafkaSource([task.bootstrap], [task.topic], tail=False, batch_size=5_000)
keyed = op.flat_map_batch("partials", op.input("in", flow, source), partials)
windows = fold_window(
    "fold",
    keyed,
    EventClock(ts_getter=lambda partial: partial[0], wait_for_system_duration=timedelta(seconds=30)),
    TumblingWindower(length=timedelta(minutes=1), align_to=datetime(1970, 1, 1, tzinfo=UTC)),
    builder=lambda: np.zeros(SIZE, np.int64),
    folder=lambda counts, partial: counts + partial[1],
    merger=lambda mine, theirs: mine + theirs,
    ordered=False,
)
op.output("out", op.map("emit", windows.down, emit), KafkaSink([task.bootstrap], task.output))

if __name__ == "__main__":
    cli_main(flow)
    clock.print(closed)
