"""Keys and values of the compacted state topic: one record per object, and the head that dates them.

The head holds the panes offset up to which all records of the partition count.  It is written in each transaction
after the records, so a reader that finds the head of the committed offset has them all.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from stream_monitor.errors import FormatError

FORMAT = 1
HEAD_KEY = b'["head"]'


class Head(msgspec.Struct):
    """`position`: the next panes offset to read; `v`: format of all records in the topic."""

    v: int
    position: int


class StateRecord(NamedTuple):
    """`value` None: the object is gone."""

    key: bytes
    value: bytes | None


def record_key(*parts: str | int | None) -> bytes:
    return msgspec.json.encode(parts)


def parse_key(key: bytes) -> list[str | int | None]:
    try:
        return msgspec.json.decode(key, type=list[str | int | None])
    except msgspec.DecodeError as error:
        raise FormatError(f"a state record's key must be a JSON array; found {key[:80]!r} ({error})") from error


def encode_head(position: int) -> bytes:
    return msgspec.json.encode(Head(FORMAT, position))


def decode_head(value: bytes) -> Head:
    """FormatError if the state was written in a format this version does not read."""
    try:
        head = msgspec.json.decode(value, type=Head)
    except msgspec.DecodeError as error:
        raise FormatError(f"the head of the state topic cannot be read: {error}") from error
    if head.v != FORMAT:
        raise FormatError(
            f"this version reads state of format {FORMAT}; the state topic has format {head.v}",
            mend="run the version that wrote it, or start anew with another topics.prefix",
        )
    return head
