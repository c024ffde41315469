"""Predictions of one model as columns, gathered from a thousand decoded rows at a time.

A decoded row is some thirty small objects. Taking its columns and letting it go before the next thousand are decoded
keeps them in the processor's cache, as it does the features' values while they are looked up in their bins: together
0.8 µs an event, a fifth of all that ingest does with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_monitor.events.columns import FeatureLayout, feature_columns, raw_features
from stream_monitor.events.outcome import PredictedColumns, output_column, predicted_columns
from stream_monitor.events.policy import OutcomePolicy
from stream_monitor.events.prediction import PredictionRow
from stream_monitor.sketches.bins import BinCounter

ROWS_AT_ONCE: Final = 1_024
_WORTH_TAKING: Final = 512


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is taken of each row: slots of `counter` for features of `layout` and the output, or, before there is a
    profile, `raw` features; `tags`; `says` and ids for the join."""

    outcome: OutcomePolicy
    layout: FeatureLayout | None
    counter: BinCounter | None
    raw: bool
    tags: bool
    joined: bool


class PredictionColumns:
    """Columns of equal length, in the order of the batch.

    `places`: of the events in their batch; `moments`: event times, ms; `latencies`: seconds, NaN where there is none.
    """

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._rows: list[PredictionRow] = []
        self.places: list[int] = []
        self.versions: list[str] = []
        self.tags: list[dict[str, str] | None] = []
        self.ids: list[str] = []
        self._latencies: list[float | None] = []
        self._moments: list[NDArray[np.int64]] = []
        self._codes: list[NDArray[np.intp]] = []
        self._says: list[PredictedColumns] = []
        self._raw: list[dict[str, object]] = []
        self._raw_outputs: list[object] = []

    def __len__(self) -> int:
        return len(self.places)

    def add(self, rows: Sequence[PredictionRow], moments: NDArray[np.int64], places: Sequence[int]) -> None:
        """Rows of the batch, in its order. After the last of them comes `finish`."""
        self.places.extend(places)
        self._moments.append(moments)
        self._rows.extend(rows)
        # Of many models in one stream each has few rows of a thousand: they wait, since columns have a price of their
        # own, however short they are.
        if len(self._rows) >= _WORTH_TAKING:
            self.finish()

    def finish(self) -> None:
        """Take the columns of rows that wait."""
        rows, self._rows = self._rows, []
        if not rows:
            return
        wanted = self._wanted
        self.versions.extend([row.model_version for row in rows])
        self._latencies.extend([row.latency_seconds for row in rows])
        bodies = [row.prediction for row in rows]
        if wanted.joined:
            says = predicted_columns(bodies, wanted.outcome)
            self._says.append(says)
            self.ids.extend([row.prediction_id for row in rows])
            output = says.output(wanted.outcome.task)
        else:
            output = output_column(bodies, wanted.outcome)
        features = [row.features for row in rows]
        if wanted.counter is not None and wanted.layout is not None:
            self._codes.append(wanted.counter.codes(feature_columns(features, wanted.layout), output))
        elif wanted.raw:
            self._raw.extend(features)
            known = output.tolist() if isinstance(output, np.ndarray) else output
            self._raw_outputs.extend([None if value != value else value for value in known])
        if wanted.tags:
            self.tags.extend([row.tags for row in rows])

    @property
    def moments(self) -> NDArray[np.int64]:
        return np.concatenate(self._moments)

    @property
    def latencies(self) -> NDArray[np.float64]:
        return np.array(self._latencies, np.float64)  # None becomes NaN

    @property
    def codes(self) -> NDArray[np.intp]:
        """The slots of each feature, for BinCounter.tally."""
        return np.concatenate(self._codes, axis=1)

    @property
    def says(self) -> PredictedColumns:
        return PredictedColumns.joined(self._says)

    @property
    def raw(self) -> tuple[dict[str, list[object]], list[object]]:
        """Columns of features before there is a profile, and the outputs."""
        return raw_features(self._raw), self._raw_outputs

    def keep(self, places: NDArray[np.intp]) -> None:
        """Let go of all rows but these."""
        kept = places.tolist()
        if self._codes:
            self._codes = [self.codes[:, places]]
        if self._says:
            self._says = [self.says.at(places)]
        self._moments = [self.moments[places]]
        for column in (self.places, self.versions, self.tags, self.ids, self._latencies, self._raw, self._raw_outputs):
            if column:
                column[:] = [column[i] for i in kept]
