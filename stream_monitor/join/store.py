"""Where join entries live between commits: the protocol, and the store in memory that tests and backtest use.

A store holds one table a source partition pair (`predictions` p and `labels` p).  It never runs ahead of Kafka: the
ingest fold keeps changes in an overlay and writes them, with both positions, after the Kafka commit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

Role = str  # "predictions" or "labels"


class Change(NamedTuple):
    """A new value of one entry.

    `expires_ms` is the event time after which nothing can join it any more, already rounded up to the expiry granule.
    The offsets are those of the first record of each topic that the entry needs, for the rebuild after a loss.
    """

    value: bytes
    expires_ms: int
    prediction_offset: int | None
    label_offset: int | None


class JoinStore(Protocol):
    def positions(self, partition: int) -> dict[Role, int]:
        """Source positions up to which the table holds everything; empty for a table that was never written."""

    def get_many(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]: ...

    def write(
        self,
        partition: int,
        changes: Mapping[bytes, Change],
        positions: Mapping[Role, int],
        expire_before_ms: int | None,
    ) -> int:
        """Apply changes and positions as one; then drop entries with `expires_ms < expire_before_ms`. Returns drops."""

    def floors(self, partition: int) -> dict[Role, int]:
        """Lowest offset of each topic that a live entry needs; a topic without live entries is absent."""

    def entries(self, partition: int) -> int:
        """How many entries the table holds."""

    def reset(self, partition: int) -> None:
        """Forget the table, positions included (it will be rebuilt from Kafka)."""

    def release(self, partition: int) -> None:
        """The partition is owned no longer: close its table, keep its data."""


class _Table:
    def __init__(self) -> None:
        self.entries: dict[bytes, Change] = {}
        self.positions: dict[Role, int] = {}
        self.by_expiry: dict[int, set[bytes]] = {}


class MemoryStore:
    """A JoinStore in memory: exact and simple; the oracle for the one on disk."""

    def __init__(self) -> None:
        self._tables: dict[int, _Table] = {}

    def _table(self, partition: int) -> _Table:
        return self._tables.setdefault(partition, _Table())

    def positions(self, partition: int) -> dict[Role, int]:
        return dict(self._table(partition).positions)

    def get_many(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]:
        entries = self._table(partition).entries
        return [None if (found := entries.get(key)) is None else found.value for key in keys]

    def write(
        self,
        partition: int,
        changes: Mapping[bytes, Change],
        positions: Mapping[Role, int],
        expire_before_ms: int | None,
    ) -> int:
        table = self._table(partition)
        for key, change in changes.items():
            before = table.entries.get(key)
            if before is not None and before.expires_ms != change.expires_ms:
                table.by_expiry[before.expires_ms].discard(key)
            table.entries[key] = change
            table.by_expiry.setdefault(change.expires_ms, set()).add(key)
        table.positions.update(positions)
        if expire_before_ms is None:
            return 0
        dropped = 0
        for moment in [moment for moment in table.by_expiry if moment < expire_before_ms]:
            for key in table.by_expiry.pop(moment):
                del table.entries[key]
                dropped += 1
        return dropped

    def floors(self, partition: int) -> dict[Role, int]:
        live = self._table(partition).entries.values()
        floors: dict[Role, int] = {}
        for role, offsets in (
            ("predictions", [c.prediction_offset for c in live if c.prediction_offset is not None]),
            ("labels", [c.label_offset for c in live if c.label_offset is not None]),
        ):
            if offsets:
                floors[role] = min(offsets)
        return floors

    def entries(self, partition: int) -> int:
        return len(self._table(partition).entries)

    def reset(self, partition: int) -> None:
        self._tables.pop(partition, None)

    def release(self, partition: int) -> None:
        pass
