"""Keys and entries like those of the fold, for the benches of the join store: 44 and 70 bytes, half of it random."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from math import gcd

from stream_monitor.join.store import Floors, stamp

BATCH = 4_000  # changes of one flush, roughly
PER_SECOND = 20_000  # predictions, by the clock of the events
_LABEL_DELAY_MS = 600_000
_LIFE_MS = 25 * 3_600_000
_GRANULE_MS = _LIFE_MS // 128
_START_MS = 1_790_000_000_000
_NUMBERS = struct.Struct(">qqI")
_MASK = (1 << 128) - 1


def keys(numbers: Iterable[int]) -> list[bytes]:
    """A key by the number of its prediction: looks random, as ids do, and needs no memory of those made before."""
    made = []
    for number in numbers:
        mixed = (number + 1) * 0xDA942042E4DD58B5_9E3779B97F4A7C15 & _MASK
        mixed = (mixed ^ mixed >> 67) * 0xD1342543DE82EF95_BF58476D1CE4E5B9 & _MASK
        made.append(b"credit-risk\0%032x" % (mixed ^ mixed >> 61))
    return made


def entries(keys: Sequence[bytes], first: int, *, labelled: bool) -> tuple[dict[bytes, bytes], dict[int, Floors]]:
    """Entries of these predictions, the first of which has this number, or of their labels, with their floors."""
    moment = _START_MS + first * 1_000 // PER_SECOND + (_LABEL_DELAY_MS if labelled else 0)
    expires = -(-(moment + _LIFE_MS) // _GRANULE_MS) * _GRANULE_MS
    head, tail = stamp(expires) + b"\x93\x91\x9a\xa17\xcf", b"\xc0\xc0\x81\xa7country\xa2DE\xc3\xc2\xcf" + b"\0" * 17
    made = {key: head + _NUMBERS.pack(moment, hash(key), at) + tail for at, key in enumerate(keys, first)}
    return made, {expires: Floors(first, first) if labelled else Floors(first)}


def batches(start: int, end: int) -> Iterator[range]:
    for at in range(start, end, BATCH):
        yield range(at, min(end, at + BATCH))


def scattered(start: int, end: int) -> Iterator[list[int]]:
    """The numbers from `start` to `end`, in batches, each once, neighbours far from each other."""
    size = end - start
    stride = next(each for each in range(int(size * 0.618), 2 * size + 2) if gcd(each, size) == 1)
    for batch in batches(0, size):
        yield [start + at * stride % size for at in batch]
