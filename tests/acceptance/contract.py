"""The contract recomputed from raw rows with numpy, scipy and scikit-learn: slow, obvious, and none of our code.

Of what the monitor published only the bins' edges are used; which rows lie between them is counted here anew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
SMOOTHING = 5.0


@lru_cache(maxsize=100_000)
def rfc3339(ms: int) -> str:
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


def window_starts(ms: int, size_ms: int, slide_ms: int) -> list[int]:
    """Starts of all windows [start, start + size) that hold the moment; starts are multiples of the slide."""
    last = ms // slide_ms * slide_ms
    return [start for start in range(last, last - size_ms, -slide_ms) if start <= ms < start + size_ms]


def rows_in(low: float | None, high: float | None, label: str, values: Floats) -> int:
    """Rows of one published bin: a value of its own (=value), or [low, high) with open ends."""
    if label.startswith("="):
        return int((values == low).sum())
    return int(
        ((values >= (-math.inf if low is None else low)) & (values < (math.inf if high is None else high))).sum()
    )


def check_index(event: Mapping[str, Any], reference: Floats, window: Floats) -> None:
    """PSI or CSI of `window` against `reference`: value, bins, sample sizes, null band and p-value."""
    listed = event["bins"]
    novel_event = next((each for each in listed if each["bin"] == "novel"), None)
    known = [each for each in listed if each["bin"] != "novel"]
    m = np.array([rows_in(each["low"], each["high"], each["bin"], reference) for each in known])
    n = np.array([rows_in(each["low"], each["high"], each["bin"], window) for each in known])
    discrete = known[0]["bin"].startswith("=")
    big_m, big_n, novel = len(reference), len(window), int(len(window) - n.sum())
    assert m.sum() == big_m, "the bins hold every reference row once"
    assert m.min() >= 5, "no bin has fewer than 5 reference rows"
    assert discrete or novel == 0, "continuous bins hold every number"
    assert (event["n"], event["n_reference"]) == (big_n, big_m)
    assert [each["expected"] for each in known] == [count / big_m for count in m]
    assert [each["actual"] for each in known] == [count / big_n for count in n]
    assert (novel_event["actual"] if novel_event else 0.0) == novel / big_n

    e0 = 0.5 / (big_m + 1) if discrete else 0.0
    e = (1 - e0) * m / big_m
    a = (n + SMOOTHING * e) / (big_n + SMOOTHING)
    terms = list((a - e) * np.log(a / e))
    if novel:
        a0 = (novel + SMOOTHING * e0) / (big_n + SMOOTHING)
        terms.append((a0 - e0) * math.log(a0 / e0))
    assert abs(event["value"] - math.fsum(terms)) <= 1e-9
    contributions = [each["contribution"] for each in known] + ([novel_event["contribution"]] if novel_event else [])
    assert np.allclose(contributions, terms, rtol=0, atol=1e-9)

    scale, degrees = 1 / big_n + 1 / big_m, len(known) - 1
    assert abs(event["null_band"]["mean"] - scale * degrees) <= 1e-9
    p95 = scale * stats.chi2.ppf(0.95, degrees) if degrees else 0.0
    assert abs(event["null_band"]["p95"] - p95) <= 1e-9
    assert math.isclose(event["p_value"], p_value(m, n, novel if discrete else None), rel_tol=1e-6, abs_tol=1e-300)


def p_value(m: NDArray[np.int64], n: NDArray[np.int64], novel: int | None) -> float:
    """min(1, 2·min(χ² tail over the live bins, Fisher's exact test on the novel counts)), or the one there is."""
    tests = []
    total = int(n.sum())
    pools = _pools(m, total) if total else []
    if len(pools) > 1:
        e = np.array([m[pool].sum() for pool in pools]) / m.sum()
        a = (np.array([n[pool].sum() for pool in pools]) + SMOOTHING * e) / (total + SMOOTHING)
        statistic = float(((a - e) * np.log(a / e)).sum()) / (1 / total + 1 / m.sum())
        tests.append(stats.chi2.sf(statistic, len(pools) - 1))
    if novel is not None:
        table = [[novel, total], [0, int(m.sum())]]
        tests.append(stats.fisher_exact(table, alternative="greater").pvalue)
    return float(min(1.0, len(tests) * min(tests))) if tests else 1.0


def _pools(m: NDArray[np.int64], n: int) -> list[list[int]]:
    """Neighbours, from the left, until each pool expects 5 rows; a rest joins the last one."""
    pools: list[list[int]] = [[]]
    for i in range(len(m)):
        pools[-1].append(i)
        if n * m[pools[-1]].sum() >= 5 * m.sum():
            pools.append([])
    rest = pools.pop()
    if pools and rest:
        pools[-1].extend(rest)
    return pools


def lower_quantile(values: Sequence[float] | Floats, q: float) -> float:
    return float(np.quantile(np.asarray(values, np.float64), q, method="lower"))
