"""Kafka messages as columns: cut into runs of one partition, and joined to what the ingest fold takes.

A call into the client's Message costs 13 to 60 ns, so each field of a message is asked for once, by whole columns; the
rest goes by runs, since a consumer hands out hundreds of messages of one partition in a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, compress, islice, pairwise, repeat
from operator import itemgetter, ne, or_

from confluent_kafka import Message

from stream_monitor.kafka.stage import TP, Run
from stream_monitor.pipeline.ingest import Records


def runs_of(messages: Sequence[Message]) -> list[Run]:
    """Cut where the partition changes, in order; no message may be an error event. About 0.1 µs a message."""
    if not messages:
        return []
    topics = list(map(Message.topic, messages))
    partitions = list(map(Message.partition, messages))
    offsets = list(map(Message.offset, messages))
    moved: Iterable[bool] = map(ne, partitions, islice(partitions, 1, None))
    if topics.count(topics[0]) < len(topics):
        moved = map(or_, moved, map(ne, topics, islice(topics, 1, None)))
    cuts = [0, *compress(range(1, len(topics)), moved), len(topics)]
    return [
        Run(TP(topics[begin], partitions[begin]), offsets[begin:end], list(messages[begin:end]))
        for begin, end in pairwise(cuts)
    ]


def records_of(runs: Sequence[Run]) -> Records:
    """Runs of one topic, in order; about 0.15 µs a message."""
    messages = list(chain.from_iterable(run.messages for run in runs))
    return Records(
        list(chain.from_iterable(repeat(run.tp.partition, len(run.messages)) for run in runs)),
        list(chain.from_iterable(run.offsets for run in runs)),
        list(map(itemgetter(1), map(Message.timestamp, messages))),
        list(map(Message.key, messages)),
        list(map(Message.value, messages)),
    )
