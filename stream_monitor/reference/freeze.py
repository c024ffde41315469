"""From counts of a feature's values to a frozen feature; training and bootstrapped profiles share these rules.

Numeric: 80 fine bins by quantiles, points for heavy values, at most 20 distinct values make it discrete.
Categorical: categories of at least 0.5 % of the valid rows and five rows, at most 50, the others are `other`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from fractions import Fraction
from typing import Final

import numpy as np

from stream_monitor.reference.edges import (
    SMALLEST_GROUP,
    Atoms,
    fine_edges,
    is_discrete,
    merged_groups,
    psi_groups,
)
from stream_monitor.reference.features import CategoricalFeature, NumericFeature

CATEGORY_SHARE: Final = 0.005
CATEGORIES: Final = 50
OTHER_VALUES: Final = 1000
# A vocabulary is open where this many values occurred once and their rows are more than this share.
SINGLETONS: Final = 5
SINGLETON_SHARE: Final = 0.005
"""Rare values listed by hash; with more the vocabulary is open and none of them can be called unseen."""


def numeric_feature(
    name: str,
    atoms: Atoms,
    *,
    minimum: float,
    maximum: float,
    total: Fraction,
    squares: Fraction,
    missing: int,
    invalid: int,
) -> NumericFeature:
    """`atoms` weighted by rows, at least one; `total` and `squares` are the exact sums over the valid rows."""
    edges = fine_edges(atoms, minimum, maximum)
    # Edges lie between atoms, so where an atom starts tells where all of it falls.
    codes = np.searchsorted(edges, np.maximum(atoms.starts, minimum), side="right")
    rows = atoms.weights.astype(np.int64)
    counts = np.zeros(len(edges) + 1, np.int64)
    np.add.at(counts, codes, rows)
    n = int(rows.sum())
    mean = total / n
    discrete = is_discrete(atoms)
    return NumericFeature(
        name=name,
        edges=edges,
        counts=tuple(counts.tolist()),
        psi_groups=psi_groups(counts, discrete),
        discrete=discrete,
        missing=missing,
        invalid=invalid,
        n=n,
        mean=float(mean),
        sd=_root(squares / n - mean * mean),
        minimum=minimum,
        maximum=maximum,
    )


def empty_feature(name: str, missing: int, invalid: int) -> NumericFeature:
    """A feature without a valid row: every value to come is novel."""
    return NumericFeature(name, (), (0,), (), True, missing, invalid, 0, None, None, None, None)


def categorical_feature(
    name: str,
    counts: Mapping[str, int],
    hashes: Mapping[str, str] | None,
    *,
    missing: int,
    invalid: int,
    unlisted: int = 0,
) -> CategoricalFeature:
    """`counts` by text, or by hash (`hashes` None). `hashes`: text → hash. `unlisted`: valid rows whose values
    are not in `counts`, because a bounded sketch did not keep them."""
    n = sum(counts.values()) + unlisted
    least = max(CATEGORY_SHARE * n, SMALLEST_GROUP)
    ranked = sorted(counts, key=lambda value: (-counts[value], value))
    categories = [value for value in ranked[:CATEGORIES] if counts[value] >= least]
    rest = ranked[len(categories) :]
    open_vocabulary = unlisted > 0 or len(rest) > OTHER_VALUES or _is_heavy_tailed(counts, n)
    other_hashes = [] if open_vocabulary else [value if hashes is None else hashes[value] for value in rest]
    sizes = [counts[value] for value in categories]
    other = n - sum(sizes)
    groups = [(i, i + 1) for i in range(len(categories) + (other > 0))]
    return CategoricalFeature(
        name=name,
        categories=tuple(categories),
        counts=tuple(sizes),
        other=other,
        other_hashes=tuple(sorted(other_hashes)),
        open_vocabulary=open_vocabulary,
        hashed=hashes is None,
        psi_groups=merged_groups(groups, np.array([*sizes, other])),
        missing=missing,
        invalid=invalid,
        n=n,
    )


def _is_heavy_tailed(counts: Mapping[str, int], n: int) -> bool:
    """True if values that were never seen must be expected: by Good and Turing (1953) their share is about that of
    the rows whose value occurred once. To call them novel would be a false alarm in most windows."""
    singletons = sum(count == 1 for count in counts.values())
    return singletons >= SINGLETONS and singletons > SINGLETON_SHARE * n


def _root(variance: Fraction) -> float:
    # The variance of values near 1e300 or 1e-300 is beyond a float, its root is not.
    if variance <= 0:
        return 0.0
    shift = (variance.numerator.bit_length() - variance.denominator.bit_length()) // 2
    try:
        return math.ldexp(math.sqrt(variance / Fraction(4) ** shift), shift)
    except OverflowError:  # rounded up at the very end of the floats
        return sys.float_info.max
