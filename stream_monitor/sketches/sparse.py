"""Vectors of signed counts as few bytes: dense, sparse, or dense with a few large counts apart, whichever is smallest.

Promises: exact round trip of every int64 vector of up to 2**22 slots; an all-zero vector costs 11 bytes, one event in
20 features about 50, a full 20-feature pane about 1.8 kB, also where a few categories hold most of the events. Costs a
few vectorised passes, 3 to 10 µs for 1,700 slots; adding written counts to a vector makes no other one of its size.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_monitor.errors import FormatError

Counts = NDArray[np.int64]

MAX_SLOTS: Final = 1 << 22  # 20,000 features of 200 slots; 32 MB, also where eleven bytes say that all are 0
MAX_COUNT: Final = 1 << 53  # of one slot, as read: so many add up to no overflow, and are exact as floats
_SMALL: Final = 256  # bytes: sparse would save a hundred and take 5 µs more to write, and 3 to read

_DENSE: Final = 0  # head, all values
_SPARSE: Final = 1  # head, sparse head, gaps between occupied slots, their values
_SPLIT: Final = 2  # head, the low bits of all values, then what is left of them above those bits as a sparse vector
_HEAD: Final = struct.Struct("<BBI")  # form, type of values, slots
_SPARSE_HEAD: Final = struct.Struct("<BI")  # type of gaps, entries
_TYPES: Final = tuple(np.dtype(name) for name in ("<u1", "<u2", "<u4", "<i1", "<i2", "<i4", "<i8"))
_RANGES: Final = tuple((int(np.iinfo(t).min), int(np.iinfo(t).max)) for t in _TYPES)
_UNSIGNED: Final = 3  # of the types


def encode_counts(counts: Counts) -> bytes:
    """Bytes of a one-dimensional int64 vector; equal vectors give equal bytes."""
    slots = counts.size
    if slots > MAX_SLOTS:
        raise ValueError(f"a vector of counts has at most {MAX_SLOTS} slots, this one has {slots}")
    bits = int(np.bitwise_or.reduce(counts))  # as wide as the largest of them; below 0 if any is
    kind = _narrowest(0, bits) if bits >= 0 else _narrowest(int(counts.min()), int(counts.max()))
    width = _TYPES[kind].itemsize
    if slots * width <= _SMALL and bits:
        return _dense(counts, kind)
    occupied = counts != 0  # the indices of booleans are found far faster than those of integers
    if int(np.count_nonzero(occupied)) * (width + 1) < slots * width:
        at = np.flatnonzero(occupied)
        sparse = _sparse(slots, at, counts[at], kind)
        if len(sparse) < _HEAD.size + slots * width:
            return sparse
    if bits >= 0:
        for narrow in range(kind):
            split = _split(counts, narrow, slots * width)
            if split is not None:
                return split
    return _dense(counts, kind)


def decode_counts(data: bytes, most_slots: int = MAX_SLOTS) -> Counts:
    """The vector of counts from 0 to MAX_COUNT that `encode_counts` wrote, at most so many; FormatError if the bytes
    are anything else."""
    counts = np.zeros(_at_most(count_slots(data), most_slots), np.int64)
    add_counts(data, counts)
    return counts


def decode_signed(data: bytes, most_slots: int = MAX_SLOTS) -> Counts:
    """As decode_counts, of any int64 numbers."""
    numbers = np.zeros(_at_most(count_slots(data), most_slots), np.int64)
    _add_checked(data, numbers)
    return numbers


def count_slots(data: bytes) -> int:
    """How many slots the vector has."""
    try:
        slots = int(_HEAD.unpack_from(data)[2])
    except struct.error as error:
        raise FormatError(f"counts: broken bytes ({error})") from error
    return _at_most(slots, MAX_SLOTS)


def add_counts(data: bytes, into: Counts) -> None:
    """Add the vector of counts from 0 to MAX_COUNT that `encode_counts` wrote to one of as many slots.

    FormatError if the bytes are anything else; then `into` is not to be used any more.
    """
    if data[0] == _SPLIT or data[1] >= _UNSIGNED:
        # Wide enough for numbers that are no counts: seen apart from what they are added to.
        apart = np.zeros(into.size, np.int64)
        _add_checked(data, apart)
        if apart.size and (apart.min() < 0 or apart.max() > MAX_COUNT):
            raise FormatError(f"counts: from 0 to {MAX_COUNT}, found {apart.min()} to {apart.max()}")
        into += apart
        return
    _add_checked(data, into)


def _add_checked(data: bytes, into: Counts) -> None:
    try:
        _add(data, 0, into, 0)
    except (struct.error, ValueError, IndexError) as error:
        raise FormatError(f"counts: broken bytes ({error})") from error


def _at_most(slots: int, most: int) -> int:
    if slots > most:
        raise FormatError(f"counts: at most {most} slots are accepted, found {slots}")
    return slots


def _add(data: bytes, start: int, into: Counts, shift: int) -> None:
    """Add the vector that begins at byte `start`, times 2**shift."""
    form, kind, slots = _HEAD.unpack_from(data, start)
    if slots != into.size:
        raise ValueError(f"{into.size} slots expected, {slots} found")
    start += _HEAD.size
    value_type = _TYPES[kind]
    if form == _SPARSE:
        gap_kind, entries = _SPARSE_HEAD.unpack_from(data, start)
        if gap_kind >= _UNSIGNED:
            raise ValueError(f"gaps of type {gap_kind}")
        gap_type = _TYPES[gap_kind]
        start += _SPARSE_HEAD.size
        middle = start + entries * gap_type.itemsize
        _exactly(data, middle + entries * value_type.itemsize)
        at = np.frombuffer(data, gap_type, entries, start).astype(np.int64)
        at[1:] += 1
        values = np.frombuffer(data, value_type, entries, middle).astype(np.int64)
        np.add.at(into, at.cumsum(), values << shift if shift else values)
        return
    if form not in (_DENSE, _SPLIT) or shift:
        raise ValueError(f"form {form} with {slots} slots")
    end = start + slots * value_type.itemsize
    if form == _DENSE:
        _exactly(data, end)
    into += np.frombuffer(data, value_type, slots, start)
    if form == _SPLIT:
        _add(data, end, into, 8 * value_type.itemsize)


def _dense(counts: Counts, kind: int) -> bytes:
    return _HEAD.pack(_DENSE, kind, counts.size) + counts.astype(_TYPES[kind]).tobytes()


def _sparse(slots: int, at: NDArray[np.intp], values: Counts, kind: int) -> bytes:
    gaps = at.copy()
    gaps[1:] -= at[:-1]
    gaps[1:] -= 1
    gap_kind = _narrowest(0, int(gaps.max()) if gaps.size else 0)
    return b"".join(
        (
            _HEAD.pack(_SPARSE, kind, slots),
            _SPARSE_HEAD.pack(gap_kind, at.size),
            gaps.astype(_TYPES[gap_kind]).tobytes(),
            values.astype(_TYPES[kind]).tobytes(),
        )
    )


def _split(counts: Counts, narrow: int, dense_size: int) -> bytes | None:
    """The low bits of counts ≥ 0 in type `narrow`, and the few large ones' rest; None where that is not smaller."""
    low_type = _TYPES[narrow]
    bits = 8 * low_type.itemsize
    large = counts >= 1 << bits
    low_size = counts.size * low_type.itemsize
    if low_size + 2 * int(np.count_nonzero(large)) >= dense_size:
        return None
    at = np.flatnonzero(large)
    rest = counts[at] >> bits
    apart = _sparse(counts.size, at, rest, _narrowest(0, int(rest.max())))
    if low_size + len(apart) >= dense_size:
        return None
    return b"".join((_HEAD.pack(_SPLIT, narrow, counts.size), counts.astype(low_type).tobytes(), apart))


def _exactly(data: bytes, size: int) -> None:
    if len(data) != size:
        raise ValueError(f"{size} bytes expected, {len(data)} found")


def _narrowest(low: int, high: int) -> int:
    if low >= 0 and high < 256:  # nearly always
        return 0
    return next(i for i, (least, most) in enumerate(_RANGES) if least <= low and high <= most)
