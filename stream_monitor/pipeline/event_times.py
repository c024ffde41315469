"""When recorded events happened, read off their lines without decoding the rest: for merging inputs by time.

Costs 0.4 µs for a label of 140 bytes, where its whole typed parse costs twice that. A line without a usable time has
none; what is wrong with it ingest will say.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_monitor.events.fields import Timestamp
from stream_monitor.events.mapping import compile_mapping
from stream_monitor.events.policy import DecodePolicy
from stream_monitor.events.times import EPOCH, MAX_MS, MILLISECOND, MIN_MS, parse_timestamp

UNTIMED = int(np.iinfo(np.int64).min)


class _Stamp(msgspec.Struct, gc=False):
    timestamp: str | float | int


class _TypedStamp(msgspec.Struct, gc=False):
    timestamp: Timestamp


class EventTimes:
    """Reads lines of one decode policy."""

    def __init__(self, decode: DecodePolicy) -> None:
        self._unit = decode.timestamp_unit
        moved = any(ours.partition(".")[0] == "timestamp" for ours in decode.mapping)
        self._rename = compile_mapping(decode.mapping) if moved else None
        self._any = msgspec.json.Decoder(_Stamp).decode
        self._typed = msgspec.json.Decoder(_TypedStamp).decode

    def of(self, line: bytes) -> int | None:
        """The event's time in ms; None where the line has none."""
        try:
            if self._rename is None:
                stamp = self._any(line).timestamp
            else:
                stamp = self._rename(msgspec.json.decode(line))["timestamp"]
            return parse_timestamp(stamp, self._unit)
        except (ValueError, KeyError, TypeError, RecursionError):
            return None

    def of_all(self, lines: Sequence[bytes]) -> NDArray[np.int64]:
        """As `of`, UNTIMED where there is none."""
        read = self._quickly if self._rename is None else self._slowly
        return np.fromiter(map(read, lines), np.int64, len(lines))

    def _quickly(self, line: bytes) -> int:
        try:
            stamp = self._typed(line).timestamp
        except (ValueError, RecursionError):
            return self._slowly(line)
        if type(stamp) is datetime and MIN_MS <= (ms := (stamp - EPOCH) // MILLISECOND) <= MAX_MS:
            return ms
        return self._slowly(line)

    def _slowly(self, line: bytes) -> int:
        return UNTIMED if (moment := self.of(line)) is None else moment
