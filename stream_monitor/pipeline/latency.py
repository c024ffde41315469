"""Increments of the classic Prometheus histograms: seconds on fixed bounds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BOUNDS_SECONDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    *(60.0, 600.0, 3_600.0, 21_600.0, 86_400.0, 604_800.0),
)
_MOST = 1e12  # as in the sketches; a sum of absurd values must stay finite
_EDGES = np.array(BOUNDS_SECONDS)


class LatencyCounts:
    """`counts[i]`: values in (bounds[i−1], bounds[i]]; the last: above all bounds. NaN and infinities are skipped."""

    def __init__(self) -> None:
        self.counts = np.zeros(len(BOUNDS_SECONDS) + 1, np.int64)
        self.sum = 0.0

    def add(self, seconds: NDArray[np.float64]) -> None:
        known = np.minimum(seconds[np.isfinite(seconds)], _MOST)
        self.counts += np.bincount(_EDGES.searchsorted(known, side="left"), minlength=len(self.counts))
        self.sum += float(known.sum())
