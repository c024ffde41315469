"""Writes the streams while faults land: a tick every 20 ms, whatever becomes of the brokers meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaException, Producer

from tests.acceptance.site import MURMUR2, Site
from tests.acceptance.stream import Stream

TICK_S = 0.02
MOST_WAITING = 20_000  # events handed to the producer and not yet written; beyond it the streams stand still


class Writer(threading.Thread):
    """`per_second`: predictions of each stream, of which the first `at_once` come at once; their labels come on top."""

    def __init__(self, monitor: Site, streams: Sequence[Stream], per_second: int, at_once: int) -> None:
        super().__init__(daemon=True, name="writer")
        self._names = {"predictions": monitor.predictions, "labels": monitor.labels}
        self._streams, self._at_once = streams, at_once
        self._steps = max(1, round(per_second * TICK_S))
        settings = {"bootstrap.servers": monitor.topics.bootstrap, "linger.ms": 5, "enable.idempotence": True}
        settings |= {"delivery.timeout.ms": 900_000, "log_level": 0}
        self._producer = Producer({**settings, **MURMUR2})
        self._failures: list[Any] = []
        self._halt = threading.Event()
        self._going = threading.Event()
        self._going.set()

    def run(self) -> None:
        try:
            for stream in self._streams:
                self._send(stream.take(self._at_once))
            due = time.monotonic()
            while not self._halt.is_set():
                self._going.wait(1.0)
                if self._going.is_set() and len(self._producer) < MOST_WAITING:
                    for stream in self._streams:
                        self._send(stream.take(self._steps))
                due = max(due + TICK_S, time.monotonic() - 1)
                self._producer.poll(max(0.0, due - time.monotonic()))
                self._halt.wait(max(0.0, due - time.monotonic()))
            for stream in self._streams:
                self._send(stream.rest())
            if self._producer.flush(240):
                raise TimeoutError("the rest of the stream was not written within 240 s")
        except BaseException as error:
            self._failures.append(error)

    def pause(self) -> None:
        """Write nothing until `go_on`; returns when all that was made is written."""
        self._going.clear()
        time.sleep(3 * TICK_S)
        self._producer.flush(60)

    def go_on(self) -> None:
        self._going.set()

    def finish(self) -> None:
        """Write what is left, and wait for it."""
        self._going.set()
        self._halt.set()
        self.join(300)
        self.check()

    def check(self) -> None:
        """Raises what the writing failed with."""
        if self._failures:
            cause = self._failures[0]
            raise cause if isinstance(cause, BaseException) else KafkaException(cause)

    def _send(self, events: list[tuple[str, str, bytes]]) -> None:
        for topic, key, value in events:
            while True:
                try:
                    self._producer.produce(self._names[topic], value, key, on_delivery=self._written)
                    break
                except BufferError:
                    self._producer.poll(0.1)

    def _written(self, error: Any, message: Any) -> None:
        if error is not None:
            self._failures.append(error)
