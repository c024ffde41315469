"""Join entries changed since the last Kafka commit, over the store that holds those before it.

Dropping the overlay undoes everything since the commit; `changes` is what the store must take after the next one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from stream_monitor.join.store import Floors, JoinStore, add_floors

_ENTRY_BYTES = 220  # of a key and an entry beside the entry's own bytes: two objects, the id, a place in the table


class Overlay:
    """One overlay serves all partitions of a worker.

    `held_bytes`: what it holds, roughly; an entry that is changed again counts again.
    """

    def __init__(self, store: JoinStore) -> None:
        self.held_bytes = 0
        self._store = store
        self._entries: dict[int, dict[bytes, bytes]] = {}
        self._floors: dict[int, dict[int, Floors]] = {}

    def load(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]:
        """The newest entries of `keys`, which must differ; None where there is none."""
        mine = self._entries.get(partition)
        if not mine:
            return list(self._store.get_many(partition, keys))
        found = [mine.get(key) for key in keys]
        absent = [i for i, entry in enumerate(found) if entry is None]
        if absent:
            for i, entry in zip(absent, self._store.get_many(partition, [keys[i] for i in absent]), strict=True):
                found[i] = entry
        return found

    def put(
        self, partition: int, keys: Iterable[bytes], entries: Collection[bytes], floors: Mapping[int, Floors]
    ) -> None:
        """Change entries; `floors` are the offsets they need, by their expires_ms."""
        self.held_bytes += sum(map(len, entries)) + _ENTRY_BYTES * len(entries)
        self._entries.setdefault(partition, {}).update(zip(keys, entries, strict=True))
        add_floors(self._floors.setdefault(partition, {}), floors)

    def changes(self, partition: int) -> tuple[Mapping[bytes, bytes], Mapping[int, Floors]]:
        """The changed entries, and what they need of the topics."""
        return self._entries.get(partition, {}), self._floors.get(partition, {})

    def drop(self, partition: int | None = None) -> None:
        """Forget the changes of one partition, or of all."""
        if partition is None or self._entries.keys() <= {partition}:
            self.held_bytes = 0  # else it stays too high until the next flush, which is soon
        for known in (self._entries, self._floors):
            if partition is None:
                known.clear()
            else:
                known.pop(partition, None)
