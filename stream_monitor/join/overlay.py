"""Join entries changed since the last Kafka commit, over the store that holds those before it.

Dropping the overlay undoes everything since the commit; `changes` is what the store must take after the next one.
"""

from __future__ import annotations

from collections.abc import Sequence

from stream_monitor.join.entry import Entry, decode, encode
from stream_monitor.join.policy import JoinPolicy
from stream_monitor.join.store import NO_OFFSET, STAMP, Floors, JoinStore, add_floors, stamp


class Overlay:
    """One overlay serves all partitions of a worker; an entry, once loaded, is the caller's to change in place."""

    def __init__(self, store: JoinStore) -> None:
        self._store = store
        self._entries: dict[int, dict[bytes, tuple[Entry, JoinPolicy]]] = {}

    def load(self, partition: int, keys: Sequence[bytes], policy: JoinPolicy) -> list[Entry]:
        """The entries of `keys`, new ones where there was none; equal keys give the same object."""
        mine = self._entries.setdefault(partition, {})
        absent = [key for key in dict.fromkeys(keys) if key not in mine]
        if absent:
            for key, data in zip(absent, self._store.get_many(partition, absent), strict=True):
                mine[key] = (Entry() if data is None else decode(data[STAMP.size :]), policy)
        return [mine[key][0] for key in keys]

    def changes(self, partition: int) -> tuple[dict[bytes, bytes], dict[int, Floors]]:
        """The changed entries with their stamps, and what they need of the topics."""
        entries: dict[bytes, bytes] = {}
        floors: dict[int, Floors] = {}
        for key, (entry, policy) in self._entries.get(partition, {}).items():
            expires = policy.expires_ms(entry.newest_ms)
            entries[key] = stamp(expires) + encode(entry)
            prediction, label = entry.floors()
            need = Floors(NO_OFFSET if prediction is None else prediction, NO_OFFSET if label is None else label)
            add_floors(floors, {expires: need})
        return entries, floors

    def drop(self, partition: int | None = None) -> None:
        """Forget the changes of one partition, or of all."""
        if partition is None:
            self._entries.clear()
        else:
            self._entries.pop(partition, None)
