"""Columns hold what the rows held, whichever shape the rows have."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.events.columns import INVALID, FeatureLayout, feature_columns, raw_features
from stream_monitor.events.typed import features_struct

LAYOUT = FeatureLayout(("x", "kind", "y", "group"), ("numeric", "categorical", "numeric", "categorical"))
numbers = st.one_of(st.none(), st.booleans(), st.floats(), st.integers(-(2**53), 2**53))
categories = st.one_of(
    st.none(), st.text(max_size=3), st.booleans(), st.integers(-9, 9), st.floats(-9, 9), st.just(INVALID)
)
rows = st.lists(st.tuples(numbers, categories, numbers, categories), max_size=8)


@given(rows, st.data())
def test_tuples_and_generated_structs_give_the_same_columns(given_rows: list[tuple[Any, ...]], data: Any) -> None:
    struct = features_struct(LAYOUT)
    as_struct = data.draw(st.lists(st.booleans(), min_size=len(given_rows), max_size=len(given_rows)))
    mixed = [struct(*row) if flag else row for row, flag in zip(given_rows, as_struct, strict=True)]
    columns = feature_columns(mixed, LAYOUT)
    assert columns.n == len(given_rows)
    assert columns.numeric.dtype == np.float64
    for slot, position in enumerate((0, 2)):
        expected = [math.nan if row[position] is None else float(row[position]) for row in given_rows]
        np.testing.assert_array_equal(columns.numeric[slot], np.array(expected, dtype=float))
    for slot, position in enumerate((1, 3)):
        values = [row[position] for row in given_rows]
        assert columns.categorical[slot] == values


def test_the_sentinel_in_a_numeric_column_is_infinite() -> None:
    columns = feature_columns([(INVALID, None, 1, None)], LAYOUT)
    assert columns.numeric[:, 0].tolist() == [math.inf, 1.0]


@pytest.mark.parametrize("kinds", [(), ("numeric",), ("categorical",)])
def test_no_rows_and_one_kind_keep_their_shape(kinds: tuple[Any, ...]) -> None:
    layout = FeatureLayout(tuple(f"f{i}" for i in range(len(kinds))), kinds)
    columns = feature_columns([], layout)
    assert columns.numeric.shape == (kinds.count("numeric"), 0)
    assert columns.categorical == tuple([] for kind in kinds if kind == "categorical")
    assert feature_columns([(None,) * len(kinds)] * 3, layout).n == 3


def test_raw_columns_have_every_feature_that_occurs_and_none_where_it_does_not() -> None:
    assert raw_features([{"a": 1}, {}, {"b": "x", "a": INVALID}]) == {"a": [1, None, INVALID], "b": [None, None, "x"]}
    assert raw_features([]) == {}


def test_layouts_name_their_kinds_and_refuse_nonsense() -> None:
    assert (LAYOUT.numeric_names, LAYOUT.categorical_names) == (("x", "y"), ("kind", "group"))
    with pytest.raises(ValueError, match="kinds"):
        FeatureLayout(("a",), ())
    with pytest.raises(ValueError, match="differ"):
        FeatureLayout(("a", "a"), ("numeric", "numeric"))
