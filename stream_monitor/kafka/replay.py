"""Bringing the join store to where the group stands, before an ingest worker takes up a partition pair.

    store = committed           nothing to do
    store behind committed      killed between the Kafka commit and the write: replay [store, committed)
    store ahead, or missing     rebuild: replay from the lowest live offset, which each commit keeps as metadata
    never committed by ingest   the store must be empty: else the group's offsets were lost, and counts would double
    of topics made anew         forget it: its offsets are those of topics that are no more

A replay is the same fold with the flush thrown away. It goes by chunks that are written with their positions, so an
interrupted one goes on where it stopped; memory is one chunk. Records that Kafka deleted meanwhile are skipped, which
is logged: their entries are lost, and with them only the chance to join.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import structlog
from confluent_kafka import Consumer, KafkaError, TopicPartition

from stream_monitor.errors import FormatError, RestoreError, SetupError
from stream_monitor.join.store import JoinStore, Role
from stream_monitor.kafka.client_log import logged
from stream_monitor.kafka.columns import records_of, runs_of
from stream_monitor.kafka.failures import ANOTHER_PREFIX, Stopped, denial
from stream_monitor.kafka.policy import READING_GROUP, reader_properties
from stream_monitor.kafka.stage import Message, Start
from stream_monitor.pipeline.horizon import Span
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS, IngestFold

log = structlog.get_logger("stream_monitor.kafka.replay")

CHUNK = 20_000
_METADATA = re.compile("([0-9]{1,19})(?:/[0-9]{1,7})?")
_REBUILD = "delete the instance's join folder: it is rebuilt from Kafka"


class Gap(NamedTuple):
    """Offsets [start, end) of one role's partition that the store lacks."""

    role: Role
    start: int
    end: int


def metadata(floor: int | None, span: Span, panes: int) -> str:
    """What to commit with a source offset: the lowest offset that the store will need for a rebuild, and the number of
    panes partitions that models are spread over.

    Entries of this flush are not in the store yet; they need nothing below the flush's own start.
    """
    return f"{span.start if floor is None else min(floor, span.start)}/{panes}"


def check_panes(starts: Iterable[Start], topic: str, found: int) -> None:
    """SetupError unless the panes topic has the partitions that it had when these offsets were committed: with
    another number a model goes to another partition, and evaluate's state of it does not."""
    for start in starts:
        _, _, before = start.metadata.partition("/")
        if before and before != str(found):
            raise SetupError(
                f"{topic} must keep the {before} partitions it had when counting began, since the state of a model "
                f"lies in the partition that its name falls on; found {found}",
                mend=ANOTHER_PREFIX,
            )


def gaps(partition: int, starts: Mapping[Role, Start], store: JoinStore) -> list[Gap]:
    """What the store lacks of a partition pair. Empties the store where it must be rebuilt from scratch."""
    positions = store.positions(partition)
    # Offsets that no stage committed. Moved on by hand, past records that were deleted: what was skipped is nobody's.
    fresh = {role for role, start in starts.items() if role in positions and not start.metadata}
    if back := {role for role in fresh if starts[role].offset < positions[role]}:
        role = min(back)
        raise RestoreError(
            f"the join store of partition {partition} holds {role} up to {positions[role]}, but the group has "
            f"no offset of ingest for them (it starts at {starts[role].offset}): going on would count twice",
            mend="restore the group's offsets, or delete the instance's join folder to count anew",
        )
    if any(positions.get(role, 0) > start.offset for role, start in starts.items()):
        log.warning("join store ahead of Kafka, it will be rebuilt", partition=partition)
        made_from = store.topic_ids(partition)
        store.reset(partition)
        store.bind(partition, made_from)
        positions = {}
    found = []
    for role, start in starts.items():
        begin = start.offset if role in fresh else positions.get(role, _floor(start))
        if begin < start.offset:
            found.append(Gap(role, begin, start.offset))
    return found


def bind(partition: int, starts: Mapping[Role, Start], store: JoinStore) -> None:
    """Empty the store where it was made from topics that were deleted since, and note which it is made from now.

    What the store held of a topic that is still there comes back by the rebuild.
    """
    known = store.topic_ids(partition)
    now = {role: start.topic_id for role, start in starts.items() if start.topic_id}
    anew = [role for role in now if known.get(role, now[role]) != now[role]]
    if anew:
        log.warning("topic made anew, the join store is emptied", partition=partition, roles=anew)
        store.reset(partition)
    if now:
        store.bind(partition, now)


def _floor(start: Start) -> int:
    if not start.metadata:
        return start.offset
    # As `metadata` wrote it, up to 0.1.0 the floor alone; int() would also take signs, blanks and other digits.
    found = _METADATA.fullmatch(start.metadata)
    if found is None:
        raise FormatError(
            f"the metadata of a source offset must be FLOOR/PANES, two numbers; found {start.metadata[:80]!r}",
            mend=_REBUILD,
        )
    return min(int(found[1]), start.offset)


def replay(
    client: Mapping[str, object],
    fold: IngestFold,
    topics: Mapping[Role, str],
    partition: int,
    missing: list[Gap],
    stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Read the gaps of one partition pair into the store. Costs about what ingest costs per record.

    Raises Stopped, between two chunks, once `stopping` says so: a rebuild takes minutes, a drain may not.
    """
    log.info("replay", partition=partition, gaps=[tuple(gap) for gap in missing])
    roles = {topics[gap.role]: gap for gap in missing}
    at = {gap.role: gap.start for gap in missing}
    consumer = Consumer(logged(reader_properties(client)))
    try:
        consumer.assign([TopicPartition(topic, partition, gap.start) for topic, gap in roles.items()])
        while any(at[gap.role] < gap.end for gap in missing):
            before = dict(at)
            chunk: dict[Role, list[Message]] = {PREDICTIONS: [], LABELS: []}
            for message in consumer.consume(CHUNK, 0.1):
                error = message.error()
                if error is None:
                    gap = roles[message.topic()]
                    if message.offset() < gap.end:
                        chunk[gap.role].append(message)
                    at[gap.role] = min(message.offset() + 1, gap.end)
                elif error.code() == KafkaError._PARTITION_EOF:
                    gap = roles[message.topic()]
                    at[gap.role] = min(message.offset(), gap.end)
                elif (denied := denial(error, f"replaying {', '.join(roles)} as group {READING_GROUP}")) is not None:
                    raise denied
                else:
                    raise RestoreError(f"{message.topic()}[{partition}] cannot be replayed: {error.str()}")
            if chunk[PREDICTIONS]:
                fold.predictions(records_of(runs_of(chunk[PREDICTIONS])))
            if chunk[LABELS]:
                fold.labels(records_of(runs_of(chunk[LABELS])))
            spans = {(role, partition): Span(before[role], end, False) for role, end in at.items()}
            # The time is the real one: models seen in the replay hold back expiry as those seen alive do.
            fold.flush(time.time_ns() // 1_000_000, spans, {})
            fold.committed()
            if stopping():
                raise Stopped
    finally:
        consumer.close()
