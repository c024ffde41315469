"""The search over a grid finds what a binary search finds, for any edges and values."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stream_monitor.sketches.edge_search import EdgeSearch

finite = st.floats(allow_nan=False, allow_infinity=False)
near = st.integers(-20, 20).map(lambda i: i / 7)
edge_lists = st.lists(finite, max_size=12, unique=True) | st.lists(near, max_size=30, unique=True)
value = st.floats() | near


@given(st.lists(edge_lists.map(sorted), min_size=1, max_size=4), st.lists(value, max_size=12))
@example([[-1.7e308, 1.7e308]], [float("inf"), 0.0, float("nan")])
@example([[0.0, 5e-324, 1.0]], [5e-324, -0.0, 0.5])
@settings(max_examples=300, deadline=None)
def test_it_finds_what_searchsorted_finds_and_missing_and_invalid(
    edges: list[list[float]], values: list[float]
) -> None:
    on_edges = [each for some in edges for each in some]
    between = [np.nextafter(each, way) for each in on_edges[:8] if abs(each) < 1e308 for way in (-np.inf, np.inf)]
    row = np.array([*values, *on_edges, *between], np.float64)
    given_values = np.array([row] * len(edges)).reshape(len(edges), len(row))
    found = EdgeSearch(edges).slots(given_values)
    for each, codes in zip(edges, found, strict=True):
        expected = np.array(each, np.float64).searchsorted(row, side="right")
        expected = np.where(np.isnan(row), len(each) + 1, np.where(np.isinf(row), len(each) + 2, expected))
        np.testing.assert_array_equal(codes, expected)


def test_crowded_edges_and_a_feature_without_edges_are_searched_too() -> None:
    crowded = [*(i * 1e-9 for i in range(80)), 1e9]
    edges: list[list[float]] = [crowded, [], [float(i) for i in range(79)], [3.0]]
    values = np.random.default_rng(1).normal(0, 40, (4, 500))
    values[0, :100] = np.random.default_rng(2).uniform(0, 1e-7, 100)
    found = EdgeSearch(edges).slots(values)
    for each, codes, row in zip(edges, found, values, strict=True):
        np.testing.assert_array_equal(codes, np.array(each).searchsorted(row, side="right"))
