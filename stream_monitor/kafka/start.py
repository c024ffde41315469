"""Where reading begins: the group's committed offset, and what a missing one means.

Only a group that never committed anything may begin by `first_start`. That moment is made definite before the worker
joins: the starting offset of every partition is committed for the still empty group, so that a partition without a
committed offset is, later, either one that was added to the topic or a loss that must be seen.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from stream_monitor.errors import SetupError
from stream_monitor.kafka.ends import Bounds, bounds
from stream_monitor.kafka.failures import ANOTHER_PREFIX, denial
from stream_monitor.kafka.policy import LoopPolicy
from stream_monitor.kafka.stage import TP, Start


class Committed(NamedTuple):
    """What the group holds for a partition: the next offset to read (None: nothing) and its metadata."""

    offset: int | None
    metadata: str


RESET_OFFSETS = "kafka-consumer-groups --reset-offsets --group {group} --topic {topic} … --execute"


def anchor_first_start(admin: AdminClient, consumer: Any, policy: LoopPolicy, partitions: Iterable[TP]) -> bool:
    """Commit starting offsets if the group has none at all; returns whether this was the very first start.

    SetupError where partitions were added since to topics that may not grow. They need not be assigned to anybody yet:
    a static member that comes back gets what it had.
    """
    partitions = list(partitions)
    committed = committed_offsets(consumer, partitions, policy.committed_deadline_ms)
    if any(each.offset is not None for each in committed.values()):
        if not policy.may_grow:
            _refuse_added(committed, policy.group)
        return False
    found = bounds(admin, partitions, policy.committed_deadline_ms / 1000)
    starts = [TopicPartition(*tp, first_offset(policy, found[tp])) for tp in partitions]
    request = [ConsumerGroupTopicPartitions(policy.group, starts)]
    try:
        for answer in admin.alter_consumer_group_offsets(request).values():
            for each in answer.result(policy.committed_deadline_ms / 1000).topic_partitions:
                if each.error is not None:
                    raise KafkaException(each.error)
    except KafkaException as error:
        # Refused while the group has members: another worker was first, and then its offsets are there.
        committed = committed_offsets(consumer, partitions, policy.committed_deadline_ms)
        if all(each.offset is None for each in committed.values()):
            raise SetupError(
                f"the first offsets of group {policy.group} could not be committed: {error.args[0].str()}",
                mend="stop other members of the group and start again",
            ) from error
        return False
    return True


def first_offset(policy: LoopPolicy, found: Bounds) -> int:
    return found.low if policy.first_start == "earliest" else found.high


def committed_offsets(consumer: Any, partitions: Iterable[TP], deadline_ms: int) -> dict[TP, Committed]:
    """What the group committed, waiting while a transaction of a former owner is still undecided."""
    request = [TopicPartition(*tp) for tp in partitions]
    if not request:
        return {}
    topics = sorted({each.topic for each in request})
    deadline = time.monotonic() + deadline_ms / 1000
    while True:
        try:
            answers = consumer.committed(request, timeout=10.0)
            for each in answers:
                if each.error is not None:
                    raise KafkaException(each.error)
            break
        except KafkaException as error:
            if (denied := denial(error.args[0], f"asking for the group's offsets of {', '.join(topics)}")) is not None:
                raise denied from error
            if time.monotonic() >= deadline:
                raise SetupError(
                    f"the committed offsets could not be read within {deadline_ms} ms: {error.args[0].str()}"
                ) from error
            time.sleep(0.1)
    return {
        TP(each.topic, each.partition): Committed(each.offset if each.offset >= 0 else None, each.metadata or "")
        for each in answers
    }


def start_offset(tp: TP, committed: int | None, found: Bounds, group: str, *, may_grow: bool = True) -> int:
    """Where to read an owned partition from; SetupError where records were lost or counted by nobody."""
    reset = RESET_OFFSETS.format(group=group, topic=tp.topic)
    if committed is None:
        if not may_grow:
            _refuse_added({tp: Committed(None, "")}, group)
        if found.low == 0:
            return 0  # the partition was added after the first start: nothing of it was read or deleted
        raise SetupError(
            f"group {group} lost its committed offset for {tp}, whose records begin at {found.low}: "
            "which of them were counted is not known",
            mend=f"decide where to go on: {reset}",
        )
    if committed < found.low:
        raise SetupError(
            f"records {committed} to {found.low - 1} of {tp} were deleted before group {group} read them",
            mend=f"raise retention.ms; then go on with {reset}",
        )
    if committed > found.high:
        raise SetupError(
            f"group {group} committed offset {committed} for {tp}, which ends at {found.high}: "
            "the topic was made anew or lost records",
            mend=f"decide where to go on: {reset}",
        )
    return committed


def _refuse_added(committed: Mapping[TP, Committed], group: str) -> None:
    for tp, each in committed.items():
        if each.offset is None:
            raise SetupError(
                f"{tp.topic} must keep the number of partitions it had at the first start, since the state of a model "
                f"lies in the partition that its name falls on; group {group} has no offset for {tp}: it was added, or "
                "its offset was lost",
                mend=ANOTHER_PREFIX,
            )


def starts(
    policy: LoopPolicy,
    committed: Mapping[TP, Committed],
    found: Mapping[TP, Bounds],
    memory: Mapping[TP, Start],
) -> dict[TP, Start]:
    """Where to begin in each partition of an assignment.

    `memory` is what this process committed; it counts only for a broker that forgets transactional offsets.
    """
    if policy.group_keeps_offsets:
        return {
            tp: Start(start_offset(tp, each.offset, found[tp], policy.group, may_grow=policy.may_grow), each.metadata)
            for tp, each in committed.items()
        }
    return {tp: memory.get(tp) or Start(first_offset(policy, found[tp]), "") for tp in committed}
