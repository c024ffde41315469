"""What is known of a feature before a profile exists: enough to make one, small enough to send.

Numbers go to FloatBins (exact while there are at most 100 distinct ones), to minimum, maximum and exact sums; texts
go to keyed-hash counts. Whether the feature is numeric is decided by the majority when the profile is built. Missing
values are not counted here: a feature that no event of a batch carries is not in the batch's columns at all, so
missing = events − numbers − texts − invalid. Written: at most 5 kB of numbers and 10 kB of texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite
from typing import Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_monitor.errors import FormatError
from stream_monitor.sketches.codec import Count, pack, unpack
from stream_monitor.sketches.exact_sum import ExactSum
from stream_monitor.sketches.float_bins import FloatBins
from stream_monitor.sketches.key_counts import KeyCounts

_VERSION: Final = 1
_decoder: Final = msgspec.msgpack.Decoder(tuple[Count, Count, float | None, float | None, bytes, bytes, bytes, bytes])


class RawFeature:
    """`numbers` finite numbers (booleans are 0 and 1), `texts.total` texts, `invalid` others that are there."""

    __slots__ = ("bins", "invalid", "maximum", "minimum", "numbers", "squares", "sum", "texts")

    def __init__(self) -> None:
        self.numbers = 0
        self.invalid = 0
        self.minimum: float | None = None
        self.maximum: float | None = None
        self.bins = FloatBins()
        self.sum = ExactSum()
        self.squares = ExactSum()
        self.texts = KeyCounts()

    @property
    def is_empty(self) -> bool:
        return self.numbers == 0 and self.invalid == 0 and self.texts.is_empty

    @property
    def held_bytes(self) -> int:
        """Memory, roughly; of the two exact sums 400 bytes each."""
        return 1_000 + self.bins.held_bytes + self.texts.held_bytes

    @property
    def is_numeric(self) -> bool:
        """The majority's kind; a feature with neither numbers nor texts is numeric."""
        return self.numbers >= self.texts.total

    def update(self, values: Sequence[object], hash_key: bytes = b"") -> None:
        """Adds values as decoded without layout: int, float, bool, str, None (missing), anything else invalid."""
        numbers: list[float] = []
        texts: list[str] = []
        for value in values:
            if isinstance(value, (int, float)):
                try:
                    numbers.append(float(value))
                except OverflowError:  # an integer beyond 1e308
                    self.invalid += 1
            elif isinstance(value, str):
                texts.append(value)
            elif value is not None:
                self.invalid += 1
        if texts:
            self.texts.update(texts, hash_key)
        if numbers:
            self._numbers(np.array(numbers))

    def _numbers(self, values: NDArray[np.float64]) -> None:
        finite = values[np.isfinite(values)] + 0.0  # -0.0 and 0.0 are one value
        self.invalid += len(values) - len(finite)
        if len(finite):
            self.numbers += len(finite)
            self._range(float(finite.min()), float(finite.max()))
            self.bins.update(finite)
            self.sum.update(finite)
            self.squares.update_squares(finite)

    def _range(self, low: float | None, high: float | None) -> None:
        if low is not None and high is not None:
            self.minimum = low if self.minimum is None else min(self.minimum, low)
            self.maximum = high if self.maximum is None else max(self.maximum, high)

    def merge(self, other: Self) -> None:
        self.numbers += other.numbers
        self.invalid += other.invalid
        self._range(other.minimum, other.maximum)
        self.bins.merge(other.bins)
        self.sum.merge(other.sum)
        self.squares.merge(other.squares)
        self.texts.merge(other.texts)

    def copy(self) -> Self:
        new = type(self)()
        new.merge(self)
        return new

    def to_bytes(self) -> bytes:
        parts = (self.bins, self.sum, self.squares, self.texts)
        head = (self.numbers, self.invalid, self.minimum, self.maximum)
        return pack(_VERSION, *head, *(part.to_bytes() for part in parts))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        fields = unpack("raw feature", data, _VERSION, _decoder)
        new = cls()
        new.numbers, new.invalid, new.minimum, new.maximum = fields[:4]
        new.bins = FloatBins.from_bytes(fields[4])
        new.sum = ExactSum.from_bytes(fields[5])
        new.squares = ExactSum.from_bytes(fields[6])
        new.texts = KeyCounts.from_bytes(fields[7])
        if not new._is_sound():
            raise FormatError(f"raw feature: its parts do not agree on {new.numbers} numbers")
        return new

    def _is_sound(self) -> bool:
        """False for parts that no values lead to: a profile made of them would have a mean outside its range."""
        if self.texts.limit != KeyCounts().limit or self.numbers != int(self.bins.counts.sum()):
            return False
        low, high = self.minimum, self.maximum
        if low is None or high is None:
            return low is high is None and self.numbers == 0 and self.sum.is_empty and self.squares.is_empty
        if not (self.numbers > 0 and isfinite(low) and isfinite(high) and self.bins.lows[0] <= low):
            return False
        # Both sides are correctly rounded, and rounding keeps an order.
        return low <= self.sum.mean(self.numbers) <= high and self.bins.lows[-1] <= high < inf and low <= high
