"""Pairs of a prediction and its label, of one model, into the panes of label time.

A pair counts at its first label's time in the overall series and every segment of its prediction.  The deadline
ledger (+1 at a prediction's last possible label time, −1 when it is joined) makes expired and pending exact sums,
with no sweep over waiting predictions.  Pairs come as columns; what few distinct predictions have in common (`who`)
and few distinct truths are looked at once each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stream_monitor.events.outcome import known_classes
from stream_monitor.events.policy import Task
from stream_monitor.join.batch import Ledger, Moments, Pairs
from stream_monitor.join.packed import NO_DEADLINE, truth_of, who_of
from stream_monitor.pipeline.book import PaneBook, PaneKey, Segment, segments_of
from stream_monitor.pipeline.policy import ModelPolicy
from stream_monitor.reference.profile import Profile
from stream_monitor.sketches.bottom_k import BottomK, sample_hashes
from stream_monitor.sketches.confusion import Confusion
from stream_monitor.sketches.ddsketch import DDSketch
from stream_monitor.sketches.pane import LabelPane
from stream_monitor.sketches.regression import RegressionSums
from stream_monitor.sketches.score_counts import DEFAULT_SCORE_EDGES, UNIFORM_SCHEMA_ID, ScoreCounts

_UNIFORM = np.array(DEFAULT_SCORE_EDGES)
Places = NDArray[np.intp]


class LabelFolder:
    """Folds pairs and ledger entries of one model into a book."""

    def __init__(self, policy: ModelPolicy, profile: Profile | None) -> None:
        self._policy = policy
        self._classes = frozenset(known_classes(policy.outcome) or (profile.classes if profile else ()))
        self._profile = profile
        self._edges: dict[str, NDArray[np.float64]] = {}

    def expect(self, waits: Ledger, step: int, book: PaneBook) -> None:
        """Book `step` (+1: predicted, −1: joined) at the deadlines of predictions."""
        totals: Counter[tuple[str, Segment, int]] = Counter()
        for (who, deadline), count in Counter(zip(waits.whos, waits.deadlines, strict=True)).items():
            if deadline != NO_DEADLINE:
                whom = who_of(who)
                for segment in segments_of(whom.tags, self._policy.segments):
                    totals[whom.version, segment, deadline] += step * count
        for (version, segment, start), total in totals.items():
            book.labels(PaneKey(self._policy.name, version, segment, start)).deadlines += total

    def labels(self, moments: Moments, book: PaneBook) -> None:
        """Book labels, and the change of those that wait, in the series of the model as a whole."""
        starts, where = np.unique(moments.ms - moments.ms % self._policy.pane_ms, return_inverse=True)
        labels = np.bincount(where, weights=moments.labels).tolist()
        waiting = np.bincount(where, weights=moments.waiting).tolist()
        for start, came, change in zip(starts.tolist(), labels, waiting, strict=True):
            pane = book.labels(PaneKey(self._policy.name, None, (), start))
            pane.labels += int(came)
            pane.waiting += int(change)

    def pairs(self, ids: Sequence[str], pairs: Pairs, book: PaneBook) -> int:
        """Add pairs to the panes of their label's time; returns how many have a class that is not known.

        `ids`: the prediction_id of each pair.
        """
        columns = _Columns(ids, pairs, self._classes)
        pane_ms = self._policy.pane_ms
        starts, panes = np.unique(columns.label_ms - columns.label_ms % pane_ms, return_inverse=True)
        segments = [segments_of(who.tags, self._policy.segments) for who in columns.whos]
        for level in range(1 + len(self._policy.segments)):
            series: dict[tuple[str, Segment], int] = {}
            of_who = [
                series.setdefault((who.version, mine[level]), len(series))
                for who, mine in zip(columns.whos, segments, strict=True)
            ]
            groups = np.array(of_who, np.intp)[columns.who] * len(starts) + panes
            names = list(series)
            for group in np.unique(groups).tolist():
                (version, segment), start = names[group // len(starts)], int(starts[group % len(starts)])
                pane = book.labels(PaneKey(self._policy.name, version, segment, start))
                self._add(pane, start, columns, np.flatnonzero(groups == group))
        if self._policy.outcome.task is Task.REGRESSION:
            return 0
        return len(ids) - int(columns.known.sum())

    def _add(self, pane: LabelPane, start_ms: int, columns: _Columns, mine: Places) -> None:
        pane.joined += len(mine)
        if pane.delay is None:
            pane.delay = DDSketch()
        pane.delay.update((columns.label_ms[mine] - columns.predicted_ms[mine]) / 1000)
        if self._policy.outcome.task is Task.REGRESSION:
            self._add_values(pane, columns, mine)
        else:
            self._add_classes(pane, start_ms, columns, mine)

    def _add_values(self, pane: LabelPane, columns: _Columns, mine: Places) -> None:
        mine = mine[np.isfinite(columns.actual_value[mine]) & np.isfinite(columns.value[mine])]
        if not len(mine):
            return
        if pane.errors is None:
            pane.errors = RegressionSums()
        pane.errors.update(columns.actual_value[mine], columns.value[mine])
        residuals = columns.value - columns.actual_value
        _sample(pane, columns, mine, np.abs(residuals), columns.value, residuals)

    def _add_classes(self, pane: LabelPane, start_ms: int, columns: _Columns, mine: Places) -> None:
        known = mine[columns.known[mine]]
        pane.unknown_class += len(mine) - len(known)
        labelled = known[columns.forecast[known] != _NO_CLASS]
        if len(labelled):
            if pane.confusion is None:
                pane.confusion = Confusion()
            names = columns.classes
            pane.confusion.update(names[columns.actual[labelled]].tolist(), names[columns.forecast[labelled]].tolist())
            errors = (columns.actual != columns.forecast).astype(np.float64)
            _sample(pane, columns, labelled, errors, columns.score, None)
        for class_ in self._scored_classes(columns):
            self._add_scores(pane, start_ms, class_, columns, known)

    def _add_scores(self, pane: LabelPane, start_ms: int, class_: str, columns: _Columns, mine: Places) -> None:
        score = columns.score if self._policy.outcome.task is Task.BINARY else columns.score_of(class_)
        mine = mine[np.isfinite(score[mine])]
        if not len(mine):
            return
        schema_id, edges = self._bins(class_, start_ms)
        scores = pane.scores.get(schema_id)
        if scores is None:
            scores = pane.scores[schema_id] = ScoreCounts()
        scores.update(class_, score[mine], columns.classes[columns.actual[mine]] == class_, edges)

    def _bins(self, class_: str, start_ms: int) -> tuple[str, NDArray[np.float64]]:
        profile = self._profile
        in_force = profile is not None and (profile.effective_from is None or start_ms >= profile.effective_from)
        if profile is None or not in_force or not profile.score_edges:
            return UNIFORM_SCHEMA_ID, _UNIFORM
        edges = self._edges.get(class_)
        if edges is None:
            edges = self._edges[class_] = np.array(profile.edges_for(class_))
        return profile.schema_id, edges

    def _scored_classes(self, columns: _Columns) -> list[str]:
        outcome = self._policy.outcome
        if outcome.task is Task.BINARY:
            return [outcome.positive_class] if outcome.positive_class is not None else []
        found = {name for who in columns.whos for name in who.scores or ()}
        return sorted(found & self._classes if self._classes else found)


_NO_CLASS = -1


class _Columns:
    """Pairs as columns. `who` is a number in `whos`; `actual` and `forecast` are numbers in `classes`, or _NO_CLASS."""

    def __init__(self, ids: Sequence[str], pairs: Pairs, classes: frozenset[str]) -> None:
        self.ids = ids
        self.hashes = sample_hashes(ids)
        self.label_ms, self.predicted_ms = pairs.labels["ms"], pairs.predictions["ms"]
        self.score, self.value = pairs.predictions["score"], pairs.predictions["value"]
        self.actual_value = pairs.labels["value"]
        whos, self.who = _numbered(pairs.whos)
        self.whos = [who_of(each) for each in whos]
        truths, truth = _numbered(pairs.truths)
        named = [truth_of(each) for each in truths], [each.label for each in self.whos]
        names = sorted({name for column in named for name in column if name is not None})
        numbers = {name: i for i, name in enumerate(names)}
        actual, forecast = ([_NO_CLASS if name is None else numbers[name] for name in column] for column in named)
        self.classes = np.array(names, object)
        self.actual, self.forecast = np.array(actual, np.intp)[truth], np.array(forecast, np.intp)[self.who]
        fits_actual = [name is not None and (not classes or name in classes) for name in named[0]]
        fits_forecast = [name is None or not classes or name in classes for name in named[1]]
        self.known = np.array(fits_actual, np.bool_)[truth] & np.array(fits_forecast, np.bool_)[self.who]

    def score_of(self, class_: str) -> NDArray[np.float64]:
        """Scores of one class, NaN where there is none."""
        return np.array([(who.scores or {}).get(class_) for who in self.whos], np.float64)[self.who]


def _numbered(column: Sequence[bytes]) -> tuple[list[bytes], Places]:
    """The distinct items of a column, and which of them each is."""
    numbers = {item: i for i, item in enumerate(dict.fromkeys(column))}
    return list(numbers), np.fromiter(map(numbers.__getitem__, column), np.intp, len(column))


def _sample(
    pane: LabelPane,
    columns: _Columns,
    mine: Places,
    errors: NDArray[np.float64],
    scores: NDArray[np.float64],
    residuals: NDArray[np.float64] | None,
) -> None:
    if pane.sample is None:
        pane.sample = BottomK()
    mine = mine[pane.sample.candidates(columns.hashes[mine])]
    pane.sample.add_many(
        [columns.ids[i] for i in mine.tolist()],
        columns.label_ms[mine].tolist(),
        errors[mine].tolist(),
        scores[mine].tolist(),
        None if residuals is None else residuals[mine].tolist(),
    )
