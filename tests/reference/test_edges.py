from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_monitor.reference.edges import (
    SMALLEST_GROUP,
    Atoms,
    inner_edges,
    merged_groups,
    psi_groups,
    score_bin_edges,
)

value = st.one_of(st.sampled_from([0.0, 1.0, -1.0]), st.integers(-50, 50).map(float), st.floats(-1e6, 1e6))


@settings(deadline=None)
@given(st.lists(value, min_size=1, max_size=300), st.integers(2, 80))
def test_every_bin_but_a_point_holds_about_its_share(values: list[float], bins: int) -> None:
    ordered = np.sort(np.array(values))
    edges = inner_edges(Atoms.of_values(ordered), bins)
    assert all(a < b for a, b in pairwise(edges))
    codes = np.searchsorted(edges, ordered, side="right")
    share = len(values) / bins
    for code in np.unique(codes):
        members = ordered[codes == code]
        distinct = np.unique(members)
        heaviest = max(int((ordered == v).sum()) for v in distinct)
        # A run of light values is cut into round(weight/share) parts, each overshoots by at most one value.
        assert len(distinct) == 1 or len(members) <= 1.5 * share + heaviest
        if heaviest > share:
            assert len(distinct) == 1


def test_continuous_values_are_cut_at_their_quantiles() -> None:
    values = np.random.default_rng(0).normal(size=8000)
    edges = inner_edges(Atoms.of_values(values), 80)
    assert len(edges) == 79
    counts = np.histogram(values, [-np.inf, *edges, np.inf])[0]
    assert counts.min() >= 99
    assert counts.max() <= 101


def test_weights_stand_for_rows() -> None:
    values = np.random.default_rng(0).normal(size=500)
    doubled = inner_edges(Atoms.of_values(np.concatenate([values, values])), 20)
    assert inner_edges(Atoms.of_values(values, np.full(500, 2.0)), 20) == doubled


@pytest.mark.parametrize("heavy", [0, 3, 120, 240])
def test_scores_never_have_more_than_255_edges(heavy: int) -> None:
    rng = np.random.default_rng(heavy)
    points = np.repeat(np.linspace(0.05, 0.95, heavy), 40) if heavy else np.zeros(0)
    edges = score_bin_edges(Atoms.of_values(np.concatenate([points, rng.uniform(size=5000)])))
    assert 100 < len(edges) <= 255
    assert all(a < b for a, b in pairwise(edges))


@given(st.lists(st.integers(0, 40), min_size=1, max_size=90))
def test_psi_groups_cover_all_bins_of_a_continuous_feature_and_are_never_small(counts: list[int]) -> None:
    rows = np.array(counts)
    groups = psi_groups(rows, discrete=False)
    if rows.sum() == 0:
        assert groups == ()
        return
    assert [bound for group in groups for bound in group][:: 2 * len(groups) - 1] == [0, len(counts)]
    assert all(left[1] == right[0] for left, right in pairwise(groups))
    assert len(groups) <= 10
    assert len(groups) == 1 or min(rows[low:high].sum() for low, high in groups) >= SMALLEST_GROUP


def test_ten_groups_of_a_tenth_each() -> None:
    groups = psi_groups(np.array([0, *[100] * 80, 0]), discrete=False)
    assert groups == ((0, 9), *((9 + 8 * i, 17 + 8 * i) for i in range(8)), (73, 82))


def test_discrete_values_with_less_than_five_rows_join_their_smaller_neighbour() -> None:
    counts = np.array([0, 50, 0, 3, 0, 10, 0, 2, 0])
    assert psi_groups(counts, discrete=True) == ((1, 2), (3, 8))
    assert merged_groups([(0, 1), (1, 2)], np.array([1, 2])) == ((0, 2),)
    assert merged_groups([], np.array([0])) == ()
