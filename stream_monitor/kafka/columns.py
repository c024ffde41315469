"""Kafka messages as the columns that the ingest fold takes."""

from __future__ import annotations

from collections.abc import Sequence

from stream_monitor.kafka.stage import Message
from stream_monitor.pipeline.ingest import Records


def records_of(messages: Sequence[Message]) -> Records:
    """One topic's messages; about 0.5 µs each."""
    return Records(
        [message.partition() for message in messages],
        [message.offset() for message in messages],
        [message.timestamp()[1] for message in messages],
        [message.key() for message in messages],
        [message.value() for message in messages],
    )
