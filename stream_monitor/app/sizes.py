"""Sizes as people write them: "64MiB", "4 GiB", "500MB", or a plain number of bytes."""

from __future__ import annotations

import re
from decimal import Decimal

ACCEPTED = 'a size such as "64MiB", "4GiB", "500MB", or a number of bytes'

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS |= {"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}
_WRITTEN = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([a-z]*)")
_SHOWN = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def parse_size(value: object) -> int:
    """Bytes of a written size, a fraction of one left out; ValueError where it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(ACCEPTED)
    found = _WRITTEN.fullmatch(str(value).strip().lower())
    if found is None or found[2] not in _UNITS:
        raise ValueError(ACCEPTED)
    return int(Decimal(found[1]) * _UNITS[found[2]])


def format_size(size: int) -> str:
    """As people read it: 1.5 GiB, 64 MiB, 700 bytes."""
    for unit, name in _SHOWN:
        if size >= unit:
            return f"{size / unit:.3g} {name}" if size < 1_000 * unit else f"{size // unit:,} {name}"
    return f"{size} bytes"
