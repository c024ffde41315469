"""A lean producer at a steady rate, in a process of its own: `python -m benches.steady '{"rate": …, …}'`.

Events of current time, 20 features each, encoded once: only prediction_id and timestamp are new in each. The event
time is the wall clock at which the event is handed to the client. Prints one JSON object: predictions sent, in
all and by pane of event time, by how many milliseconds the worst step was late, and its CPU seconds.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Any

from confluent_kafka import KafkaException, Producer

from benches.events import MODEL, predictions

STEP_S = 0.005
_ROWS = 500  # different events, each used again and again
_ID = b"00000000-0000-7000-8000-000000000000"
_MARK = b'"prediction_id":"'
_TIME = b'"timestamp":"'

Template = tuple[bytes, bytes, bytes]  # up to the id, between id and time, from the time on


def templates(models: Sequence[str]) -> list[Template]:
    """Events of all models in turn."""
    found = []
    for (_, value), model in zip(predictions(_ROWS), cycle(models), strict=False):
        value = value.replace(b'"model_name":"%s"' % MODEL.encode(), b'"model_name":"%s"' % model.encode(), 1)
        at = value.index(_MARK) + len(_MARK)
        until = value.index(b'"', at)
        time_at = value.index(_TIME) + len(_TIME)
        rest = value.index(b'"', time_at)
        found.append((value[:at], value[until:time_at], value[rest:]))
    return found


def play(
    bootstrap: str, topic: str, *, rate: int, seconds: float, models: Sequence[str], pane_ms: int
) -> dict[str, object]:
    """Send `rate` events a second for `seconds`; KafkaException where one could not be delivered."""
    failures: list[Any] = []
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 5,
            "compression.type": "lz4",
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 500_000,
            "delivery.report.only.error": True,
            "on_delivery": lambda error, _: failures.append(error),
        }
    )
    events = cycle(templates(models))
    by_pane: Counter[int] = Counter()
    produce, sent, late_s = producer.produce, 0, 0.0
    began = time.time()
    for due in _steps(began, seconds):
        now = time.time()
        if now < due:
            time.sleep(due - now)
            now = time.time()
        late_s = max(late_s, now - due)
        now_ms = int(now * 1_000)
        stamp = _stamp(now_ms)
        upto = min(round((due - began) * rate), round(seconds * rate))
        by_pane[now_ms - now_ms % pane_ms] += upto - sent
        for number in range(sent, upto):
            head, middle, tail = next(events)
            key = b"%s%012d" % (_ID[:-12], number)
            produce(topic, b"".join((head, key, middle, stamp, tail)), key)
        sent = upto
        producer.poll(0)
    if producer.flush(30) or failures:
        raise KafkaException(failures[0] if failures else "not all was delivered within 30 s")
    return {
        "sent": sent,
        "seconds": seconds,
        "late_ms": round(late_s * 1_000),
        "cpu_seconds": time.process_time(),
        "by_pane": by_pane,
    }


def _steps(began: float, seconds: float) -> Iterator[float]:
    for number in range(1, round(seconds / STEP_S) + 1):
        yield began + number * STEP_S


def _stamp(ms: int) -> bytes:
    return b"%s.%03dZ" % (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1_000)).encode(), ms % 1_000)


if __name__ == "__main__":
    print(json.dumps(play(**json.loads(sys.argv[1]))))
