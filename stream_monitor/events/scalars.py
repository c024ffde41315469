"""One text for one value: 1, 1.0 and "1" are the same class and the same category.

JSON, pandas and hand-written producers spell the same thing differently; joins and category counts need one
spelling. Costs a type check for text. Aliases (true is 1?) are policy and live in outcome.py.
"""

from __future__ import annotations

# Above 2**53 a float no longer says which integer was meant, so its own shortest text is the honest one.
_EXACT_INTEGERS = 2.0**53


def canonical_scalar(value: str | float | bool) -> str:
    """Text of a JSON scalar: true → "true", 1 and 1.0 → "1", -0.0 → "0", 1.5 → "1.5"; text stays as it is."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if value.is_integer() and -_EXACT_INTEGERS <= value <= _EXACT_INTEGERS:
            return str(int(value))
        return repr(value)
    return str(value)
