"""What one transactional loop was told, frozen; and the client properties that follow from it.

Times are milliseconds. The defaults trade latency for few transactions: a flush a second, and one at once where
somebody waits for it; readers are held back by `transaction_timeout_ms` at most when a worker dies amid one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

MAX_RECORD_BYTES = 8 * 1024 * 1024  # panes, state and profiles; the topics are created with the same limit
SESSION_TIMEOUT_MS = 9_000  # a worker that drained has left its group in less than 10 s; see decision 0006


@dataclass(frozen=True, slots=True)
class LoopPolicy:
    """One worker of one stage: consumer group `group`, member and transactional id from `role` and `instance`.

    `client` holds the user's librdkafka properties (at least `bootstrap.servers`); see REFUSED for those the loop
    keeps to itself. `first_start` says where to begin where the group has never committed anything.
    `group_keeps_offsets` is False only for the broker embedded in librdkafka, which forgets transactional offsets:
    then the loop's own memory of them is used, and nothing survives the process.
    `may_grow`: whether partitions may be added to the topics after the first start; else that is refused.
    `watched_topics`: topics beside `topics` that must stay what they are while the worker runs.
    `early_flush_gap_ms`: a flush that somebody waits for is made before it is due, this long after the last such one
    (pace.py); None: never. `batch_wait_ms`: how long reading waits for a batch to fill, and the longest until a stop is
    noticed.
    """

    role: str
    instance: str
    group: str
    topics: tuple[str, ...]
    client: Mapping[str, object] = field(default_factory=dict, repr=False)
    transactional_prefix: str = ""
    watched_topics: tuple[str, ...] = ()
    first_start: Literal["earliest", "latest"] = "earliest"
    group_keeps_offsets: bool = True
    may_grow: bool = True
    flush_interval_ms: int = 1_000
    early_flush_gap_ms: int | None = 250
    batch_messages: int = 5_000
    batch_wait_ms: int = 100
    max_unflushed_messages: int = 200_000
    transaction_timeout_ms: int = 12_000
    revoke_deadline_ms: int = 8_000
    commit_deadline_ms: int = 60_000
    committed_deadline_ms: int = 60_000
    session_timeout_ms: int = SESSION_TIMEOUT_MS
    max_poll_interval_ms: int = 300_000
    missing_topic_grace_ms: int = 10_000
    ends_interval_ms: int = 5_000
    idle_timeout_ms: int = 30_000
    max_consecutive_aborts: int = 5

    def __post_init__(self) -> None:
        if not 10_000 <= self.transaction_timeout_ms <= 15_000:
            raise ValueError(
                "transaction_timeout_ms must be 10000 to 15000, since an open transaction blocks readers that long; "
                f"found {self.transaction_timeout_ms}"
            )

    @property
    def transactional_id(self) -> str:
        return f"{self.transactional_prefix}{self.role}-{self.instance}"

    @property
    def member_id(self) -> str:
        return f"{self.role}-{self.instance}"

    def static_id(self, partitions: int) -> str:
        """The group's name for this member while its topics have so many partitions in all.

        A static member that comes back gets what it had, without a look at the topics: of partitions added meanwhile
        nobody would ever read. Under another name it is a new member, and all is shared out again once the session of
        the old one has timed out.
        """
        return f"{self.member_id}-p{partitions}"

    @property
    def produce_deadline_ms(self) -> int:
        """Longest time from the begin of a transaction to its commit request: before the broker gives it up."""
        return self.transaction_timeout_ms - 2_000


# Consumers without a group of their own need a group's name all the same, and ask the broker about it.
READING_GROUP = "stream-monitor-reader"
LOOKING_GROUP = "stream-monitor-doctor"

# Properties a user may not set, each with the reason that the config check shows.
REFUSED: Mapping[str, str] = {
    "group.id": "each stage has its own group",
    "group.instance.id": "it is made from the role and --instance",
    "group.protocol": "the stages need the classic protocol's range assignor",
    "partition.assignment.strategy": "predictions and labels must be assigned together, by range",
    "enable.auto.commit": "offsets are committed in the stages' own transactions",
    "enable.auto.offset.store": "offsets are committed in the stages' own transactions",
    "auto.offset.reset": "a missing offset is an error that must be seen; see first_start",
    "isolation.level": "counts are exact only with read_committed",
    "enable.partition.eof": "idleness is told by it",
    "transactional.id": "it is made from the role and --instance",
    "transaction.timeout.ms": "it bounds how long readers are blocked",
    "enable.idempotence": "transactions need it",
    "acks": "transactions need acks=all",
    "max.in.flight": "transactions need at most 5",
    "max.in.flight.requests.per.connection": "transactions need at most 5",
    "partitioner": "keys must be placed as other Kafka clients place them",
    "session.timeout.ms": "static membership and fencing are tuned to it",
    "max.poll.interval.ms": "a restore may take long",
    "plugin.library.paths": "it loads foreign code",
}


def consumer_properties(policy: LoopPolicy, partitions: int) -> dict[str, object]:
    """Properties of the loop's consumer; `partitions`: of all its topics."""
    return {
        "fetch.wait.max.ms": 100,
        # What waits in memory: 0.1 to 0.2 s of work, and one answer beyond it however many partitions it comes from.
        # By default a full queue stops the fetching of a partition for a whole second, in which even 64 MB run dry.
        "queued.max.messages.kbytes": 16_384,
        "queued.min.messages": 20_000,
        "fetch.queue.backoff.ms": 20,
        "fetch.max.bytes": MAX_RECORD_BYTES,
        # Only a heartbeat tells a worker that another is dead or has come, and partitions wait for the last to know.
        "heartbeat.interval.ms": 1_000,
        **policy.client,
        "group.id": policy.group,
        "group.instance.id": policy.static_id(partitions),
        "group.protocol": "classic",
        "partition.assignment.strategy": "range",
        "session.timeout.ms": policy.session_timeout_ms,
        "max.poll.interval.ms": policy.max_poll_interval_ms,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
    }


def producer_properties(policy: LoopPolicy) -> dict[str, object]:
    """Properties of the loop's producer."""
    return {
        "compression.type": "lz4",
        # What waits in memory to be sent, by default a gigabyte; a larger transaction is handed over as it goes out.
        "queue.buffering.max.kbytes": 65_536,
        **policy.client,
        "transactional.id": policy.transactional_id,
        "transaction.timeout.ms": policy.transaction_timeout_ms,
        "message.max.bytes": MAX_RECORD_BYTES,
        "partitioner": "murmur2_random",
        "enable.idempotence": True,
    }


def reader_properties(client: Mapping[str, object]) -> dict[str, object]:
    """Properties of a consumer that belongs to no group and commits nothing."""
    return {
        "fetch.wait.max.ms": 100,
        **client,
        "group.id": READING_GROUP,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
    }
