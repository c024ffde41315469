"""Where reading begins: the group's committed offset, and what a missing one means.

Only a group that never committed anything may begin by `first_start`. That moment is made definite before the worker
joins: the starting offset of every partition is committed for the still empty group, so that a partition without a
committed offset is, later, either one that was added to the topic or a loss that must be seen.

With each offset the id of its topic is committed. Kafka forgets the offsets of a topic that is deleted, but a worker
that did not notice may commit them again, for the topic that was made anew: those of another id do not count.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import structlog
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from stream_monitor.errors import SetupError
from stream_monitor.kafka.ends import TRY_S, Bounds, bounds
from stream_monitor.kafka.failures import ANOTHER_PREFIX, Stopped, denial
from stream_monitor.kafka.policy import LoopPolicy
from stream_monitor.kafka.stage import TP, Start

log = structlog.get_logger("stream_monitor.kafka.start")


class Committed(NamedTuple):
    """What the group holds for a partition: the next offset to read (None: nothing), the stage's metadata, and the id
    of the topic that the offset was of (empty: a former version did not say)."""

    offset: int | None
    metadata: str
    topic_id: str = ""


def written(metadata: str, topic_id: str) -> str:
    """The metadata to commit, which `committed_offsets` takes apart again."""
    return f"{metadata} {topic_id}" if topic_id else metadata


_AGAIN_S = 0.5
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
    deadline = time.monotonic() + policy.committed_deadline_ms / 1000
    while True:
        try:
            for answer in admin.alter_consumer_group_offsets(request).values():
                for each in answer.result(policy.committed_deadline_ms / 1000).topic_partitions:
                    if each.error is not None:
                        raise KafkaException(each.error)
            return True
        except KafkaException as error:
            if (
                denied := denial(
                    error.args[0],
                    f"committing offsets of {', '.join(policy.topics)} as group {policy.group}",
                    policy.role,
                )
            ) is not None:
                raise denied from error
            # Refused while the group has members. Either another worker was first, and then its offsets are there or
            # will be; or the topics were made anew, and what ran before is a member until its session times out.
            committed = committed_offsets(consumer, partitions, policy.committed_deadline_ms)
            if any(each.offset is not None for each in committed.values()):
                return False
            waits = error.args[0].code() == KafkaError.UNKNOWN_MEMBER_ID
            if not waits or time.monotonic() >= deadline:
                raise SetupError(
                    f"the first offsets of group {policy.group} could not be committed: {error.args[0].str()}",
                    mend="stop other members of the group and start again",
                ) from error
            time.sleep(_AGAIN_S)


def first_offset(policy: LoopPolicy, found: Bounds) -> int:
    return found.low if policy.first_start == "earliest" else found.high


def committed_offsets(
    consumer: Any, partitions: Iterable[TP], deadline_ms: int, stopping: Callable[[], bool] = lambda: False
) -> dict[TP, Committed]:
    """What the group committed, waiting while a transaction of a former owner is still undecided; Stopped once
    `stopping` says so."""
    request = [TopicPartition(*tp) for tp in partitions]
    if not request:
        return {}
    topics = sorted({each.topic for each in request})
    deadline = time.monotonic() + deadline_ms / 1000
    while True:
        if stopping():
            raise Stopped
        try:
            answers = consumer.committed(request, timeout=TRY_S)
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
    found = {}
    for each in answers:
        metadata, _, topic_id = (each.metadata or "").partition(" ")
        found[TP(each.topic, each.partition)] = Committed(each.offset if each.offset >= 0 else None, metadata, topic_id)
    return found


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
    topic_ids: Mapping[str, str],
) -> dict[TP, Start]:
    """Where to begin in each partition of an assignment.

    `memory` is what this process committed; it counts only for a broker that forgets transactional offsets.
    `topic_ids`: of the topics as they are now, by name.
    """
    if not policy.group_keeps_offsets:
        return {tp: memory.get(tp) or Start(first_offset(policy, found[tp]), "") for tp in committed}
    begin = {}
    for tp, each in committed.items():
        topic_id = topic_ids.get(tp.topic, "")
        if each.topic_id and topic_id and each.topic_id != topic_id:
            log.warning("topic made anew", partition=str(tp), read_before=each.offset, now_from=found[tp].low)
            begin[tp] = Start(found[tp].low, "", topic_id)
        else:
            offset = start_offset(tp, each.offset, found[tp], policy.group, may_grow=policy.may_grow)
            begin[tp] = Start(offset, each.metadata, topic_id)
    return begin
