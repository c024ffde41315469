"""A histogram of floats that chooses its own resolution: exact while values are few, then ever coarser bins.

The bits of a float64, read as a signed integer, are in the order of the floats. Dropping the lowest `level` bits makes
nested half-open bins, about evenly spaced in log|x|. Up to 100 distinct values level 0 is kept: each bin is one value.
Beyond, the level is the least one from 28 (float32's precision) on at which at most 512 bins are occupied. That level
depends on the set of values alone and only rises by merging, so merges are exact and associative (the uniform collapse
of UDDSketch: Epicoco et al. 2020). Unlike a DDSketch it resolves values that vary little around a large offset.

Counts are exact, bounds of bins are floats. Costs about 60 ns a value, at most 5 kB when written.
"""

from __future__ import annotations

from typing import Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_monitor.errors import FormatError
from stream_monitor.sketches.codec import pack, unpack
from stream_monitor.sketches.sparse import Counts, decode_counts, decode_signed, encode_counts

EXACT_VALUES: Final = 100
OCCUPIED_BINS: Final = 512
FINEST_LEVEL: Final = 28  # of inexact bins
COARSEST_LEVEL: Final = 63

_VERSION: Final = 1
_decoder: Final = msgspec.msgpack.Decoder(tuple[int, int, bytes, bytes])
_SIGN: Final = np.int64(-(2**63))
_INFINITY: Final = int(np.array(np.inf).view(np.int64))


class FloatBins:
    """`level` 0: exact values. Bin i holds the floats whose ordered integer, shifted right by `level`, is i."""

    __slots__ = ("_counts", "_index", "level")

    def __init__(self) -> None:
        self.level = 0
        self._index: NDArray[np.int64] = np.zeros(0, np.int64)  # increasing
        self._counts: Counts = np.zeros(0, np.int64)

    @property
    def is_empty(self) -> bool:
        return len(self._index) == 0

    @property
    def is_exact(self) -> bool:
        """Every bin is one value."""
        return self.level == 0

    @property
    def held_bytes(self) -> int:
        """Memory, roughly."""
        return 300 + 2 * self._counts.nbytes

    @property
    def counts(self) -> Counts:
        """Occupied bins' counts, in the order of `lows`."""
        return self._counts

    @property
    def lows(self) -> NDArray[np.float64]:
        """The smallest float of each occupied bin, increasing; -inf where that is below all floats."""
        return _float(self._index, self.level)

    @property
    def highs(self) -> NDArray[np.float64]:
        """The smallest float above each occupied bin; inf where there is none."""
        return _float(self._index + 1, self.level)

    def update(self, values: NDArray[np.float64]) -> None:
        """Adds finite values; the caller removes NaN and infinity. -0.0 counts as 0.0."""
        index, counts = np.unique(_ordered(values) >> self.level, return_counts=True)
        self._add(index, counts)

    def merge(self, other: Self) -> None:
        level = max(self.level, other.level)
        self._coarsen(level)
        self._add(other._index >> (level - other.level), other._counts)

    def copy(self) -> Self:
        new = type(self)()
        new.level, new._index, new._counts = self.level, self._index, self._counts  # replaced, never changed
        return new

    def to_bytes(self) -> bytes:
        first = int(self._index[0]) if len(self._index) else 0
        return pack(_VERSION, self.level, first, encode_counts(np.diff(self._index)), encode_counts(self._counts))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        level, first, gaps, counts = unpack("float bins", data, _VERSION, _decoder)
        new = cls()
        new._counts = decode_counts(counts, OCCUPIED_BINS)
        steps = decode_signed(gaps, OCCUPIED_BINS)  # gaps from -1e308 to 1e308 are wider than an int64, and wrap
        if not (0 <= level <= COARSEST_LEVEL and abs(first) < 2**63 and len(steps) == max(len(new._counts) - 1, 0)):
            raise FormatError(f"float bins: level {level}, {len(steps)} gaps for {len(new._counts)} counts")
        new.level = level
        new._index = np.cumsum(np.concatenate(([first], steps)), dtype=np.int64)[: len(new._counts)]
        index, last = new._index, (_INFINITY - 1) >> level
        rising = bool((index[1:] > index[:-1]).all())
        if len(index) and not (rising and -last - 1 <= index[0] and index[-1] <= last and new._counts.min() > 0):
            raise FormatError(f"float bins: {len(index)} bins must rise within the floats, and none be empty")
        return new

    def _add(self, index: NDArray[np.int64], counts: Counts) -> None:
        self._index, self._counts = _summed(
            np.concatenate((self._index, index)), np.concatenate((self._counts, counts))
        )
        if self.level == 0 and len(self._index) > EXACT_VALUES:
            self._coarsen(FINEST_LEVEL)
        while self.level > 0 and len(self._index) > OCCUPIED_BINS:
            self._coarsen(self.level + 1)

    def _coarsen(self, level: int) -> None:
        if level > self.level:
            self._index, self._counts = _summed(self._index >> (level - self.level), self._counts)
            self.level = level


def _summed(index: NDArray[np.int64], counts: Counts) -> tuple[NDArray[np.int64], Counts]:
    distinct, inverse = np.unique(index, return_inverse=True)
    total = np.zeros(len(distinct), np.int64)
    np.add.at(total, inverse, counts)
    return distinct, total


def _ordered(values: NDArray[np.float64]) -> NDArray[np.int64]:
    bits = (values + 0.0).view(np.int64)  # + 0.0: -0.0 becomes 0.0
    return np.where(bits < 0, _SIGN - bits, bits)


def _float(index: NDArray[np.int64], level: int) -> NDArray[np.float64]:
    last = _INFINITY >> level
    ordered = np.where(index > last, _INFINITY, np.maximum(np.minimum(index, last) << level, -_INFINITY))
    floats: NDArray[np.float64] = np.where(ordered < 0, _SIGN - ordered, ordered).view(np.float64)
    return floats
