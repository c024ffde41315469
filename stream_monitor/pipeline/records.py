"""Keys and values of the compacted state topic: one record per object, keyed by a JSON array of its name's parts.

Which records belong to which panes offset is said by the head (kafka/head.py).
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from stream_monitor.errors import FormatError
from stream_monitor.events.unreadable import UNREADABLE


class StateRecord(NamedTuple):
    """`value` None: the object is gone."""

    key: bytes
    value: bytes | None


def record_key(*parts: str | int | None) -> bytes:
    return msgspec.json.encode(parts)


def parse_key(key: bytes) -> list[str | int | None]:
    try:
        return msgspec.json.decode(key, type=list[str | int | None])
    except UNREADABLE as error:
        raise FormatError(f"a state record's key must be a JSON array; found {key[:80]!r} ({error})") from error
