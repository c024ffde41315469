"""A look at the newest records of a source topic, without joining a group: are their keys the prediction_id?

The same check as a running ingest's, on demand and over both topics. Costs a few fetches; reads at most
`per_partition` records of each partition and commits nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaException, TopicPartition

from stream_monitor.app.connection import QUIET
from stream_monitor.events.decode import Decoded, LabelDecoder, PredictionDecoder
from stream_monitor.events.label import LabelEvent
from stream_monitor.events.policy import DecodePolicy
from stream_monitor.events.prediction import PredictionRow
from stream_monitor.kafka.keys import KeyCheck


@dataclass(frozen=True, slots=True)
class KeySample:
    """`read` records, of which `rejected` are no events; `wrong` says of the first bad key what it is."""

    read: int
    rejected: int
    wrong_keys: int
    wrong: str | None


class SampledRecord(NamedTuple):
    partition: int
    key: bytes | None
    value: bytes | None


def sample_keys(
    client: Mapping[str, object],
    topic: str,
    decode: DecodePolicy,
    check: KeyCheck,
    *,
    labels: bool,
    per_partition: int = 50,
    timeout_s: float = 10.0,
) -> KeySample:
    """SetupError, from `check`, where most keys are wrong or two partitioners are at work."""
    records = newest_records(client, topic, per_partition=per_partition, timeout_s=timeout_s)
    keys = [record.key for record in records]
    values = [record.value for record in records]
    # A record without time: what is judged here is the key, not whether the event's time is plausible.
    no_time = [-1] * len(values)
    decoded: Decoded[LabelEvent] | Decoded[PredictionRow]
    if labels:
        decoded = LabelDecoder(decode).decode_batch(values, no_time)
    else:
        decoded = PredictionDecoder(decode).decode_batch(values, no_time)
    rows: Sequence[LabelEvent | PredictionRow] = decoded.rows
    for row, place in zip(rows, decoded.index, strict=True):
        check.observe(topic, records[place].partition, keys[place], row.prediction_id)
    wrong = [
        f"key {_shown(keys[place])} of prediction_id {row.prediction_id!r}"
        for row, place in zip(rows, decoded.index, strict=True)
        if keys[place] != row.prediction_id.encode("utf-8", "surrogatepass")
    ]
    return KeySample(len(records), len(decoded.rejects), len(wrong), wrong[0] if wrong else None)


def newest_records(
    client: Mapping[str, object], topic: str, *, per_partition: int, timeout_s: float
) -> list[SampledRecord]:
    """Up to `per_partition` records at the end of each partition; KafkaException if none answers."""
    consumer = Consumer({**client, "group.id": "stream-monitor-doctor", "enable.auto.commit": False, "logger": QUIET})
    deadline = time.monotonic() + timeout_s
    try:
        partitions = consumer.list_topics(topic, timeout=timeout_s).topics[topic].partitions
        waiting: dict[int, int] = {}
        starts = []
        for partition in partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=timeout_s)
            if high > low and high != OFFSET_INVALID:
                starts.append(TopicPartition(topic, partition, max(low, high - per_partition)))
                waiting[partition] = high
        consumer.assign(starts)
        records: list[SampledRecord] = []
        while waiting and time.monotonic() < deadline:
            for message in consumer.consume(500, timeout=0.5):
                if message.error() is not None:
                    raise KafkaException(message.error())
                records.append(SampledRecord(message.partition(), message.key(), message.value()))
            for place in consumer.position([TopicPartition(topic, partition) for partition in waiting]):
                if place.offset >= waiting[place.partition]:
                    del waiting[place.partition]
        return records
    finally:
        consumer.close()


def _shown(key: bytes | None) -> str:
    return "null" if key is None else repr(key[:60].decode(errors="replace"))
