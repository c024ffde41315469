"""How often each (actual, predicted) pair of classes occurred.

Exact for at most `limit` classes. Of more, the classes of smallest hash are kept and the others are counted as
"__other__": a class kept at the end was kept in every part, and one dropped in a part is dropped in the end,
so merges stay associative. Cells are never removed, for that keeps the set of classes a union.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final, Self

import msgspec

from stream_monitor.errors import FormatError
from stream_monitor.sketches.codec import Count, pack, unpack
from stream_monitor.sketches.hashing import hash64
from stream_monitor.sketches.sparse import MAX_SLOTS

OTHER_CLASS: Final = "__other__"

_VERSION: Final = 1
_decoder: Final = msgspec.msgpack.Decoder(tuple[int, list[tuple[str, str, Count]]])


class Confusion:
    """`counts[(actual, predicted)]`, canonical class names."""

    __slots__ = ("counts", "limit")

    def __init__(self, limit: int = 50) -> None:
        if limit < 1:
            raise ValueError(f"limit must be at least 1, found {limit}")
        self.limit = limit
        self.counts: dict[tuple[str, str], int] = {}

    @property
    def is_empty(self) -> bool:
        return not self.counts

    @property
    def held_bytes(self) -> int:
        """Memory, roughly; the names belong to others too."""
        return 200 + 150 * len(self.counts)

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def saturated(self) -> bool:
        """True when some classes are counted as "__other__"."""
        return any(OTHER_CLASS in cell for cell in self.counts)

    @property
    def classes(self) -> list[str]:
        """All classes met as actual or predicted, sorted."""
        return sorted({class_ for cell in self.counts for class_ in cell})

    def update(self, actual: Iterable[str], predicted: Iterable[str]) -> None:
        """Adds pairs; both columns of one length."""
        self._add(Counter(zip(actual, predicted, strict=True)))

    def merge(self, other: Self) -> None:
        if other.limit != self.limit:
            raise ValueError(f"merged confusion counts have one limit, found {self.limit} and {other.limit}")
        self._add(other.counts)

    def copy(self) -> Self:
        new = type(self)(self.limit)
        new.counts = self.counts.copy()
        return new

    def to_bytes(self) -> bytes:
        cells = [(actual, predicted, count) for (actual, predicted), count in sorted(self.counts.items())]
        return pack(_VERSION, self.limit, cells)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        limit, cells = unpack("confusion counts", data, _VERSION, _decoder)
        if not 1 <= limit <= MAX_SLOTS:
            raise FormatError(f"confusion counts: a limit from 1 to {MAX_SLOTS}, found {limit}")
        new = cls(limit)
        new._add({(actual, predicted): count for actual, predicted, count in cells})
        if len(new.counts) != len(cells):
            raise FormatError(f"confusion counts: {len(cells)} cells, {len(new.counts)} of them differ or fit in")
        return new

    def _add(self, cells: dict[tuple[str, str], int]) -> None:
        counts = self.counts
        for cell, count in cells.items():
            counts[cell] = counts.get(cell, 0) + count
        classes = {class_ for cell in counts for class_ in cell} - {OTHER_CLASS}
        if len(classes) <= self.limit:
            return
        kept = set(sorted(classes, key=lambda name: (hash64(name), name))[: self.limit])
        self.counts = {}
        for (actual, predicted), count in counts.items():
            cell = (actual if actual in kept else OTHER_CLASS, predicted if predicted in kept else OTHER_CLASS)
            self.counts[cell] = self.counts.get(cell, 0) + count
