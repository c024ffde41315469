"""Plays a made-up stream to Kafka: each record at its moment or all at once, keyed by prediction_id.

Promises: predictions and labels of one id go to partitions of the same number (murmur2, as Java's clients place
them), each at most once; `play` returns when told to stop or when the stream is over, with everything delivered, or
raises. Costs 1 µs a record beside making it, and a producer with at most 64 MB waiting. A slow broker or machine sends
later than planned, never less.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka import KafkaException, Producer

from stream_monitor.app.config import load_config, parse_config
from stream_monitor.app.connection import QUIET, connected
from stream_monitor.app.generate import ROLES, Batch, EventStream, Role, StreamPolicy
from stream_monitor.app.generate_sent import Sent
from stream_monitor.app.generate_world import WorldPolicy
from stream_monitor.app.kafka_properties import as_librdkafka, refused_as_config_error
from stream_monitor.app.policies import model_policy
from stream_monitor.errors import SetupError, StreamMonitorError, UsageError
from stream_monitor.kafka.failures import denial
from stream_monitor.kafka.topics import require

_STEP_S = 0.02
_FLUSH_S = 15.0
_QUEUE_KB = 65_536
_START_KAFKA = "start Kafka, or give its address: --bootstrap HOST:PORT, or kafka: bootstrap.servers in FILE"


def wall_clock_ms() -> float:
    return time.time_ns() / 1_000_000


@dataclass(frozen=True, slots=True)
class Target:
    """Where a stream goes, and the models it is about: none if the config names none."""

    client: Mapping[str, object] = field(repr=False)
    topics: Mapping[Role, str]
    worlds: tuple[WorldPolicy, ...]
    labels: bool

    def topics_of(self, stream: StreamPolicy) -> dict[Role, str]:
        """Those that the stream writes: one without labels needs no topic for them."""
        return {
            role: topic
            for role, topic in self.topics.items()
            if role == "predictions" or stream.label_delay_ms is not None
        }


def target_of(config: Path | None, bootstrap: str | None) -> Target:
    """The brokers, topics and models of a config; without one, the defaults. `bootstrap` overrides the brokers."""
    settings = parse_config({}) if config is None else load_config(config)
    if settings.mapping:
        raise UsageError("generate writes events in the monitor's own form, and this config has a mapping")
    client = {name: as_librdkafka(value) for name, value in settings.kafka.items()}
    worlds = tuple(WorldPolicy(model.name, outcome=model_policy(model).outcome) for model in settings.models)
    return Target(
        client if bootstrap is None else {**client, "bootstrap.servers": bootstrap},
        {"predictions": settings.topics.predictions, "labels": settings.topics.labels},
        worlds,
        labels=not settings.models or any(model.labels is not None for model in settings.models),
    )


class Player:
    """Sends one stream. `topics`: role → topic, of each role that the stream has.

    SetupError at once where the broker or a topic is missing, ConfigError where librdkafka refuses the properties.

    `on_step` may be set; it is called with the counts with every batch, from the thread that plays.
    """

    def __init__(self, client: Mapping[str, object], topics: Mapping[Role, str]) -> None:
        self.sent = Sent()
        self.on_step: Callable[[Sent], None] = lambda sent: None
        self._topics = np.array([topics.get(role) for role in ROLES], dtype=object)  # by kind of record
        self._failure: StreamMonitorError | None = None
        quiet = {"log_level": 0, "logger": QUIET, "error_cb": lambda error: None}  # with `debug` the level is not 0
        settings = {
            "compression.type": "lz4",
            "linger.ms": 20,
            "queue.buffering.max.kbytes": _QUEUE_KB,
            **client,
            **quiet,
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            # A callback for each record, and not only for failed ones, costs more than all the rest of sending.
            "delivery.report.only.error": True,
            "on_delivery": self._delivered,
        }
        with refused_as_config_error(client):
            self._producer = Producer(settings)
        try:
            connection = connected(client, mend=_START_KAFKA)
        except SetupError as error:
            raise SetupError(f"{client.get('bootstrap.servers')}: {error.message}", mend=error.mend) from error
        require(connection.admin, topics.values(), grace_ms=5_000)

    def play(self, stream: EventStream, stop: threading.Event, now_ms: Callable[[], float] = wall_clock_ms) -> Sent:
        """Until `stop` is set or the stream is over. StreamMonitorError if records could not be delivered.

        `now_ms`: what is due by it is sent; infinite: everything, as fast as the broker takes it.
        """
        while not stop.is_set():
            for batch in stream.batches(now_ms()):
                self.sent.count(batch, self._send(batch, stop))
                self._after_a_step()
                if stop.is_set():
                    break
            if stream.done:
                break
            self._after_a_step()
            stop.wait(_STEP_S)
        left = self._producer.flush(_FLUSH_S)
        self._check()
        if left:
            raise StreamMonitorError(f"the broker did not take {left} records within {_FLUSH_S:g} s")
        return self.sent

    def _send(self, batch: Batch, stop: threading.Event) -> int:
        """How many of its records are handed to the producer: all, unless told to stop."""
        produce = self._producer.produce
        topics = self._topics[batch.kinds].tolist()
        for number, (topic, value, key) in enumerate(zip(topics, batch.values, batch.keys, strict=True)):
            while True:
                try:
                    produce(topic, value, key)
                    break
                except BufferError:  # the queue is full: wait for the broker
                    if stop.is_set():
                        return number
                    self._producer.poll(0.1)
                    self._check()
                except KafkaException as error:
                    raise StreamMonitorError(f"a record could not be sent: {error.args[0].str()}") from error
        return len(topics)

    def _after_a_step(self) -> None:
        self._producer.poll(0)
        self._check()
        self.on_step(self.sent)

    def _delivered(self, error: Any, message: Any) -> None:
        if error is not None and self._failure is None:
            self._failure = denial(error, f"writing {message.topic()}", "producer") or StreamMonitorError(
                f"a record could not be delivered to {message.topic()}: {error.str()}",
                mend="is the broker running? stream-monitor doctor -c FILE",
            )

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
