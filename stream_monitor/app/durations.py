"""Durations as people write them: "90s", "5m", "1h30m", "7d", or a plain number of seconds.

Promises an exact count of milliseconds (the unit of all times inside the core) or a ValueError that says what is
accepted. Months and years are refused: they have no fixed length.
"""

from __future__ import annotations

import re
from decimal import Decimal

ACCEPTED = 'a duration such as "10s", "5m", "1h30m", "24h", "7d", or a number of seconds'

_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_PART = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*(ms|s|m|h|d|w)")
_WHOLE = re.compile(rf"(?:{_PART.pattern}\s*)+")
# Beyond this, event time plus a duration could leave the years that RFC 3339 can write.
MAX_MS = 100 * 366 * _UNIT_MS["d"]


def parse_duration(value: object) -> int:
    """Milliseconds of a written duration; ValueError when it is none, negative, or longer than a century."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(ACCEPTED)
    if isinstance(value, str):
        text = value.strip().lower()
        if re.fullmatch(r"\d{1,15}(?:\.\d{1,6})?", text):  # an environment variable gives numbers as text
            milliseconds = Decimal(text) * 1000
        elif _WHOLE.fullmatch(text):
            milliseconds = sum((Decimal(n) * _UNIT_MS[unit] for n, unit in _PART.findall(text)), Decimal(0))
        else:
            raise ValueError(ACCEPTED)
    else:
        if value != value or abs(value) > MAX_MS:
            raise ValueError(ACCEPTED)
        milliseconds = Decimal(str(value)) * 1000
    if not 0 <= milliseconds <= MAX_MS:
        raise ValueError(f"{ACCEPTED}, from 0 to 100 years")
    if milliseconds != milliseconds.to_integral_value():
        raise ValueError(f"{ACCEPTED}, in whole milliseconds")
    return int(milliseconds)
