"""Exact counts of numbers while there are few distinct ones, nothing at all once there are many.

Finds discrete features for the bootstrapped profile. Beyond `limit` distinct values the state is "many" for
good: the number of distinct values only grows by merging, so this is associative, and values of continuous
features do not leave the process. -0.0 counts as 0.0.
"""

from __future__ import annotations

from typing import Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_monitor.errors import FormatError
from stream_monitor.sketches.codec import pack, unpack
from stream_monitor.sketches.sparse import decode_counts, encode_counts

_VERSION: Final = 1
_decoder: Final = msgspec.msgpack.Decoder(tuple[int, bool, bytes, bytes])


class DistinctCounts:
    """`counts`: value → count, or None: more than `limit` distinct values were seen."""

    __slots__ = ("counts", "limit")

    def __init__(self, limit: int = 100) -> None:
        self.limit = limit
        self.counts: dict[float, int] | None = {}

    @property
    def is_empty(self) -> bool:
        return self.counts is not None and not self.counts

    def update(self, values: NDArray[np.float64]) -> None:
        """Adds finite values; the caller removes NaN and infinity."""
        if self.counts is not None:
            found, counts = np.unique(values + 0.0, return_counts=True)
            self._add(dict(zip(found.tolist(), counts.tolist(), strict=True)))

    def merge(self, other: Self) -> None:
        if other.limit != self.limit:
            raise ValueError(f"merged distinct counts have one limit, found {self.limit} and {other.limit}")
        self._add(other.counts)

    def copy(self) -> Self:
        new = type(self)(self.limit)
        new.counts = None if self.counts is None else self.counts.copy()
        return new

    def to_bytes(self) -> bytes:
        mine = self.counts or {}
        values = sorted(mine)
        counts = encode_counts(np.array([mine[value] for value in values], np.int64))
        return pack(_VERSION, self.limit, self.counts is None, np.array(values, "<f8").tobytes(), counts)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        limit, many, values, packed = unpack("distinct counts", data, _VERSION, _decoder)
        counts = decode_counts(packed).tolist()
        if len(values) != 8 * len(counts):
            raise FormatError(f"distinct counts: {len(values)} bytes of values for {len(counts)} counts")
        new = cls(limit)
        new.counts = None if many else dict(zip(np.frombuffer(values, "<f8").tolist(), counts, strict=True))
        return new

    def _add(self, counts: dict[float, int] | None) -> None:
        if self.counts is None or counts is None:
            self.counts = None
            return
        for value, count in counts.items():
            self.counts[value] = self.counts.get(value, 0) + count
        if len(self.counts) > self.limit:
            self.counts = None
