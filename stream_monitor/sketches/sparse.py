"""Vectors of signed counts as few bytes: the narrowest integer type, dense or sparse, whichever is smaller.

Promises: exact round trip of every int64 vector of up to 2**24 slots; an all-zero vector costs 6 bytes, one
event in 20 features about 50, a full 20-feature pane about 1.7 kB. Costs a few vectorised passes.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_monitor.errors import FormatError

Counts = NDArray[np.int64]

MAX_SLOTS: Final = 1 << 24

_DENSE: Final = 0
_SPARSE: Final = 1
_HEAD: Final = struct.Struct("<BBI")  # kind, type of values, slots
_SPARSE_HEAD: Final = struct.Struct("<BI")  # type of gaps, entries
_TYPES: Final = tuple(np.dtype(name) for name in ("<u1", "<u2", "<u4", "<i1", "<i2", "<i4", "<i8"))
_RANGES: Final = tuple((int(np.iinfo(t).min), int(np.iinfo(t).max)) for t in _TYPES)


def encode_counts(counts: Counts) -> bytes:
    """Bytes of a one-dimensional int64 vector."""
    if counts.size > MAX_SLOTS:
        raise ValueError(f"a vector of counts has at most {MAX_SLOTS} slots, this one has {counts.size}")
    at = np.flatnonzero(counts)
    values = counts[at]
    kind = _narrowest(values)
    width = _TYPES[kind].itemsize
    gaps = np.diff(at, prepend=-1) - 1
    gap_kind = _narrowest(gaps)
    sparse_size = _SPARSE_HEAD.size + at.size * (width + _TYPES[gap_kind].itemsize)
    if sparse_size < counts.size * width:
        return b"".join(
            (
                _HEAD.pack(_SPARSE, kind, counts.size),
                _SPARSE_HEAD.pack(gap_kind, at.size),
                gaps.astype(_TYPES[gap_kind]).tobytes(),
                values.astype(_TYPES[kind]).tobytes(),
            )
        )
    return _HEAD.pack(_DENSE, kind, counts.size) + counts.astype(_TYPES[kind]).tobytes()


def decode_counts(data: bytes) -> Counts:
    """The vector that `encode_counts` wrote; FormatError if the bytes are anything else."""
    try:
        form, kind, slots = _HEAD.unpack_from(data)
        if slots > MAX_SLOTS or form not in (_DENSE, _SPARSE):
            raise ValueError(f"form {form} with {slots} slots")
        value_type = _TYPES[kind]
        if form == _DENSE:
            _exactly(data, _HEAD.size + slots * value_type.itemsize)
            return np.frombuffer(data, value_type, slots, _HEAD.size).astype(np.int64)
        gap_kind, entries = _SPARSE_HEAD.unpack_from(data, _HEAD.size)
        gap_type = _TYPES[gap_kind]
        start = _HEAD.size + _SPARSE_HEAD.size
        middle = start + entries * gap_type.itemsize
        _exactly(data, middle + entries * value_type.itemsize)
        at = np.cumsum(np.frombuffer(data, gap_type, entries, start).astype(np.int64) + 1) - 1
        counts = np.zeros(slots, np.int64)
        counts[at] = np.frombuffer(data, value_type, entries, middle)
    except (struct.error, ValueError, IndexError) as error:
        raise FormatError(f"counts: broken bytes ({error})") from error
    return counts


def _exactly(data: bytes, size: int) -> None:
    if len(data) != size:
        raise ValueError(f"{size} bytes expected, {len(data)} found")


def _narrowest(values: NDArray[np.signedinteger]) -> int:
    if values.size == 0:
        return 0
    low, high = int(values.min()), int(values.max())
    return next(i for i, (least, most) in enumerate(_RANGES) if least <= low and high <= most)
