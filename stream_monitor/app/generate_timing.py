"""How long after its moment each record is sent, drawn for a block of rows at once. Pure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_monitor.app.generate_world import BLOCK

_TIMING = 1  # keeps the draws of times apart from those of rows


class Timing(NamedTuple):
    """Of each row of a block, in ms: the prediction's way, its repeat's further way (-1: none), the time until the
    label is known (-1: no label), the label's way."""

    sent: NDArray[np.int64]
    repeated: NDArray[np.int64]
    labelled: NDArray[np.int64]
    label_sent: NDArray[np.int64]


def draw_timing(
    seed: int,
    block: int,
    *,
    out_of_order_ms: int,
    duplicate_share: float,
    label_delay_ms: int | None,
    label_share: float,
) -> Timing:
    """Ways are shorter than `out_of_order_ms`; label delays lie from half to twice of `label_delay_ms`, the median."""
    draw = np.random.default_rng([seed, _TIMING, block])
    sent, again, label_sent = (draw.random((3, BLOCK)) * out_of_order_ms).astype(np.int64)
    # Skewed as real delays are: half of them below the median, none beyond twice of it.
    delay = (2.0 ** draw.uniform(-1, 1, BLOCK) * (label_delay_ms or 0)).astype(np.int64)
    repeated = draw.random(BLOCK) < duplicate_share
    labelled = (draw.random(BLOCK) < label_share) & (label_delay_ms is not None)
    return Timing(sent, np.where(repeated, again, -1), np.where(labelled, delay, -1), label_sent)
