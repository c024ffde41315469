"""What a stage is to the transactional loop, and what it hands over.

The loop promises: only messages of owned partitions reach `process`, in offset order and none twice between two
`aborted`/`assigned`; everything between two `committed` is one transaction or nothing; all calls come from one thread.
The stage keeps what it folds in an overlay until `committed` and drops it on `aborted`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from stream_monitor.pipeline.horizon import Span

Message = Any  # confluent_kafka.Message: the package carries no usable types


class TP(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"


class Start(NamedTuple):
    """Where reading of a partition begins, the metadata committed with that offset ("": never by a stage), and the id
    of the topic ("": not known)."""

    offset: int
    metadata: str
    topic_id: str = ""


class Run(NamedTuple):
    """Messages of one partition that came in a row; `offsets` are theirs, of the same length."""

    tp: TP
    offsets: list[int]
    messages: list[Message]


class Outgoing(Protocol):
    """One record to produce. `partition` None: placed by the key, as other Kafka clients do."""

    @property
    def topic(self) -> str: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def partition(self) -> int | None: ...
    @property
    def headers(self) -> tuple[tuple[str, bytes], ...]: ...


@dataclass(frozen=True, slots=True)
class OutRecord:
    """An Outgoing that is there in full."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


class Stage(Protocol):
    def assigned(self, partitions: Mapping[TP, Start]) -> None:
        """Take over partitions and restore their state; RestoreError where state and offsets do not agree, Stopped
        where the stage was told to stop meanwhile."""

    def revoked(self, partitions: Sequence[TP]) -> None:
        """The partitions are owned no longer. What was not committed has been dropped by `aborted` before."""

    def process(self, batch: list[Run]) -> Mapping[TP, int] | None:
        """Fold messages into the overlay. Must not raise for anything a message can hold.

        Returns the partitions that it cannot go on with, and the offset of the first message in each that it did not
        fold: there the partition is held, until it is assigned again or a transaction aborts; or, if the stage is full,
        until it is so no longer.
        """

    def is_awaited(self) -> bool:
        """Whether somebody waits for what is folded: the loop then flushes early. Asked after every batch, so cheap."""

    def is_full(self) -> bool:
        """Whether the overlay has reached its limit, or more is to be emitted than one transaction may hold: the loop
        then flushes at once. Asked after every batch, so cheap."""

    def drain(self, now_ms: int, spans: Mapping[TP, Span]) -> Sequence[Outgoing]:
        """What this flush emits; `spans`: offsets [start, end) read since the last commit of every owned partition,
        `end` being committed with it. Called again, with a new overlay, after an abort.

        Where nothing is emitted and no span moved, no transaction is made and neither `committed` nor `aborted` called.
        """

    def commit_metadata(self, topic: str, partition: int) -> str:
        """Metadata to commit with the partition's offset, without spaces; asked after `drain`. May not be large: the
        broker's `offset.metadata.max.bytes` is 4096."""

    def committed(self) -> None:
        """The transaction of the last `drain` is committed: make the overlay permanent."""

    def aborted(self) -> None:
        """Drop the overlay; the messages since the last `committed` will be read again."""
