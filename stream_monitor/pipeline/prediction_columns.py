"""Predictions of one model as columns, gathered from decoded rows a few hundred at a time.

A decoded row is some thirty small objects. Taking its columns and letting it go before the next few hundred are decoded
keeps them in the processor's cache: 0.6 µs an event, a sixth of all ingest does with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_monitor.events.columns import FeatureColumns, FeatureLayout, feature_columns, raw_features
from stream_monitor.events.prediction import PredictionBody, PredictionRow

ROWS_AT_ONCE: Final = 512


class PredictionColumns:
    """Columns of equal length, in the order of the batch.

    `places`: of the events in their batch; `moments`: event times, ms; `latencies`: seconds, NaN where there is none.
    `tags` and `ids` are gathered where somebody needs them, features as `layout` says or, before there is one, raw.
    """

    def __init__(self, layout: FeatureLayout | None, *, raw: bool, tags: bool, ids: bool) -> None:
        self.places: list[int] = []
        self.versions: list[str] = []
        self.bodies: list[PredictionBody] = []
        self.tags: list[dict[str, str] | None] = []
        self.ids: list[str] = []
        self._layout, self._wants = layout, (raw, tags, ids)
        self._latencies: list[float | None] = []
        self._moments: list[NDArray[np.int64]] = []
        self._features: list[FeatureColumns] = []
        self._raw: list[dict[str, object]] = []

    def __len__(self) -> int:
        return len(self.places)

    def add(self, rows: Sequence[PredictionRow], moments: NDArray[np.int64], places: Sequence[int]) -> None:
        raw, tags, ids = self._wants
        self.places.extend(places)
        self._moments.append(moments)
        self.versions.extend([row.model_version for row in rows])
        self.bodies.extend([row.prediction for row in rows])
        self._latencies.extend([row.latency_seconds for row in rows])
        if self._layout is not None:
            self._features.append(feature_columns([row.features for row in rows], self._layout))
        elif raw:
            self._raw.extend([row.features for row in rows])
        if tags:
            self.tags.extend([row.tags for row in rows])
        if ids:
            self.ids.extend([row.prediction_id for row in rows])

    @property
    def moments(self) -> NDArray[np.int64]:
        return np.concatenate(self._moments)

    @property
    def latencies(self) -> NDArray[np.float64]:
        return np.array(self._latencies, np.float64)  # None becomes NaN

    @property
    def features(self) -> FeatureColumns:
        parts = self._features
        if len(parts) == 1:
            return parts[0]
        columns = zip(*(part.categorical for part in parts), strict=True)
        categorical = tuple([value for some in column for value in some] for column in columns)
        return FeatureColumns(np.concatenate([part.numeric for part in parts], axis=1), categorical)

    @property
    def raw(self) -> dict[str, list[object]]:
        return raw_features(self._raw)

    def keep(self, places: NDArray[np.intp]) -> None:
        """Let go of all rows but these."""
        kept = places.tolist()
        if self._layout is not None:
            features = self.features
            categorical = tuple([column[i] for i in kept] for column in features.categorical)
            self._features = [FeatureColumns(features.numeric[:, places], categorical)]
        self._moments = [self.moments[places]]
        self.places, self.versions, self.bodies = (
            [self.places[i] for i in kept],
            [self.versions[i] for i in kept],
            [self.bodies[i] for i in kept],
        )
        self._latencies = [self._latencies[i] for i in kept]
        self._raw = [self._raw[i] for i in kept] if self._raw else []
        self.tags = [self.tags[i] for i in kept] if self.tags else []
        self.ids = [self.ids[i] for i in kept] if self.ids else []
