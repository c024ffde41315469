"""From rows to columns: what the sketches count.

Numeric columns are float64 with NaN for missing and ±inf for invalid; categorical columns hold texts, other scalars
(whose canonical text is meant: whoever looks each value up meets them there), None for missing and INVALID. Costs about
0.5 µs per event of 20 features; keeps nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import compress
from typing import Any, Final, Literal

import numpy as np
from msgspec.structs import astuple
from numpy.typing import NDArray

FeatureKind = Literal["numeric", "categorical"]


class Invalid(Enum):
    """Type of the one sentinel INVALID: a value that is present but is no value of its feature."""

    INVALID = "invalid"

    def __repr__(self) -> str:
        return "INVALID"


INVALID: Final = Invalid.INVALID


@dataclass(frozen=True, slots=True)
class FeatureLayout:
    """Names and kinds of a model's features, in the profile's order. What it does not name is not read."""

    names: tuple[str, ...]
    kinds: tuple[FeatureKind, ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.kinds):
            raise ValueError(f"{len(self.names)} feature names but {len(self.kinds)} kinds")
        if len(set(self.names)) != len(self.names):
            raise ValueError("feature names of a layout must differ")

    @property
    def numeric_names(self) -> tuple[str, ...]:
        return tuple(compress(self.names, [kind == "numeric" for kind in self.kinds]))

    @property
    def categorical_names(self) -> tuple[str, ...]:
        return tuple(compress(self.names, [kind == "categorical" for kind in self.kinds]))


@dataclass(frozen=True, slots=True)
class FeatureColumns:
    """n rows as columns, in layout order among their kind.

    `numeric`: float64, shape (number of numeric features, n). `categorical`: columns of length n.
    """

    numeric: NDArray[np.float64]
    categorical: tuple[Sequence[str | float | bool | Invalid | None], ...]

    @property
    def n(self) -> int:
        return int(self.numeric.shape[1])


def feature_columns(feature_rows: Sequence[Any], layout: FeatureLayout) -> FeatureColumns:
    """Columns of `[row.features for row in rows]`, all decoded with this layout.

    A row is the generated struct or a plain tuple in layout order.
    """
    n = len(feature_rows)
    columns = _transposed(feature_rows, len(layout.names))
    is_numeric = [kind == "numeric" for kind in layout.kinds]
    numeric = np.empty((sum(is_numeric), n), dtype=np.float64)
    for slot, column in enumerate(compress(columns, is_numeric)):
        numeric[slot] = _numeric_column(column, n)
    categorical = tuple(map(list, compress(columns, [not each for each in is_numeric])))
    return FeatureColumns(numeric, categorical)


def raw_features(feature_rows: Sequence[Any]) -> dict[str, list[object]]:
    """Columns of rows decoded without layout: every feature that occurs → n values.

    A value is int, float, bool or str as it came, None where absent or null, or INVALID.
    """
    columns: dict[str, list[object]] = {}
    n = len(feature_rows)
    for i, features in enumerate(feature_rows):
        for name, value in features.items():
            column = columns.get(name)
            if column is None:
                column = columns[name] = [None] * n
            column[i] = value
    return columns


def _transposed(feature_rows: Sequence[Any], width: int) -> list[tuple[Any, ...]]:
    if not feature_rows:
        return [()] * width
    try:
        return list(zip(*map(astuple, feature_rows), strict=True))
    except TypeError:
        rows = [row if isinstance(row, tuple) else astuple(row) for row in feature_rows]
        return list(zip(*rows, strict=True))


def _numeric_column(column: tuple[Any, ...], n: int) -> NDArray[np.float64]:
    try:
        # Half the cost of numpy's own reading of a tuple: 8 ns a value.
        return np.frombuffer(struct.pack(f"{n}d", *column), np.float64)
    except struct.error:  # a None or INVALID among them
        values = (np.inf if value is INVALID else value for value in column)
        return np.fromiter(values, np.float64, n)  # None becomes NaN
