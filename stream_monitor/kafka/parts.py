"""State records larger than a message, written in parts.

Promises: no record of the state topic is larger than `PART_BYTES` and its key, whatever the config allows a model to
hold, so a broker with default limits takes it; what is read back is what was written.  Parts of one record are written
in one transaction.  A record that needs fewer parts than before takes the others away.  Costs nothing for small ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from stream_monitor.errors import RestoreError
from stream_monitor.pipeline.records import StateRecord

PART_BYTES: Final = 900_000  # the broker's default is 1 MiB for a batch
_PART = b'["part",'
_COUNT_BYTES = 4


class Parts:
    """State: of how many parts each record is that is written in parts, by its key."""

    def __init__(self, part_bytes: int = PART_BYTES) -> None:
        self._part_bytes = part_bytes
        self._written: dict[bytes, int] = {}

    def split(self, record: StateRecord) -> Iterator[StateRecord]:
        """The records to write for one. Counts as written: after an aborted transaction make this anew."""
        key, value = record
        n = 0
        if value is None or len(value) <= self._part_bytes:
            yield record
        else:
            n = -(-len(value) // self._part_bytes)
            if key not in self._written:
                yield StateRecord(key, None)
            for i in range(n):
                part = value[i * self._part_bytes : (i + 1) * self._part_bytes]
                yield StateRecord(_key(key, i), n.to_bytes(_COUNT_BYTES, "big") + part)
        for i in range(n, self._written.pop(key, 0)):
            yield StateRecord(_key(key, i), None)
        if n:
            self._written[key] = n

    def joined(self, records: Iterable[tuple[bytes, bytes]]) -> list[StateRecord]:
        """What was split, of all records there are; RestoreError where a part is missing."""
        whole: list[StateRecord] = []
        found: dict[bytes, dict[int, bytes]] = {}
        for key, value in records:
            if key.startswith(_PART):
                _, number, name = msgspec.json.decode(key, type=tuple[str, int, str])
                found.setdefault(name.encode(), {})[number] = value
            else:
                whole.append(StateRecord(key, value))
        for key, parts in found.items():
            n = int.from_bytes(parts[min(parts)][:_COUNT_BYTES], "big")
            if parts.keys() != set(range(n)):
                raise RestoreError(
                    f"state record {key.decode()} must be there in {n} parts; found {sorted(parts)}",
                    mend="start anew with another topics.prefix",
                )
            whole.append(StateRecord(key, b"".join(parts[i][_COUNT_BYTES:] for i in range(n))))
            self._written[key] = n
        return whole


def _key(key: bytes, number: int) -> bytes:
    return msgspec.json.encode(("part", number, key.decode()))
