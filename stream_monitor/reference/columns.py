"""Reference columns: which kind a column is and how its values read, by the same rules as the stream's events.

Numeric: int, float and bool (0 and 1); NaN, infinity and everything else are invalid, None is missing.
Categorical: text, and numbers and booleans by their canonical text; None is missing, the rest invalid.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_monitor.events.columns import FeatureKind
from stream_monitor.events.scalars import canonical_scalar

_NUMERIC_SHARE: Final = 0.95
_EMPTY: Final = frozenset({"", "nan", "NaN"})


def guess_kind(column: Sequence[object]) -> FeatureKind:
    """The majority's kind; a column with neither numbers nor texts is numeric."""
    kinds = Counter(map(type, column))
    numbers = kinds[int] + kinds[float] + kinds[bool]
    return "numeric" if numbers >= kinds[str] else "categorical"


def typed_column(texts: Sequence[str]) -> list[object]:
    """A column of a text file (CSV) as values: numbers if at least 95 % of the filled cells are numbers, then
    the other cells stay text (and count as invalid); empty cells and NaN are missing."""
    filled = [text for text in texts if text not in _EMPTY]
    numbers = {text: number for text in set(filled) if (number := _number(text)) is not None}
    if not filled or sum(text in numbers for text in filled) < _NUMERIC_SHARE * len(filled):
        return [None if text in _EMPTY else text for text in texts]
    return [None if text in _EMPTY else numbers.get(text, text) for text in texts]


def numeric_values(column: Sequence[object]) -> NDArray[np.float64]:
    """NaN for missing, ±inf for invalid, as in events.columns.FeatureColumns."""
    return np.array([_numeric(value) for value in column], np.float64)


def text_values(column: Sequence[object]) -> tuple[Counter[str], int, int]:
    """(text → rows, missing, invalid)."""
    texts: Counter[str] = Counter()
    missing = invalid = 0
    for value, rows in Counter(map(_hashable, column)).items():
        if value is None:
            missing += rows
        elif isinstance(value[0], (str, int, float)):
            texts[canonical_scalar(value[0])] += rows
        else:
            invalid += rows
    return texts, missing, invalid


def _hashable(value: object) -> tuple[object, type] | None:
    """Tells 1, 1.0 and True apart, which are one dict key; what is no scalar becomes one invalid value."""
    if value is None:
        return None
    if isinstance(value, float) and not np.isfinite(value):
        return Ellipsis, float
    return (value, type(value)) if isinstance(value, (str, int, float)) else (Ellipsis, object)


def _numeric(value: object) -> float:
    if value is None:
        return np.nan
    if not isinstance(value, (int, float)):
        return np.inf
    try:
        number = float(value)
    except OverflowError:
        return np.inf
    return np.inf if number != number else number


def _number(text: str) -> float | None:
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None
