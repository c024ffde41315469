"""Marks in a table of numbered writes, which show whether a stretch of its history is missing.  Pure.

RocksDB has a checksum on every block, but not on the list of its files: with the end of that list its newest files are
gone, while its log, which is younger than they, is still played. So each write leaves a mark, and old ones go, the
older the fewer remain: of an age of n writes one in every n/4 or so. The number of the last write says which must be
there. A stretch that is missing between n and 1.3 n writes ago, or longer, holds one of them.
"""

from __future__ import annotations

_KEEP = 8


def _lasts(number: int) -> int:
    """How many writes later the mark of a write goes: the more, the rounder its number is in base 2."""
    return _KEEP * (number & -number)


def dropped(number: int) -> list[int]:
    """Marks that go with this write."""
    step, gone = 1, []
    while (old := number - _KEEP * step) > 0:
        if old & -old == step:
            gone.append(old)
        step *= 2
    return gone


def kept(number: int) -> set[int]:
    """Marks that must be there after this write: about 8 for each doubling of `number`."""
    found, step = set(), 1
    while step <= number:
        first = max(0, number - _KEEP * step) // (2 * step) * 2 * step + step
        found |= {mark for mark in range(first, number + 1, 2 * step) if mark + _lasts(mark) > number}
        step *= 2
    return found
