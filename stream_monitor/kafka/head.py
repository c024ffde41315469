"""The head of a state partition: which flush of evaluate wrote the records before it.

Each transaction writes the changed records, then the head, to the partition with the number of its panes partition,
and commits the same flush number as metadata of the panes offset. A reader that finds the head with that number has
all records that belong to that offset. The number is needed beside the position: the clock closes windows too, so
one position may have several heads.
"""

from __future__ import annotations

import msgspec

from stream_monitor.errors import FormatError
from stream_monitor.events.unreadable import UNREADABLE
from stream_monitor.kafka.stage import Start

FORMAT = 1
HEAD_KEY = b'["head"]'


class Head(msgspec.Struct):
    """`position`: the next panes offset; `flush`: counts up from 1 over the life of the group; `topic_id`: of the state
    topic that holds all the records before it (empty: a former version did not say)."""

    v: int
    position: int
    flush: int
    topic_id: str = ""

    def belongs_to(self, other: Head) -> bool:
        """Whether both are of the same flush."""
        return (self.position, self.flush) == (other.position, other.flush)

    def to_bytes(self) -> bytes:
        return msgspec.json.encode(self)

    @property
    def metadata(self) -> str:
        """What is committed with the panes offset."""
        return str(self.flush)

    @staticmethod
    def from_bytes(value: bytes) -> Head:
        try:
            head = msgspec.json.decode(value, type=Head)
        except UNREADABLE as error:
            raise FormatError(f"the head of the state topic cannot be read: {error}") from error
        if head.v != FORMAT:
            raise FormatError(
                f"this version reads state of format {FORMAT}; the state topic has format {head.v}",
                mend="run the version that wrote it, or start anew with another topics.prefix",
            )
        return head

    @staticmethod
    def expected(start: Start) -> Head | None:
        """The head that belongs to where reading begins; None where nothing was ever flushed."""
        if not start.metadata:
            return None
        try:
            return Head(FORMAT, start.offset, int(start.metadata))
        except ValueError as error:
            raise FormatError(
                f"the metadata of a panes offset must be a flush number; found {start.metadata!r}"
            ) from error
