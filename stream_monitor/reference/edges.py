"""Where bins begin and end: frozen edges from a reference's weighted values, and the groups of them for PSI.

Works on atoms, runs [start, end) of values that cannot be told apart, in increasing order with their weight:
exact values (end = the next float) for training data, sketch bins for bootstrapped ones. Vectorised but for
loops over bins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

FINE_BINS: Final = 80
PSI_GROUPS: Final = 10
DISCRETE_VALUES: Final = 20
SCORE_BINS: Final = 256
SMALLEST_GROUP: Final = 5
"""Reference rows: below five a bin's expected share is mostly noise (Cochran 1954), so it joins a neighbour."""

Floats = NDArray[np.float64]
Group = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Atoms:
    """Increasing, not overlapping runs of values with positive weights."""

    starts: Floats
    ends: Floats
    weights: Floats

    @staticmethod
    def of_values(values: Floats, weights: Floats | None = None) -> Atoms:
        """Exact values: each distinct one is an atom, its weight the number (or sum of weights) of its rows."""
        distinct, inverse, counts = np.unique(values + 0.0, return_inverse=True, return_counts=True)
        total = counts if weights is None else np.bincount(inverse, weights=weights, minlength=len(distinct))
        return Atoms.of_distinct(distinct, total.astype(np.float64))

    @staticmethod
    def of_distinct(distinct: Floats, weights: Floats) -> Atoms:
        return Atoms(distinct, next_up(distinct), weights)


def next_up(values: Floats) -> Floats:
    """The next float above each value; infinity above the largest one, which is no mistake here."""
    with np.errstate(over="ignore", under="ignore"):
        return np.nextafter(values, np.inf)


def inner_edges(atoms: Atoms, bins: int) -> list[float]:
    """Edges that cut the atoms into about `bins` bins of equal weight; an atom with more than its share of
    weight has a bin of its own. Strictly increasing, all above the first start and at most the last start or,
    behind a heavy last atom, its end. A heavy atom can leave light bins beside it, so up to 2·bins result."""
    share = float(atoms.weights.sum()) / bins
    heavy = atoms.weights > share
    cuts: set[float] = {*atoms.starts[heavy].tolist(), *atoms.ends[heavy].tolist()}
    bounds = np.flatnonzero(np.diff(heavy.astype(np.int8), prepend=1, append=1))
    for low, high in zip(bounds[::2].tolist(), bounds[1::2].tolist(), strict=True):  # runs of light atoms
        cumulative = np.cumsum(atoms.weights[low:high])
        parts = max(1, round(float(cumulative[-1]) / share))
        targets = cumulative[-1] * np.arange(1, parts) / parts
        at = low + 1 + cumulative.searchsorted(targets)
        cuts.update(atoms.starts[at[at < high]].tolist())
    return sorted(cut for cut in cuts if cut > atoms.starts[0])


def fine_edges(atoms: Atoms, minimum: float, maximum: float) -> tuple[float, ...]:
    """Edges of a feature's fine bins. The outer two bound [minimum, maximum], so the first and last bin hold
    exactly what is out of the reference's range."""
    if is_discrete(atoms):
        inner = [*atoms.starts.tolist(), *atoms.ends.tolist()]
    else:
        inner = [edge for edge in inner_edges(atoms, FINE_BINS) if minimum < edge <= maximum]
    edges = {minimum, *inner, math.nextafter(maximum, math.inf)}
    return tuple(sorted(edge for edge in edges if edge != np.inf))


def is_discrete(atoms: Atoms) -> bool:
    """At most 20 values, each known exactly."""
    single = next_up(atoms.starts) >= atoms.ends
    return len(atoms.starts) <= DISCRETE_VALUES and bool(single.all())


def score_bin_edges(atoms: Atoms) -> tuple[float, ...]:
    """At most 255 inner edges for scores; fewer bins are asked for until heavy atoms fit in."""
    bins = SCORE_BINS
    while len(edges := [edge for edge in inner_edges(atoms, bins) if edge != np.inf]) >= SCORE_BINS:
        bins = bins * 9 // 10
    return tuple(edges)


def psi_groups(counts: NDArray[np.int64], discrete: bool) -> tuple[Group, ...]:
    """Groups of fine bins: ten quantile groups, or one per value of a discrete feature, small ones merged."""
    if counts.sum() == 0:
        return ()
    if discrete:
        groups = [(int(i), int(i) + 1) for i in np.flatnonzero(counts)]
    else:
        cumulative = np.concatenate(([0], np.cumsum(counts)))
        targets = cumulative[-1] * np.arange(1, PSI_GROUPS) / PSI_GROUPS
        nearest = {int(np.abs(cumulative - target).argmin()) for target in targets}
        bounds = sorted({0, *nearest, len(counts)})
        groups = list(pairwise(bounds))
    return merged_groups(groups, counts)


def merged_groups(groups: list[Group], counts: NDArray[np.int64]) -> tuple[Group, ...]:
    """Groups with fewer than five reference rows, smallest first, join their smaller neighbour."""
    left = list(groups)
    sizes = [int(counts[low:high].sum()) for low, high in left]
    while len(left) > 1 and min(sizes) < SMALLEST_GROUP:
        i = sizes.index(min(sizes))
        right = i == 0 or (i + 1 < len(left) and sizes[i + 1] < sizes[i - 1])
        first = i if right else i - 1
        left[first : first + 2] = [(left[first][0], left[first + 1][1])]
        sizes[first : first + 2] = [sizes[first] + sizes[first + 1]]
    return tuple(left)
