"""Oracle: the index of one pair of vectors, one test after the other, as metrics/psi.py describes it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import exp

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, chdtri, gammaln

from stream_monitor.events.metric import NullBand

SMOOTHING = 5.0
LEAST_EXPECTED = 5.0  # rows a pool must be expected to hold for the χ² approximation (Cochran 1954)

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Psi:
    """contributions: the terms of the sum, bin by bin; novel_contribution: 0 where the novel bin does not count."""

    value: float
    n: int
    n_reference: int
    null_band: NullBand
    p_value: float
    contributions: tuple[float, ...]
    novel_contribution: float


def psi(reference: Counts, window: Counts, novel: int | None) -> Psi:
    """`novel`: window rows in the novel bin, null where there is no such bin. N and M must be above 0."""
    m_total = int(reference.sum())
    n_total = int(window.sum()) + (novel or 0)
    if m_total <= 0 or n_total <= 0 or int(reference.min()) <= 0:
        raise ValueError(f"psi needs rows on both sides and in every reference bin, found {n_total} and {m_total}")
    e0 = 0.5 / (m_total + 1) if novel is not None else 0.0
    terms = _terms((1.0 - e0) * reference / m_total, window, n_total)
    novel_term = 0.0
    if novel:
        novel_term = float(_terms(np.array([e0]), np.array([novel]), n_total)[0])
    return Psi(
        value=float(terms.sum()) + novel_term,
        n=n_total,
        n_reference=m_total,
        null_band=null_band(n_total, m_total, len(reference)),
        p_value=_p_value(reference, window, novel),
        contributions=tuple(terms.tolist()),
        novel_contribution=novel_term,
    )


def null_band(n: int, n_reference: int, bins: int) -> NullBand:
    """Mean and 95th percentile of (1/N + 1/M)·χ²(B−1)."""
    scale = 1.0 / n + 1.0 / n_reference
    return NullBand(mean=scale * (bins - 1), p95=scale * _chi2_p95(bins - 1))


def novel_p_value(novel: int, n: int, n_reference: int) -> float:
    """Fisher's exact test, one-sided: the chance that all `novel` rows lie on the window's side."""
    logarithm = (
        gammaln(n + 1) - gammaln(n - novel + 1) - gammaln(n + n_reference + 1) + gammaln(n + n_reference - novel + 1)
    )
    return float(min(1.0, exp(logarithm)))


def _terms(expected: NDArray[np.float64], rows: Counts, n: int) -> NDArray[np.float64]:
    actual = (rows + SMOOTHING * expected) / (n + SMOOTHING)
    terms: NDArray[np.float64] = (actual - expected) * np.log(actual / expected)
    return terms


def _p_value(reference: Counts, window: Counts, novel: int | None) -> float:
    tests = []
    if (known := _known_p_value(reference, window)) is not None:
        tests.append(known)
    if novel is not None:
        tests.append(novel_p_value(novel, int(window.sum()) + novel, int(reference.sum())))
    return min(1.0, len(tests) * min(tests)) if tests else 1.0


def _known_p_value(reference: Counts, window: Counts) -> float | None:
    n, m = int(window.sum()), int(reference.sum())
    if n == 0:
        return None
    pools = _pools(reference, n, m)
    if len(pools) < 2:
        return None
    expected = np.add.reduceat(reference, pools) / m
    statistic = float(_terms(expected, np.add.reduceat(window, pools), n).sum()) / (1.0 / n + 1.0 / m)
    return float(chdtrc(len(pools) - 1, max(statistic, 0.0)))


def _pools(reference: Counts, n: int, m: int) -> list[int]:
    """First bin of each pool."""
    starts: list[int] = []
    begin, pooled = 0, 0
    for at, rows in enumerate(reference.tolist()):
        pooled += rows
        if n * pooled >= LEAST_EXPECTED * m:  # in whole rows, so that no rounding moves a border
            starts.append(begin)
            begin, pooled = at + 1, 0
    return starts


@lru_cache(maxsize=1024)
def _chi2_p95(degrees: int) -> float:
    return float(chdtri(degrees, 0.05)) if degrees > 0 else 0.0
