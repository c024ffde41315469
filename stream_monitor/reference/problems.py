"""What can be wrong with a feature of a profile that has the right fields. Sentences, no exceptions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from stream_monitor.reference.features import CategoricalFeature, Feature, NumericFeature


def feature_problems(feature: Feature) -> list[str]:
    """One sentence for each rule that the feature breaks."""
    found = list(_numeric(feature) if isinstance(feature, NumericFeature) else _categorical(feature))
    if min(*feature.counts, feature.missing, feature.invalid, feature.n, 0) < 0:
        found.append("counts must not be negative")
    return [f"feature {feature.name!r}: {problem}" for problem in found]


def _numeric(feature: NumericFeature) -> Iterator[str]:
    edges = feature.edges
    if not all(map(math.isfinite, edges)) or any(a >= b for a, b in pairwise(edges)):
        yield "edges must be finite and strictly increasing"
    if len(feature.counts) != len(edges) + 1:
        yield f"{len(edges)} edges make {len(edges) + 1} bins, found {len(feature.counts)} counts"
    if sum(feature.counts) != feature.n:
        yield f"counts sum to {sum(feature.counts)}, n is {feature.n}"
    if not _are_groups(feature.psi_groups, len(feature.counts)):
        yield "psi_groups must be increasing half-open ranges of bins that do not overlap"


def _categorical(feature: CategoricalFeature) -> Iterator[str]:
    if len(feature.counts) != len(feature.categories):
        yield f"{len(feature.categories)} categories, but {len(feature.counts)} counts"
    if len(set(feature.categories)) != len(feature.categories):
        yield "categories must differ"
    if sum(feature.counts) + feature.other != feature.n or feature.other < 0:
        yield f"counts and other sum to {sum(feature.counts) + feature.other}, n is {feature.n}"
    if not _are_groups(feature.psi_groups, len(feature.categories) + 1):
        yield "psi_groups must be increasing half-open ranges of categories that do not overlap"


def _are_groups(groups: Sequence[tuple[int, int]], size: int) -> bool:
    flat = [bound for group in groups for bound in group]
    bounds = [0, *flat, size]
    return all(a <= b for a, b in pairwise(bounds)) and all(a < b for a, b in groups)
