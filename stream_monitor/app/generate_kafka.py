"""Plays a made-up stream to Kafka in real time: each record at its moment, keyed by prediction_id.

Promises: predictions and labels of one id go to partitions of the same number (murmur2, as Java's clients place
them), each at most once; `play` returns when told to stop or when the stream is over, with everything delivered, or
raises. Costs one producer. A slow broker or machine sends later than planned, never less.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from stream_monitor.app.config import MonitorConfig, load_config
from stream_monitor.app.generate import Emission, EventStream, Role, StreamPolicy
from stream_monitor.app.generate_world import WorldPolicy
from stream_monitor.app.kafka_properties import as_librdkafka
from stream_monitor.app.policies import model_policy
from stream_monitor.errors import StreamMonitorError, UsageError
from stream_monitor.kafka.topics import partition_counts, require

_STEP_S = 0.02
_FLUSH_S = 15.0


@dataclass(slots=True)
class Sent:
    """Records handed to the producer so far; `predictions` without the repeats. `newest_ms`: event time."""

    predictions: int = 0
    repeats: int = 0
    labels: int = 0
    newest_ms: int = 0
    by_model: dict[str, int] = field(default_factory=dict)  # predictions without repeats

    def count(self, emission: Emission) -> None:
        self.newest_ms = max(self.newest_ms, emission.event_ms)
        if emission.role == "labels":
            self.labels += 1
        elif emission.repeat:
            self.repeats += 1
        else:
            self.predictions += 1
            self.by_model[emission.model] = self.by_model.get(emission.model, 0) + 1


def sent_line(sent: Sent, policy: StreamPolicy, start_ms: int) -> str:
    """The counts so far in one line."""
    phase = policy.phase(max(0, sent.newest_ms - start_ms))
    shifted = " and ".join(sorted({world.shifted_feature for world in policy.worlds}))
    changes = [f"{shifted} shifted"] * phase.shifted + ["concept drifted"] * phase.drifted
    counts = f"{sent.predictions:,} predictions, {sent.repeats:,} of them sent twice, {sent.labels:,} labels"
    return f"{counts}; now {', '.join(changes) or 'calm'}"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a stream goes, and the models it is about."""

    client: Mapping[str, object]
    topics: Mapping[Role, str]
    worlds: tuple[WorldPolicy, ...]
    labels: bool


def target_of(config: Path | None, bootstrap: str | None) -> Target:
    """The brokers, topics and models of a config; without one, the defaults. `bootstrap` overrides the brokers."""
    settings = MonitorConfig() if config is None else load_config(config)
    if settings.mapping:
        raise UsageError("generate writes events in the monitor's own form, and this config has a mapping")
    client = {name: as_librdkafka(value) for name, value in settings.kafka.items()}
    worlds = tuple(WorldPolicy(model.name, outcome=model_policy(model).outcome) for model in settings.models)
    return Target(
        client if bootstrap is None else {**client, "bootstrap.servers": bootstrap},
        {"predictions": settings.topics.predictions, "labels": settings.topics.labels},
        worlds or (WorldPolicy(),),
        labels=not settings.models or any(model.labels is not None for model in settings.models),
    )


class Player:
    """Sends one stream. `topics`: role → topic; SetupError at once where the broker or a topic is missing.

    `on_step` may be set; it is called with the counts some fifty times a second, from the thread that plays.
    """

    def __init__(
        self,
        client: Mapping[str, object],
        topics: Mapping[Role, str],
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.sent = Sent()
        self.on_step: Callable[[Sent], None] = lambda sent: None
        self._topics = topics
        self._now_ms = now_ms
        self._failure: str | None = None
        quiet = {"log_level": 0, "error_cb": lambda error: None}
        admin = AdminClient({**client, **quiet})
        partition_counts(admin)
        require(admin, topics.values(), grace_ms=5_000)
        self._producer = Producer(
            {
                "compression.type": "lz4",
                "linger.ms": 20,
                **client,
                **quiet,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
            }
        )

    def play(self, stream: EventStream, stop: threading.Event) -> Sent:
        """Until `stop` is set or the stream is over. StreamMonitorError if records could not be delivered."""
        while not stop.is_set():
            for emission in stream.until(self._now_ms()):
                if stop.is_set():
                    break
                self._send(emission, stop)
            self._producer.poll(0)
            self._check()
            self.on_step(self.sent)
            if stream.done:
                break
            stop.wait(_STEP_S)
        left = self._producer.flush(_FLUSH_S)
        self._check()
        if left:
            raise StreamMonitorError(f"the broker did not take {left} records within {_FLUSH_S:g} s")
        return self.sent

    def _send(self, emission: Emission, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                topic = self._topics[emission.role]
                self._producer.produce(topic, emission.value, emission.key, on_delivery=self._delivered)
                self.sent.count(emission)
                return
            except BufferError:  # the queue is full: wait for the broker
                self._producer.poll(0.1)
                self._check()
            except KafkaException as error:
                raise StreamMonitorError(f"a record could not be sent: {error.args[0].str()}") from error

    def _delivered(self, error: Any, message: Any) -> None:
        if error is not None and self._failure is None:
            self._failure = f"a record could not be delivered to {message.topic()}: {error.str()}"

    def _check(self) -> None:
        if self._failure is not None:
            raise StreamMonitorError(self._failure, mend="is the broker running? stream-monitor doctor -c FILE")
