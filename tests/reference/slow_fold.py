"""Oracle: a window's slots of one feature folded into its groups, as the profile's format describes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_monitor.reference.features import CategoricalFeature, Feature


@dataclass(frozen=True, slots=True)
class Folded:
    """A window's counts: one per PsiBin, then what the reference lacks, what is outside its range, what is absent."""

    groups: NDArray[np.int64]
    novel: int  # discrete: values the reference lacks; categorical: unseen; continuous: always 0
    out_of_range: int  # numeric, below minimum or above maximum; counted in groups or novel too
    missing: int
    invalid: int


def fold(feature: Feature, slots: NDArray[np.int64]) -> Folded:
    """`slots`: the feature's slice of a counts vector (BinLayout.slice)."""
    if isinstance(feature, CategoricalFeature):
        valid = slots[:-3]
        groups = [int(valid[low:high].sum()) for low, high in feature.psi_groups]
        novel = int(slots[-3]) + int(valid.sum()) - sum(groups)
        return Folded(np.array(groups, np.int64), novel, 0, int(slots[-2]), int(slots[-1]))
    valid = slots[:-2]
    seen = valid * (np.array(feature.counts) > 0) if feature.discrete else valid
    groups = [int(seen[low:high].sum()) for low, high in feature.psi_groups]
    outside = 0
    if feature.minimum is not None and feature.maximum is not None:
        # A maximum that is the largest float has no edge above it, and nothing finite lies beyond it.
        outside = int(valid[0]) + (int(valid[-1]) if feature.edges[-1] > feature.maximum else 0)
    novel = int(valid.sum()) - sum(groups)
    return Folded(np.array(groups, np.int64), novel, outside, int(slots[-2]), int(slots[-1]))
