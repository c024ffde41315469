from __future__ import annotations

from collections.abc import Sequence
from math import comb, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stream_monitor.metrics.psi import Psi, References
from stream_monitor.metrics.psi import novel_p_value as novel_p_values
from stream_monitor.metrics.psi import psi as psi_of_all
from tests.metrics import slow_psi


def psi(reference: Sequence[int] | np.ndarray, window: Sequence[int] | np.ndarray, novel: int | None) -> Psi:
    """One index alone, its numbers as Python's."""
    references = References([[int(rows) for rows in reference]], [novel is not None])
    found = psi_of_all(references, np.asarray(window), np.array([novel or 0]))
    columns = {name: getattr(found, name) for name in Psi.__slots__}
    return Psi(**{name: column if name == "contributions" else column[0] for name, column in columns.items()})


def novel_p_value(novel: int, n: int, n_reference: int) -> float:
    return float(novel_p_values(np.array([novel]), np.array([n]), np.array([n_reference]))[0])


def contract_sum(reference: list[int], window: list[int], novel: int | None) -> float:
    """The sum as the contract states it, one bin after the other."""
    m, n, c = sum(reference), sum(window) + (novel or 0), 5
    e0 = 0.5 / (m + 1) if novel is not None else 0.0
    bins = [((1 - e0) * r / m, w) for r, w in zip(reference, window, strict=True)]
    if novel:
        bins.append((e0, novel))
    total = 0.0
    for expected, rows in bins:
        actual = (rows + c * expected) / (n + c)
        total += (actual - expected) * log(actual / expected)
    return total


sides = st.lists(st.tuples(st.integers(1, 5_000), st.integers(0, 5_000)), min_size=1, max_size=12)


@given(sides, st.none() | st.integers(0, 500))
def test_psi_is_the_sum_of_the_contract(pairs: list[tuple[int, int]], novel: int | None) -> None:
    reference, window = [r for r, _ in pairs], [w for _, w in pairs]
    if sum(window) + (novel or 0) == 0:
        return
    found = psi(np.array(reference), np.array(window), novel)
    assert found.value == pytest.approx(contract_sum(reference, window, novel), abs=1e-12, rel=1e-12)
    assert found.value == pytest.approx(sum(found.contributions) + found.novel_contribution, abs=1e-12)
    assert found.n == sum(window) + (novel or 0)
    assert all(term >= 0 for term in found.contributions)
    assert 0 <= found.p_value <= 1


def test_equal_shares_give_zero_and_no_evidence() -> None:
    found = psi(np.array([100, 200, 700]), np.array([10, 20, 70]), None)
    assert found.value == pytest.approx(0, abs=1e-15)
    assert found.p_value == pytest.approx(1)


def test_an_empty_novel_bin_does_not_count_but_the_others_are_scaled() -> None:
    found = psi(np.array([10_000]), np.array([1_000]), 0)
    e0 = 0.5 / 10_001
    actual = (1_000 + 5 * (1 - e0)) / 1_005
    assert found.value == pytest.approx((actual - (1 - e0)) * log(actual / (1 - e0)), rel=1e-9)
    assert found.novel_contribution == 0
    assert found.p_value == 1


def test_the_null_band_is_that_of_a_scaled_chi_square() -> None:
    band = psi([1_000] * 10, [40] * 10, None)
    scale = 1 / 400 + 1 / 10_000
    assert band.band_mean == pytest.approx(9 * scale)
    assert band.band_p95 == pytest.approx(scale * stats.chi2.ppf(0.95, 9))
    alone = psi([10_000], [400], None)
    assert (alone.band_mean, alone.band_p95) == (0, 0)


@given(st.integers(0, 60), st.integers(1, 400), st.integers(1, 4_000))
@settings(max_examples=60)
def test_novel_rows_are_judged_by_fishers_exact_test(novel: int, known: int, reference: int) -> None:
    n = novel + known
    exact = comb(n, novel) / comb(n + reference, novel)
    assert novel_p_value(novel, n, reference) == pytest.approx(exact, rel=1e-8)
    table = [[novel, known], [0, reference]]
    assert novel_p_value(novel, n, reference) == pytest.approx(
        stats.fisher_exact(table, alternative="greater").pvalue, rel=1e-6
    )


def test_without_a_novel_bin_the_p_value_is_the_chi_square_tail_over_pools() -> None:
    # N = 40: shares 0.05 expect 2 rows, so three of them pool to 6; the last 0.05 joins the pool before it.
    reference, window = np.array([50, 50, 50, 400, 400, 50]), np.array([8, 0, 4, 14, 14, 0])
    expected, rows, n, m = np.array([150, 400, 450]) / 1000, np.array([12, 14, 14]), 40, 1000
    actual = (rows + 5 * expected) / (n + 5)
    statistic = np.sum((actual - expected) * np.log(actual / expected)) / (1 / n + 1 / m)
    assert psi(reference, window, None).p_value == pytest.approx(stats.chi2.sf(statistic, 2), rel=1e-12)


def test_with_a_novel_bin_the_smaller_of_both_tests_counts_twice() -> None:
    reference, window = np.array([500, 500]), np.array([60, 40])
    known = psi(reference, window, None).p_value
    assert psi(reference, window, 0).p_value == pytest.approx(2 * known)
    assert psi(reference, window, 7).p_value == pytest.approx(2 * novel_p_value(7, 107, 1000))


def test_with_one_live_bin_fisher_stands_alone() -> None:
    assert psi(np.array([1_000]), np.array([95]), 5).p_value == pytest.approx(novel_p_value(5, 100, 1_000))
    assert psi(np.array([1_000]), np.array([0]), 50).p_value < 1e-20


def test_reference_rows_are_needed_in_every_bin_and_a_window_without_rows_says_nothing() -> None:
    for reference in ([3, 0], []):
        with pytest.raises(ValueError, match="reference rows in every one"):
            References([[1], reference], [False, False])
    empty = psi([3, 4], [0, 0], 0)
    assert (empty.value, empty.n, empty.p_value, empty.band_p95) == (0, 0, 1, 0)


indices = st.lists(st.tuples(sides, st.none() | st.integers(0, 500)), min_size=1, max_size=6)


@given(indices)
def test_many_indices_at_once_are_each_what_it_is_alone(found: list[tuple[list[tuple[int, int]], int | None]]) -> None:
    references = References([[r for r, _ in pairs] for pairs, _ in found], [novel is not None for _, novel in found])
    window = np.array([w for pairs, _ in found for _, w in pairs])
    together = psi_of_all(references, window, np.array([novel or 0 for _, novel in found]))
    for i, (pairs, novel) in enumerate(found):
        rows = np.array([w for _, w in pairs])
        if rows.sum() + (novel or 0) == 0:
            assert (together.n[i], together.value[i], together.p_value[i]) == (0, 0, 1)
            continue
        alone = slow_psi.psi(np.array([r for r, _ in pairs]), rows, novel)
        assert together.n[i] == alone.n
        assert together.value[i] == pytest.approx(alone.value, rel=1e-13, abs=1e-16)
        assert together.p_value[i] == pytest.approx(alone.p_value, rel=1e-11, abs=1e-300)
        assert together.band_mean[i] == alone.null_band.mean
        assert together.band_p95[i] == alone.null_band.p95
        assert together.novel_contribution[i] == alone.novel_contribution
        start = references.starts[i]
        assert together.contributions[start : start + len(pairs)].tolist() == list(alone.contributions)


@given(st.lists(st.integers(5, 500), min_size=2, max_size=10), st.integers(2, 9))
def test_merging_bins_never_raises_the_index(reference: list[int], seed: int) -> None:
    """PSI is an f-divergence, so pooling loses information (data processing inequality)."""
    window = np.random.default_rng(seed).integers(0, 200, len(reference))
    if window.sum() == 0:
        return
    fine = psi(np.array(reference), window, None).value
    coarse = psi(np.add.reduceat(reference, [0, 1]), np.add.reduceat(window, [0, 1]), None).value
    assert coarse <= fine + 1e-12
