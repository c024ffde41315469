"""Scores of positives and negatives on frozen edges, per class: all that AUC, Gini and KS need.

Exact counts; what binning hides is told by the metric's error_bound (ties within a bin). Binary models have
one class, the positive one; multiclass models one-versus-rest counts per class. Bounded: of more than `limit`
classes those of smallest hash are kept, with all their counts, whatever the order of merges (a class kept at
the end was kept in every part). Size: 2 × bins int64 a class.
"""

from __future__ import annotations

from typing import Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_monitor.errors import FormatError
from stream_monitor.sketches.codec import pack, unpack
from stream_monitor.sketches.hashing import hash64
from stream_monitor.sketches.sparse import MAX_SLOTS, Counts, decode_counts, encode_counts

UNIFORM_SCHEMA_ID: Final = "uniform256"
"""Schema of scores counted on DEFAULT_SCORE_EDGES: for models without a profile."""

DEFAULT_SCORE_EDGES: Final[tuple[float, ...]] = tuple(i / 256 for i in range(1, 256))

_VERSION: Final = 1
_MOST_SLOTS: Final = 2 * 256  # a profile has at most 255 inner edges
_decoder: Final = msgspec.msgpack.Decoder(tuple[int, bool, dict[str, bytes]])


class ScoreCounts:
    """`counts[class]` has shape (2, bins): row 0 the events that are not of this class, row 1 those that are."""

    __slots__ = ("counts", "limit", "saturated")

    def __init__(self, limit: int = 50) -> None:
        self.limit = limit
        self.saturated = False
        self.counts: dict[str, Counts] = {}

    @property
    def is_empty(self) -> bool:
        return not self.counts

    @property
    def held_bytes(self) -> int:
        """Memory, roughly."""
        return 200 + sum(200 + counts.nbytes for counts in self.counts.values())

    def update(
        self,
        class_: str,
        scores: NDArray[np.float64],
        is_positive: NDArray[np.bool_],
        edges: NDArray[np.float64],
    ) -> None:
        """Adds events by score; `edges` increasing, the same ones for all updates and merges of a class. The
        caller removes NaN."""
        bins = len(edges) + 1
        codes = edges.searchsorted(scores, side="right") + is_positive * bins
        self._add(class_, np.bincount(codes, minlength=2 * bins).reshape(2, bins))
        self._bound()

    def merge(self, other: Self) -> None:
        if other.limit != self.limit:
            raise ValueError(f"merged score counts have one limit, found {self.limit} and {other.limit}")
        for class_, counts in other.counts.items():
            self._add(class_, counts)
        self.saturated |= other.saturated
        self._bound()

    def copy(self) -> Self:
        new = type(self)(self.limit)
        new.saturated = self.saturated
        new.counts = {class_: counts.copy() for class_, counts in self.counts.items()}
        return new

    def to_bytes(self) -> bytes:
        body = {class_: encode_counts(counts.ravel()) for class_, counts in sorted(self.counts.items())}
        return pack(_VERSION, self.limit, self.saturated, body)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        limit, saturated, body = unpack("score counts", data, _VERSION, _decoder)
        if not len(body) <= limit <= MAX_SLOTS:
            raise FormatError(f"score counts: {len(body)} classes, limit {limit}")
        new = cls(limit)
        new.saturated = saturated
        for class_, packed in body.items():
            flat = decode_counts(packed, _MOST_SLOTS)
            if flat.size % 2:
                raise FormatError(f"score counts: {flat.size} slots are not two rows")
            new.counts[class_] = flat.reshape(2, -1)
        return new

    def _add(self, class_: str, counts: Counts) -> None:
        mine = self.counts.get(class_)
        if mine is None:
            self.counts[class_] = counts.copy()
        elif mine.shape != counts.shape:
            raise ValueError(
                f"scores of class {class_!r} are counted on {mine.shape[1]} bins, not {counts.shape[1]}: "
                "only counts of one schema merge"
            )
        else:
            mine += counts

    def _bound(self) -> None:
        if len(self.counts) > self.limit:
            kept = sorted(self.counts, key=lambda name: (hash64(name), name))[: self.limit]
            self.counts = {class_: self.counts[class_] for class_ in kept}
            self.saturated = True
