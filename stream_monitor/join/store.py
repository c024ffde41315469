"""Where join entries live between commits: the protocol, and the store in memory that tests and backtest use.

A store holds one table a source partition pair (`predictions` p and `labels` p).  It never runs ahead of Kafka: the
ingest fold keeps changes in an overlay and writes them, with both positions, after the Kafka commit.  What an entry
holds is the join's business; the store reads only its stamp: the first 8 bytes, which say when it expires. Keys are
text in UTF-8, or at least never begin with the byte 0xff, which stores may keep for themselves.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import NamedTuple, Protocol

Role = str  # "predictions" or "labels"

STAMP = struct.Struct(">Q")
STAMP_OFFSET = 1 << 63  # times may lie before 1970; big endian and unsigned, so that stamps sort as times do
NO_OFFSET = 2**63 - 1


def stamp(expires_ms: int) -> bytes:
    """The first bytes of an entry: the event time after which nothing can join it any more, which the join rounds up
    to a granule."""
    return STAMP.pack(expires_ms + STAMP_OFFSET)


def expires_ms(data: bytes) -> int:
    return int(STAMP.unpack_from(data)[0]) - STAMP_OFFSET


class Floors(NamedTuple):
    """Offsets of the first record of each topic that some entries need, for the rebuild after a loss; NO_OFFSET:
    none."""

    predictions: int = NO_OFFSET
    labels: int = NO_OFFSET

    def with_those(self, other: Floors) -> Floors:
        return Floors(min(self.predictions, other.predictions), min(self.labels, other.labels))


NO_FLOORS = Floors()


class Dropped(NamedTuple):
    """Entries that left the store: nothing can join them any more, or there were more than it may hold (or had been,
    of such as would have expired by now with those that left then)."""

    expired: int = 0
    evicted: int = 0

    @staticmethod
    def of(gone: Mapping[int, int], expire_before_ms: int | None) -> Dropped:
        """Of entries counted by their expires_ms; `expire_before_ms`: as asked for."""
        expired = sum(n for moment, n in gone.items() if expire_before_ms is not None and moment < expire_before_ms)
        return Dropped(expired, sum(gone.values()) - expired)


def expired_before(entries: Mapping[int, int], asked_ms: int | None, max_entries: int | None) -> int | None:
    """What expires: all before the moment asked for, and of `entries` (by their expires_ms) the oldest until at most
    `max_entries` are left. Returns the moment; None where nothing expires."""
    left = {moment: n for moment, n in entries.items() if asked_ms is None or moment >= asked_ms}
    over = sum(left.values()) - (max_entries if max_entries is not None else NO_OFFSET)
    evicted = 0
    for moment in sorted(left) if over > 0 else ():
        if evicted >= over:
            break
        evicted += left[moment]
        asked_ms = moment + 1
    return asked_ms


class JoinStore(Protocol):
    def positions(self, partition: int) -> dict[Role, int]:
        """Source positions up to which the table holds everything; empty for a table that was never written."""

    def topic_ids(self, partition: int) -> dict[Role, str]:
        """Ids of the topics that the table was made from; empty where nobody said."""

    def bind(self, partition: int, topic_ids: Mapping[Role, str]) -> None:
        """Note the ids of the topics that the table is made from."""

    def get_many(self, partition: int, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """The entries of different keys, stamps included; None where there is none or it has expired."""

    def write(
        self,
        partition: int,
        entries: Mapping[bytes, bytes],
        floors: Mapping[int, Floors],
        positions: Mapping[Role, int],
        expire_before_ms: int | None,
    ) -> Dropped:
        """Put entries, `floors` of theirs by their expires_ms, and positions, as one; then drop entries that expire
        before `expire_before_ms`, or did before such a moment given earlier. A store of limited size then drops the
        oldest, all of one expiry at a time, and from then on nothing that would have expired with them enters it."""

    def floors(self, partition: int) -> dict[Role, int]:
        """Lowest offset of each topic that a live entry needs; a topic without one is absent. It may be lower than
        that (of an entry that moved to a later expiry): a rebuild then reads more, never less."""

    def entries(self, partition: int) -> int:
        """How many entries the table holds."""

    def disk_bytes(self, partition: int) -> int:
        """Bytes of the table on disk, without what is in memory only; 0 where none is on disk."""

    def reset(self, partition: int) -> None:
        """Forget the table, positions included (it will be rebuilt from Kafka)."""

    def release(self, partition: int) -> None:
        """The partition is owned no longer: close its table, keep its data."""


def add_floors(known: dict[int, Floors], new: Mapping[int, Floors]) -> None:
    for moment, floors in new.items():
        known[moment] = floors.with_those(known.get(moment, NO_FLOORS))


def lowest(floors: Mapping[int, Floors]) -> dict[Role, int]:
    """What `JoinStore.floors` returns, of the floors of live entries."""
    found = {
        "predictions": min((each.predictions for each in floors.values()), default=NO_OFFSET),
        "labels": min((each.labels for each in floors.values()), default=NO_OFFSET),
    }
    return {role: offset for role, offset in found.items() if offset != NO_OFFSET}


class _Table:
    def __init__(self) -> None:
        self.entries: dict[bytes, bytes] = {}
        self.floors: dict[int, Floors] = {}
        self.positions: dict[Role, int] = {}
        self.topic_ids: dict[Role, str] = {}
        self.by_expiry: dict[int, set[bytes]] = {}
        self.expired_before_ms: int | None = None


class MemoryStore:
    """A JoinStore in memory: exact and simple; the oracle for the one on disk. `max_entries`: of a partition."""

    def __init__(self, max_entries: int | None = None) -> None:
        self._max_entries = max_entries
        self._tables: dict[int, _Table] = {}

    def _table(self, partition: int) -> _Table:
        return self._tables.setdefault(partition, _Table())

    def positions(self, partition: int) -> dict[Role, int]:
        return dict(self._table(partition).positions)

    def topic_ids(self, partition: int) -> dict[Role, str]:
        return dict(self._table(partition).topic_ids)

    def bind(self, partition: int, topic_ids: Mapping[Role, str]) -> None:
        self._table(partition).topic_ids = dict(topic_ids)

    def get_many(self, partition: int, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        entries = self._table(partition).entries
        return [entries.get(key) for key in keys]

    def write(
        self,
        partition: int,
        entries: Mapping[bytes, bytes],
        floors: Mapping[int, Floors],
        positions: Mapping[Role, int],
        expire_before_ms: int | None,
    ) -> Dropped:
        table = self._table(partition)
        for key, data in entries.items():
            before = table.entries.get(key)
            if before is not None and before[: STAMP.size] != data[: STAMP.size]:
                table.by_expiry[expires_ms(before)].discard(key)
            table.entries[key] = data
            table.by_expiry.setdefault(expires_ms(data), set()).add(key)
        add_floors(table.floors, floors)
        table.positions.update(positions)
        asked = [ms for ms in (table.expired_before_ms, expire_before_ms) if ms is not None]
        counts = {moment: len(keys) for moment, keys in table.by_expiry.items()}
        upto = expired_before(counts, max(asked, default=None), self._max_entries)
        table.expired_before_ms = upto
        if upto is None:
            return Dropped()
        gone = {moment: table.by_expiry.pop(moment) for moment in list(table.by_expiry) if moment < upto}
        for key in chain.from_iterable(gone.values()):
            del table.entries[key]
        table.floors = {moment: each for moment, each in table.floors.items() if moment >= upto}
        return Dropped.of({moment: len(keys) for moment, keys in gone.items()}, expire_before_ms)

    def floors(self, partition: int) -> dict[Role, int]:
        return lowest(self._table(partition).floors)

    def entries(self, partition: int) -> int:
        return len(self._table(partition).entries)

    def disk_bytes(self, partition: int) -> int:
        return 0

    def reset(self, partition: int) -> None:
        self._tables.pop(partition, None)

    def release(self, partition: int) -> None:
        pass
