"""Pairs of a prediction and its label, of one model, into the panes of label time.

A pair counts at its first label's time in the overall series and every segment of its prediction.  The deadline
ledger (+1 at a prediction's last possible label time, −1 when it is joined) makes expired and pending exact sums,
with no sweep over waiting predictions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from stream_monitor.events.policy import OutcomePolicy, Task
from stream_monitor.join.entry import LabelRecord, Pair, PredictionRecord
from stream_monitor.join.policy import JoinPolicy
from stream_monitor.pipeline.book import PaneBook, PaneKey, Segment, segments_of
from stream_monitor.pipeline.policy import ModelPolicy
from stream_monitor.reference.profile import Profile
from stream_monitor.sketches.bottom_k import Sample
from stream_monitor.sketches.hashing import hash64
from stream_monitor.sketches.pane import LabelPane
from stream_monitor.sketches.score_counts import DEFAULT_SCORE_EDGES, UNIFORM_SCHEMA_ID


class _Row(NamedTuple):
    prediction_id: str
    pair: Pair


class LabelFolder:
    """Folds pairs and ledger entries of one model into a book."""

    def __init__(self, policy: ModelPolicy, join: JoinPolicy, profile: Profile | None) -> None:
        self._policy = policy
        self._join = join
        self._granule_ms = join.granule_ms(policy.pane_ms)
        self._classes = frozenset(policy.outcome.classes or (profile.classes if profile else ()))
        self._schema_id = UNIFORM_SCHEMA_ID if profile is None or not profile.score_edges else profile.schema_id
        edges = {} if profile is None else profile.score_edges
        self._edges = {name: np.array(values) for name, values in edges.items()}
        self._default_edges = np.array(DEFAULT_SCORE_EDGES)

    def expect(self, records: Iterable[PredictionRecord], step: int, book: PaneBook) -> None:
        """Book `step` (+1: predicted, −1: joined) at the deadlines of predictions."""
        if self._join.join_window_ms is None:
            return
        ledger: Counter[tuple[str, Segment, int]] = Counter()
        for record in records:
            deadline = record.timestamp_ms + self._join.join_window_ms
            start = -(-deadline // self._granule_ms) * self._granule_ms
            for segment in segments_of(record.tags, self._policy.segments):
                ledger[record.version, segment, start] += step
        for (version, segment, start), total in ledger.items():
            book.labels(PaneKey(self._policy.name, version, segment, start)).deadlines += total

    def labels(self, moments: Iterable[tuple[int, int, int]], book: PaneBook) -> None:
        """Book (label time, labels, waiting) in the series of the model as a whole."""
        pane_ms = self._policy.pane_ms
        for at, labels, waiting in moments:
            pane = book.labels(PaneKey(self._policy.name, None, (), at - at % pane_ms))
            pane.labels += labels
            pane.waiting += waiting

    def pairs(self, ids: Sequence[str], pairs: Sequence[Pair], book: PaneBook) -> None:
        """Add pairs to the panes of their label's time."""
        grouped: dict[tuple[str, Segment, int], list[_Row]] = {}
        pane_ms = self._policy.pane_ms
        for prediction_id, pair in zip(ids, pairs, strict=True):
            record, at = pair.prediction, pair.label.timestamp_ms
            for segment in segments_of(record.tags, self._policy.segments):
                grouped.setdefault((record.version, segment, at - at % pane_ms), []).append(_Row(prediction_id, pair))
        for (version, segment, start), rows in grouped.items():
            self._add(book.labels(PaneKey(self._policy.name, version, segment, start)), rows)
        self.expect((p.prediction for p in pairs if p.label.carries is None), -1, book)

    def _add(self, pane: LabelPane, rows: list[_Row]) -> None:
        pane.joined += len(rows)
        pane.add_delays(
            np.fromiter(
                ((r.pair.label.timestamp_ms - r.pair.prediction.timestamp_ms) / 1000 for r in rows),
                np.float64,
                len(rows),
            )
        )
        if self._policy.outcome.task is Task.REGRESSION:
            self._add_values(pane, rows)
        else:
            self._add_classes(pane, rows)

    def _add_values(self, pane: LabelPane, rows: list[_Row]) -> None:
        scored = [r for r in rows if r.pair.prediction.value is not None and r.pair.label.value is not None]
        actual = np.array([r.pair.label.value for r in scored], np.float64)
        forecast = np.array([r.pair.prediction.value for r in scored], np.float64)
        usable = np.isfinite(actual) & np.isfinite(forecast)
        pane.add_values(actual[usable], forecast[usable])
        residuals = actual - forecast
        pane.add_sample(
            [
                _sample(row, abs(residual), row.pair.prediction.value, residual)
                for row, residual, ok in zip(scored, residuals.tolist(), usable.tolist(), strict=True)
                if ok
            ]
        )

    def _add_classes(self, pane: LabelPane, rows: list[_Row]) -> None:
        known = [row for row in rows if self._is_known(row.pair)]
        pane.unknown_class += len(rows) - len(known)
        labelled = [r for r in known if r.pair.prediction.label is not None]
        pane.add_confusion([(r.pair.label.label or "", r.pair.prediction.label or "") for r in labelled])
        for class_ in self._scored_classes(known):
            scored = [(s, r) for r in known if (s := _score(r.pair.prediction, class_, self._policy.outcome)) is not None]
            if scored:
                pane.add_scores(
                    self._schema_id,
                    class_,
                    np.fromiter((s for s, _ in scored), np.float64, len(scored)),
                    np.fromiter((r.pair.label.label == class_ for _, r in scored), np.bool_, len(scored)),
                    self._edges.get(class_, self._default_edges),
                )
        pane.add_sample(
            [_sample(r, float(r.pair.label.label != r.pair.prediction.label), r.pair.prediction.score, None) for r in labelled]
        )

    def _is_known(self, pair: Pair) -> bool:
        actual, forecast = pair.label.label, pair.prediction.label
        if actual is None:
            return False
        return not self._classes or (actual in self._classes and (forecast is None or forecast in self._classes))

    def _scored_classes(self, rows: list[_Row]) -> list[str]:
        outcome = self._policy.outcome
        if outcome.task is Task.BINARY:
            return [outcome.positive_class] if outcome.positive_class is not None else []
        found = {name for row in rows for name in row.pair.prediction.scores or ()}
        return sorted(found & self._classes if self._classes else found)


def _score(record: PredictionRecord, class_: str, outcome: OutcomePolicy) -> float | None:
    score = record.score if outcome.task is Task.BINARY else (record.scores or {}).get(class_)
    return score if score is not None and np.isfinite(score) else None


def _sample(row: _Row, error: float, score: float | None, residual: float | None) -> Sample:
    label: LabelRecord = row.pair.label
    return Sample(hash64(row.prediction_id), label.timestamp_ms, row.prediction_id, error, score, residual)
