"""bytewax: Kafka source, map, fold_window on the event clock, Kafka sink, as its windowing guide has them.

One worker (a second one in the same process shares the interpreter lock). Batches of 5,000 messages from the source,
`ordered=False` (no sorting before the fold), no recovery store: each the faster choice. Its watermark runs on with the
wall clock after the newest event, so that even ordered events are late without a wait: 30 s.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.operators.windowing import EventClock, TumblingWindower, fold_window
from bytewax.run import cli_main

sys.path.insert(0, str(Path(__file__).parent))
from job import SIZE, Clock, Window, add, given

Decoded = tuple[datetime, dict[str, float]]

task = given()
clock = Clock(task.events)
closed: list[Window] = []


def decode(message: KafkaSourceMessage) -> tuple[str, Decoded]:
    clock.count()
    moment = datetime.fromtimestamp(message.timestamp[1] / 1000, UTC)
    return message.key.decode(), (moment, orjson.loads(message.value)["features"])


def fold(counts: list[int], decoded: Decoded) -> list[int]:
    return add(counts, decoded[1])


def emit(window: tuple[str, tuple[int, list[int]]]) -> KafkaSinkMessage:
    key, (number, counts) = window
    closed.append((key, number * 60_000, counts))
    clock.end()
    return KafkaSinkMessage(key.encode(), orjson.dumps({"window": number, "counts": counts}))


flow = Dataflow("histograms")
source = KafkaSource([task.bootstrap], [task.topic], tail=False, batch_size=5_000)
keyed = op.map("decode", op.input("in", flow, source), decode)
windows = fold_window(
    "fold",
    keyed,
    EventClock(ts_getter=lambda decoded: decoded[0], wait_for_system_duration=timedelta(seconds=30)),
    TumblingWindower(length=timedelta(minutes=1), align_to=datetime(1970, 1, 1, tzinfo=UTC)),
    builder=lambda: [0] * SIZE,
    folder=fold,
    merger=lambda mine, theirs: [a + b for a, b in zip(mine, theirs, strict=True)],
    ordered=False,
)
op.output("out", op.map("emit", windows.down, emit), KafkaSink([task.bootstrap], task.output))

if __name__ == "__main__":
    cli_main(flow)
    clock.print(closed)
