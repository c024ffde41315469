"""What the join was told: how far a label may lie from its prediction, and how long duplicates are recognised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

MAX_LABELS_KEPT = 8  # differing labels remembered for one prediction_id: the first seven and the newest
Times = TypeVar("Times", int, NDArray[np.int64])  # one time, or a column of them; milliseconds
_GRANULES = 128  # expiry and deadline ledgers have about this many steps within one join window


@dataclass(frozen=True, slots=True)
class JoinPolicy:
    """`join_window_ms` None: labels are not joined, only duplicates within `deduplicate_ms` are recognised.

    `slack_ms` is how much longer than that an entry is kept for events that come out of order.
    """

    join_window_ms: int | None
    deduplicate_ms: int
    slack_ms: int = 3_600_000

    @property
    def keep_ms(self) -> int:
        return max(self.join_window_ms or 0, self.deduplicate_ms) + self.slack_ms

    def granule_ms(self, pane_ms: int) -> int:
        """Step of the deadline ledger: a whole number of panes, at least 1/128 of the join window."""
        return pane_ms * max(1, -(-(self.join_window_ms or 0) // (_GRANULES * pane_ms)))

    def deadline_ms(self, predicted_ms: Times, pane_ms: int) -> Times | None:
        """Step of the deadline ledger from which a prediction's label can no longer come; None where none is joined."""
        if self.join_window_ms is None:
            return None
        granule_ms = self.granule_ms(pane_ms)
        return -(-(predicted_ms + self.join_window_ms) // granule_ms) * granule_ms

    def expires_ms(self, newest_ms: Times) -> Times:
        """When an entry whose newest event is at `newest_ms` may be dropped, rounded up to a step of its life."""
        step = max(60_000, self.keep_ms // _GRANULES)
        return -(-(newest_ms + self.keep_ms) // step) * step
