"""Predictions and labels of one model against the join overlay: from decoded rows to the columns that join/ takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_monitor.events.label import LabelEvent
from stream_monitor.events.outcome import actual_class, predicted
from stream_monitor.events.policy import OutcomePolicy
from stream_monitor.events.prediction import UNKNOWN_VERSION
from stream_monitor.join import batch
from stream_monitor.join.batch import Effects, Places, at_places
from stream_monitor.join.entry import PredictionRecord
from stream_monitor.join.overlay import Overlay
from stream_monitor.join.packed import LABEL, NO_DEADLINE, PREDICTION, truth_bytes, who_bytes
from stream_monitor.pipeline.policy import ModelPolicy
from stream_monitor.pipeline.prediction_columns import PredictionColumns

_MEMO_LIMIT: Final = 10_000


class Joining:
    """The two sides of one model's join. Holds no events: only how to write what many of them have in common."""

    def __init__(self, policy: ModelPolicy) -> None:
        assert policy.join is not None
        self._policy = policy
        self._join = policy.join
        self._tags = sorted({name for combination in policy.segments for name in combination})
        self._whos = _Whos(self._tags)
        self._truths = _Truths(policy.outcome)

    def predictions(
        self,
        overlay: Overlay,
        rows: PredictionColumns,
        partitions: Sequence[int],
        offsets: Sequence[int],
    ) -> Effects:
        """Rows in the order of their partitions; places in what comes back are those of `rows`."""
        columns = np.empty(len(rows), PREDICTION)
        timestamps, says = rows.moments, rows.says
        columns["ms"], columns["offset"], columns["score"] = timestamps, offsets, says.scores
        columns["value"] = says.values
        deadlines = self._join.deadline_ms(timestamps, self._policy.pane_ms)
        columns["deadline"] = NO_DEADLINE if deadlines is None else deadlines
        tags: Iterable[dict[str, str] | None] = rows.tags if self._tags else repeat(None, len(rows))
        if says.by_class is None and not self._tags:
            whos = list(map(self._whos.__getitem__, zip(rows.versions, says.labels, repeat(()), strict=False)))
        elif says.by_class is None:
            whos = list(map(self._whos.of, rows.versions, says.labels, tags))
        else:
            whos = list(map(self._whos.with_scores, rows.versions, says.labels, tags, says.by_class))
        keys = _keys(self._policy.name, rows.ids)
        effects = Effects()
        for partition, places in _by_partition(partitions):
            mine = at_places(keys, places), columns[places], at_places(whos, places)
            batch.join_predictions(overlay, self._join, partition, at_places(range(len(rows)), places), *mine, effects)
        return effects

    def labels(
        self,
        overlay: Overlay,
        rows: Sequence[LabelEvent],
        timestamps: NDArray[np.int64],
        partitions: Sequence[int],
        offsets: Sequence[int],
    ) -> Effects:
        """As `predictions`."""
        bodies = [row.actual for row in rows]
        columns = np.empty(len(rows), LABEL)
        columns["ms"], columns["offset"] = timestamps, offsets
        columns["value"] = [body.value for body in bodies]
        truths = [self._truths[type(body.label), body.label] for body in bodies]
        carried = {
            i: self._carried(row, int(timestamps[i]), offsets[i])
            for i, row in enumerate(rows)
            if row.prediction is not None
        }
        keys = _keys(self._policy.name, [row.prediction_id for row in rows])
        effects = Effects()
        for partition, places in _by_partition(partitions):
            mine = at_places(keys, places), columns[places], at_places(truths, places)
            batch.join_labels(
                overlay, self._join, partition, at_places(range(len(rows)), places), *mine, carried, effects
            )
        return effects

    def _carried(self, row: LabelEvent, timestamp_ms: int, offset: int) -> PredictionRecord:
        assert row.prediction is not None
        at = row.prediction_timestamp if isinstance(row.prediction_timestamp, int) else timestamp_ms
        says = predicted(row.prediction, self._policy.outcome)
        tags = _kept(row.tags, self._tags)
        version = row.model_version or UNKNOWN_VERSION
        return PredictionRecord(version, at, says.label, says.score, says.value, says.scores, tags, offset)


class _Whos(dict[tuple[str, str | None, tuple[str | None, ...]], bytes]):
    """The bytes of version, label and kept tags, remembered up to a limit: few of them differ."""

    def __init__(self, tags: Sequence[str]) -> None:
        super().__init__()
        self._tags = tags

    def of(self, version: str, label: str | None, tags: dict[str, str] | None) -> bytes:
        values = tuple([tags.get(name) for name in self._tags]) if tags else ()
        return self[version, label, values]

    def with_scores(
        self, version: str, label: str | None, tags: dict[str, str] | None, scores: dict[str, float] | None
    ) -> bytes:
        if scores is None:
            return self.of(version, label, tags)
        return who_bytes(version, label, scores, _kept(tags, self._tags))

    def __missing__(self, key: tuple[str, str | None, tuple[str | None, ...]]) -> bytes:
        version, label, values = key
        tags = {name: value for name, value in zip(self._tags, values, strict=False) if value is not None}
        made = who_bytes(version, label, None, tags)
        if len(self) < _MEMO_LIMIT:
            self[key] = made
        return made


class _Truths(dict[tuple[type, str | float | bool | None], bytes]):
    """The bytes of a label's canonical class, by what the event said; with its type, since 1 equals True."""

    def __init__(self, outcome: OutcomePolicy) -> None:
        super().__init__()
        self._outcome = outcome

    def __missing__(self, key: tuple[type, str | float | bool | None]) -> bytes:
        made = truth_bytes(actual_class(key[1], self._outcome))
        if len(self) < _MEMO_LIMIT:
            self[key] = made
        return made


def _keys(model: str, prediction_ids: Sequence[str]) -> list[bytes]:
    prefix = f"{model}\0"
    return [(prefix + each).encode() for each in prediction_ids]


def _kept(tags: dict[str, str] | None, names: Sequence[str]) -> dict[str, str]:
    found = tags or {}
    return {name: found[name] for name in names if name in found}


def _by_partition(partitions: Sequence[int]) -> Iterator[tuple[int, Places]]:
    found = set(partitions)
    where = np.array(partitions, np.intp)
    for partition in found:
        yield partition, np.flatnonzero(where == partition)
