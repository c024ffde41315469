"""A shelf of bytes holds what a dict of panes would."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from stream_monitor.pipeline.shelf import LabelShelf, PredictionShelf
from stream_monitor.sketches.pane import LabelPane, PredictionPane
from tests.sketches.subjects import add_labels, add_predictions, class_name, finite, raw_value, unit

STARTS = st.integers(0, 3)
PREDICTIONS = st.lists(
    st.tuples(st.sampled_from([None, "s1", "s2"]), raw_value, st.none() | st.floats(0, 100)), max_size=4
)
LABELS = st.lists(st.tuples(st.integers(0, 9), class_name, class_name, unit, finite), max_size=4)


class Shelves(RuleBasedStateMachine):
    """The oracle is a plain dict of panes that merge."""

    def __init__(self) -> None:
        super().__init__()
        self.predictions, self.labels = PredictionShelf(), LabelShelf()
        self.prediction_panes: dict[int, PredictionPane] = {}
        self.label_panes: dict[int, LabelPane] = {}

    @rule(start=STARTS, rows=PREDICTIONS)
    def predict(self, start: int, rows: list) -> None:
        delta = PredictionPane()
        add_predictions(delta, rows)
        self.predictions.add(start, self.predictions.read(delta.to_bytes()))
        self.prediction_panes.setdefault(start, PredictionPane()).merge(delta)

    @rule(start=STARTS, rows=LABELS)
    def label(self, start: int, rows: list) -> None:
        delta = LabelPane()
        add_labels(delta, rows)
        self.labels.add(start, self.labels.read(delta.to_bytes()))
        self.label_panes.setdefault(start, LabelPane()).merge(delta)

    @rule(start=STARTS)
    def write(self, start: int) -> None:
        pane = self.prediction_panes.get(start)
        assert self.predictions.record(start) == (None if pane is None else pane.to_bytes())
        labels = self.label_panes.get(start)
        assert self.labels.record(start) == (None if labels is None else labels.to_bytes())

    @rule(start=STARTS)
    def take_sample(self, start: int) -> None:
        pane = self.label_panes.get(start, LabelPane())
        sample, pane.sample = pane.sample, None
        taken = self.labels.take_sample(start)
        assert (None if taken is None else taken.to_bytes()) == (None if sample is None else sample.to_bytes())

    @rule(start=STARTS)
    def forget(self, start: int) -> None:
        self.predictions.forget(start)
        self.labels.forget(start)
        self.prediction_panes.pop(start, None)
        self.label_panes.pop(start, None)

    @rule(starts=st.sets(STARTS))
    def sum_up(self, starts: set[int]) -> None:
        whole, labels = PredictionPane(), LabelPane()
        for start in sorted(starts):
            whole.merge(self.prediction_panes.get(start, PredictionPane()))
            labels.merge(self.label_panes.get(start, LabelPane()))
        assert self.predictions.merged(starts).to_bytes() == whole.to_bytes()
        assert self.labels.merged(starts).to_bytes() == labels.to_bytes()

    @invariant()
    def holds_the_same_panes_and_counts(self) -> None:
        assert sorted(self.predictions) == sorted(self.prediction_panes)
        assert sorted(self.labels) == sorted(self.label_panes)
        assert len(self.labels) == len(self.label_panes)
        panes = self.label_panes.values()
        counts = sum(pane.joined for pane in panes), sum(pane.deadlines for pane in panes)
        assert self.labels.counts_of(range(4)) == counts
        for start, pane in self.label_panes.items():
            assert self.labels.counts_of([start]) == (pane.joined, pane.deadlines)


Shelves.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestShelves = Shelves.TestCase
