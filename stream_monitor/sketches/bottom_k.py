"""A uniform sample of labelled predictions: those k whose prediction_id has the smallest hash.

Feeds the detectors. Which ones are sampled depends on the ids alone, never on partitions, flushes or order, so
merges are associative and a replay samples the same events. A multiset: an entry added twice counts twice.
Costs 0.2 µs an event, about 40 bytes an entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, NamedTuple, Self
from zlib import crc32

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_monitor.errors import FormatError
from stream_monitor.sketches.codec import pack, unpack
from stream_monitor.sketches.sparse import MAX_SLOTS


class Sample(NamedTuple):
    """One labelled prediction; what does not apply to its task is None."""

    hash: int  # 64 bits, of prediction_id
    label_ms: int  # event time of the label
    prediction_id: str
    error: float | None  # 0/1 for classes, |residual| for regression
    score: float | None  # P(positive) or P(predicted)
    residual: float | None  # predicted − actual


_VERSION: Final = 1
_Hash = Annotated[int, msgspec.Meta(ge=0)]
_Row = tuple[_Hash, int, str, float | None, float | None, float | None]
_decoder: Final = msgspec.msgpack.Decoder(tuple[int, list[_Row]])


def sample_hashes(prediction_ids: Sequence[str]) -> NDArray[np.uint64]:
    """The hash that orders samples: crc32, whose regularity over numbered ids splitmix64's finish takes away."""
    codes = [crc32(each.encode("utf-8", "surrogatepass")) for each in prediction_ids]
    mixed = np.array(codes, np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


class BottomK:
    """`entries` are sorted by hash, at most k."""

    __slots__ = ("entries", "k")

    def __init__(self, k: int = 512) -> None:
        if k < 1:
            raise ValueError(f"k must be at least 1, found {k}")
        self.k = k
        self.entries: list[Sample] = []

    @property
    def is_empty(self) -> bool:
        return not self.entries

    @property
    def held_bytes(self) -> int:
        """Memory, roughly: as if all ids were as long as the first."""
        return 150 + len(self.entries) * (320 + len(self.entries[0].prediction_id)) if self.entries else 150

    def add_many(
        self,
        prediction_ids: Sequence[str],
        label_ms: Sequence[int],
        errors: Sequence[float | None] | None = None,
        scores: Sequence[float | None] | None = None,
        residuals: Sequence[float | None] | None = None,
    ) -> None:
        """Offers events as parallel columns; an absent column is None for all. NaN counts as None."""
        hashes = sample_hashes(prediction_ids)
        offered = []
        for i in self.candidates(hashes).tolist():
            values = (_number(errors, i), _number(scores, i), _number(residuals, i))
            offered.append(Sample(int(hashes[i]), label_ms[i], prediction_ids[i], *values))
        self._keep(offered)

    def candidates(self, hashes: NDArray[np.uint64]) -> NDArray[np.intp]:
        """Places of the events that may enter: a caller need offer no others, all at once."""
        fits = np.ones(len(hashes), np.bool_)
        if len(hashes) > self.k:
            fits = hashes <= np.partition(hashes, self.k - 1)[self.k - 1]
        if len(self.entries) == self.k:
            fits &= hashes <= np.uint64(self.entries[-1].hash)
        return np.flatnonzero(fits)

    def ordered(self) -> list[Sample]:
        """The sample in the order in which detectors are fed: by (label_ms, prediction_id)."""
        return sorted(self.entries, key=lambda sample: (sample.label_ms, sample.prediction_id, *_order(sample)))

    def merge(self, other: Self) -> None:
        if other.k != self.k:
            raise ValueError(f"samples of one k merge, found {self.k} and {other.k}")
        self._keep(other.entries)

    def copy(self) -> Self:
        new = type(self)(self.k)
        new.entries = self.entries.copy()
        return new

    def to_bytes(self) -> bytes:
        return pack(_VERSION, self.k, self.entries)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        k, rows = unpack("bottom-k sample", data, _VERSION, _decoder)
        if not len(rows) <= k <= MAX_SLOTS or k < 1:
            raise FormatError(f"bottom-k sample: {len(rows)} entries, k {k}")
        new = cls(k)
        new.entries = [Sample(*row) for row in rows]
        hashes = [row[0] for row in rows]
        if hashes != sorted(hashes):
            raise FormatError("bottom-k sample: its entries are not in their order")
        return new

    def _keep(self, offered: Sequence[Sample]) -> None:
        if offered:
            self.entries = sorted([*self.entries, *offered], key=_order)[: self.k]


def _number(column: Sequence[float | None] | None, i: int) -> float | None:
    value = None if column is None else column[i]
    if value is None or value != value:
        return None
    return float(value) + 0.0  # -0.0 and 0.0 are one value in every order


def _order(sample: Sample) -> tuple[object, ...]:
    """A total order, so that which of two entries with one hash is kept depends on nothing else."""
    values = (sample.error, sample.score, sample.residual)
    return (*sample[:3], *((value is not None, value or 0.0) for value in values))
