"""What of a stream has been handed out so far, as counts and as a line for people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stream_monitor.app.generate import LABEL, PREDICTION, REPEAT, Batch, StreamPolicy


@dataclass(slots=True)
class Sent:
    """Records so far; `predictions` without the repeats. `newest_ms`: event time."""

    predictions: int = 0
    repeats: int = 0
    labels: int = 0
    newest_ms: int = 0

    @property
    def records(self) -> int:
        return self.predictions + self.repeats + self.labels

    def count(self, batch: Batch, first: int | None = None) -> None:
        """The first so many of a batch; null: all of it."""
        kinds = np.bincount(batch.kinds[:first], minlength=3)
        self.predictions += int(kinds[PREDICTION])
        self.repeats += int(kinds[REPEAT])
        self.labels += int(kinds[LABEL])
        self.newest_ms = int(batch.event_ms[:first].max(initial=self.newest_ms))


def sent_line(sent: Sent, policy: StreamPolicy, start_ms: int) -> str:
    """The counts so far in one line."""
    phase = policy.phase(max(0, sent.newest_ms - start_ms))
    shifted = " and ".join(sorted({name for world in policy.worlds for name in world.shifted_features}))
    changes = [f"{shifted} shifted"] * phase.shifted + ["concept drifted"] * phase.drifted
    of_all = "" if policy.events is None else f" of {policy.events:,}"
    counts = f"{sent.predictions:,}{of_all} predictions, {sent.repeats:,} of them sent twice, {sent.labels:,} labels"
    return f"{counts}; now {', '.join(changes) or 'calm'}"
