"""Pairs of a prediction and its label, of one model, into the panes of label time.

A pair counts at its first label's time in the overall series and every segment of its prediction.  The deadline
ledger (+1 at a prediction's last possible label time, −1 when it is joined) makes expired and pending exact sums,
with no sweep over waiting predictions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import isfinite
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_monitor.events.outcome import known_classes
from stream_monitor.events.policy import OutcomePolicy, Task
from stream_monitor.join.entry import Pair, PredictionRecord
from stream_monitor.pipeline.book import PaneBook, PaneKey, Segment, segments_of
from stream_monitor.pipeline.policy import ModelPolicy
from stream_monitor.reference.profile import Profile
from stream_monitor.sketches.bottom_k import BottomK
from stream_monitor.sketches.confusion import Confusion
from stream_monitor.sketches.ddsketch import DDSketch
from stream_monitor.sketches.pane import LabelPane
from stream_monitor.sketches.regression import RegressionSums
from stream_monitor.sketches.score_counts import DEFAULT_SCORE_EDGES, UNIFORM_SCHEMA_ID, ScoreCounts

_UNIFORM = np.array(DEFAULT_SCORE_EDGES)


class _Row(NamedTuple):
    prediction_id: str
    pair: Pair


class LabelFolder:
    """Folds pairs and ledger entries of one model into a book."""

    def __init__(self, policy: ModelPolicy, profile: Profile | None) -> None:
        self._policy = policy
        self._classes = frozenset(known_classes(policy.outcome) or (profile.classes if profile else ()))
        self._profile = profile
        self._edges = {} if profile is None else {name: np.array(e) for name, e in profile.score_edges.items()}

    def expect(self, records: Iterable[PredictionRecord], step: int, book: PaneBook) -> None:
        """Book `step` (+1: predicted, −1: joined) at the deadlines of predictions."""
        ledger: Counter[tuple[str, Segment, int]] = Counter()
        for record in records:
            start = record.deadline_ms
            if start is None:
                continue
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

    def pairs(self, ids: Sequence[str], pairs: Sequence[Pair], book: PaneBook) -> int:
        """Add pairs to the panes of their label's time; returns how many have a class that is not known."""
        grouped: dict[tuple[str, Segment, int], list[_Row]] = {}
        pane_ms = self._policy.pane_ms
        for prediction_id, pair in zip(ids, pairs, strict=True):
            record, at = pair.prediction, pair.label.timestamp_ms
            for segment in segments_of(record.tags, self._policy.segments):
                grouped.setdefault((record.version, segment, at - at % pane_ms), []).append(_Row(prediction_id, pair))
        for (version, segment, start), rows in grouped.items():
            self._add(book.labels(PaneKey(self._policy.name, version, segment, start)), start, rows)
        if self._policy.outcome.task is Task.REGRESSION:
            return 0
        return sum(not self._is_known(pair) for pair in pairs)

    def _add(self, pane: LabelPane, start_ms: int, rows: list[_Row]) -> None:
        pane.joined += len(rows)
        if pane.delay is None:
            pane.delay = DDSketch()
        delays = ((r.pair.label.timestamp_ms - r.pair.prediction.timestamp_ms) / 1000 for r in rows)
        pane.delay.update(np.fromiter(delays, np.float64, len(rows)))
        if self._policy.outcome.task is Task.REGRESSION:
            self._add_values(pane, rows)
        else:
            self._add_classes(pane, start_ms, rows)

    def _add_values(self, pane: LabelPane, rows: list[_Row]) -> None:
        scored = [row for row in rows if _has_values(row.pair)]
        if not scored:
            return
        if pane.errors is None:
            pane.errors = RegressionSums()
        actual = np.array([row.pair.label.value for row in scored], np.float64)
        forecast = np.array([row.pair.prediction.value for row in scored], np.float64)
        pane.errors.update(actual, forecast)
        residuals = (forecast - actual).tolist()
        _sample(pane, scored, [abs(x) for x in residuals], forecast.tolist(), residuals)

    def _add_classes(self, pane: LabelPane, start_ms: int, rows: list[_Row]) -> None:
        known = [row for row in rows if self._is_known(row.pair)]
        pane.unknown_class += len(rows) - len(known)
        labelled = [r for r in known if r.pair.prediction.label is not None]
        if labelled:
            if pane.confusion is None:
                pane.confusion = Confusion()
            actual = [str(r.pair.label.label) for r in labelled]
            forecast = [str(r.pair.prediction.label) for r in labelled]
            pane.confusion.update(actual, forecast)
            errors = [float(a != f) for a, f in zip(actual, forecast, strict=True)]
            _sample(pane, labelled, errors, [r.pair.prediction.score for r in labelled], None)
        for class_ in self._scored_classes(known):
            self._add_scores(pane, start_ms, class_, known)

    def _add_scores(self, pane: LabelPane, start_ms: int, class_: str, rows: list[_Row]) -> None:
        scored = [(s, r) for r in rows if (s := _score(r.pair.prediction, class_, self._policy.outcome)) is not None]
        if not scored:
            return
        schema_id, edges = self._bins(class_, start_ms)
        scores = pane.scores.get(schema_id)
        if scores is None:
            scores = pane.scores[schema_id] = ScoreCounts()
        scores.update(
            class_,
            np.fromiter((s for s, _ in scored), np.float64, len(scored)),
            np.fromiter((r.pair.label.label == class_ for _, r in scored), np.bool_, len(scored)),
            edges,
        )

    def _bins(self, class_: str, start_ms: int) -> tuple[str, NDArray[np.float64]]:
        profile = self._profile
        in_force = profile is not None and (profile.effective_from is None or start_ms >= profile.effective_from)
        if profile is None or not in_force or not self._edges:
            return UNIFORM_SCHEMA_ID, _UNIFORM
        return profile.schema_id, self._edges.get(class_, _UNIFORM)

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


def _has_values(pair: Pair) -> bool:
    actual, forecast = pair.label.value, pair.prediction.value
    return actual is not None and forecast is not None and isfinite(actual) and isfinite(forecast)


def _score(record: PredictionRecord, class_: str, outcome: OutcomePolicy) -> float | None:
    score = record.score if outcome.task is Task.BINARY else (record.scores or {}).get(class_)
    return score if score is not None and isfinite(score) else None


def _sample(
    pane: LabelPane,
    rows: list[_Row],
    errors: Sequence[float],
    scores: Sequence[float | None],
    residuals: Sequence[float] | None,
) -> None:
    if pane.sample is None:
        pane.sample = BottomK()
    moments = [row.pair.label.timestamp_ms for row in rows]
    pane.sample.add_many([row.prediction_id for row in rows], moments, errors, scores, residuals)
