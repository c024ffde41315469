"""Every sketch under the laws: how to make one, what a batch for it looks like, how a batch is added."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from stream_monitor.sketches.bottom_k import BottomK
from stream_monitor.sketches.confusion import Confusion
from stream_monitor.sketches.ddsketch import DDSketch
from stream_monitor.sketches.exact_sum import ExactSum
from stream_monitor.sketches.float_bins import FloatBins
from stream_monitor.sketches.key_counts import KeyCounts
from stream_monitor.sketches.pane import LabelPane, PredictionPane
from stream_monitor.sketches.raw import RawFeature
from stream_monitor.sketches.regression import RegressionSums
from stream_monitor.sketches.score_counts import ScoreCounts

EDGES = np.array([0.25, 0.5, 0.75])


@dataclass(frozen=True)
class Subject:
    name: str
    new: Callable[[], Any]
    row: st.SearchStrategy[Any]
    add: Callable[[Any, list[Any]], None]


def floats(values: list[Any]) -> np.ndarray:
    return np.array(values, np.float64)


def add_float_bins(sketch: FloatBins, rows: list[Any]) -> None:
    """Each number becomes 60, so that the levels above 0 are reached."""
    for row in rows:
        for number in row:
            sketch.update(number * np.linspace(0.5, 0.9, 60) ** 9)


def add_bottom_k(sketch: BottomK, rows: list[Any]) -> None:
    ids, moments, errors, scores = zip(*rows, strict=True) if rows else ((), (), (), ())
    sketch.add_many([str(i) for i in ids], moments, errors, scores)


def add_scores(sketch: ScoreCounts, rows: list[Any]) -> None:
    for class_ in sorted({row[0] for row in rows}):
        mine = [row for row in rows if row[0] == class_]
        sketch.update(class_, floats([row[1] for row in mine]), np.array([row[2] for row in mine]), EDGES)


def add_regression(sketch: RegressionSums, rows: list[Any]) -> None:
    sketch.update(floats([row[0] for row in rows]), floats([row[1] for row in rows]))


def add_predictions(pane: PredictionPane, rows: list[Any]) -> None:
    """A row: (schema or None for raw, raw value, latency or None)."""
    pane.n += len(rows)
    for schema in sorted({row[0] for row in rows if row[0]}):
        pane.add_binned(schema, np.array([sum(row[0] == schema for row in rows), 0, len(schema)]) * [1, 1, 0])
    raw = [row[1] for row in rows if row[0] is None]
    if raw:
        pane.add_raw({"x": raw, "y": raw[::-1]}, raw)
    latencies = floats([row[2] for row in rows if row[2] is not None])
    if len(latencies):
        pane.latency = pane.latency or DDSketch()
        pane.latency_sum = pane.latency_sum or ExactSum()
        pane.latency.update(latencies)
        pane.latency_sum.update(latencies)


def add_labels(pane: LabelPane, rows: list[Any]) -> None:
    """A row: (id, actual, predicted, score, residual)."""
    if not rows:
        return
    ids, actual, predicted, scores, residuals = zip(*rows, strict=True)
    pane.joined += len(rows)
    pane.waiting -= len(rows)
    pane.deadlines += 2 * len(rows)
    pane.delay = pane.delay or DDSketch()
    pane.delay.update(floats(residuals))
    pane.confusion = pane.confusion or Confusion(limit=2)
    pane.confusion.update(actual, predicted)
    pane.scores.setdefault("s", ScoreCounts()).update("a", floats(scores), np.array([a == "a" for a in actual]), EDGES)
    pane.errors = pane.errors or RegressionSums()
    pane.errors.update(floats(residuals), floats(scores))
    pane.sample = pane.sample or BottomK(k=3)
    pane.sample.add_many([str(i) for i in ids], [7] * len(rows), None, scores, residuals)


finite = st.floats(allow_nan=False, allow_infinity=False)
unit = st.floats(0, 1)
class_name = st.sampled_from(["a", "b", "c", "d"])
raw_value = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(["EU", "US", "é", ""]),
    st.just(10**400),
    st.just([]),
)

SUBJECTS = [
    Subject("DDSketch", DDSketch, st.floats(allow_nan=False), lambda s, rows: s.update(floats(rows))),
    Subject("ExactSum", ExactSum, finite, lambda s, rows: s.update(floats(rows))),
    Subject("ExactSum of squares", ExactSum, finite, lambda s, rows: s.update_squares(floats(rows))),
    Subject("KeyCounts", lambda: KeyCounts(limit=5), st.text(max_size=2), lambda s, rows: s.update(rows, b"key")),
    Subject("FloatBins", FloatBins, st.lists(finite, min_size=1, max_size=3), add_float_bins),
    Subject(
        "BottomK",
        lambda: BottomK(k=4),
        st.tuples(st.integers(0, 9), st.integers(0, 3), st.none() | st.floats(), st.none() | unit),
        add_bottom_k,
    ),
    Subject(
        "Confusion",
        lambda: Confusion(limit=2),
        st.tuples(class_name, class_name),
        lambda s, rows: s.update([row[0] for row in rows], [row[1] for row in rows]),
    ),
    Subject("RegressionSums", RegressionSums, st.tuples(finite, finite), add_regression),
    Subject("ScoreCounts", lambda: ScoreCounts(limit=2), st.tuples(class_name, unit, st.booleans()), add_scores),
    Subject("RawFeature", RawFeature, raw_value, lambda s, rows: s.update(rows, b"key")),
    Subject(
        "PredictionPane",
        PredictionPane,
        st.tuples(st.sampled_from([None, "s1", "s2"]), raw_value, st.none() | st.floats(0, 100)),
        add_predictions,
    ),
    Subject("LabelPane", LabelPane, st.tuples(st.integers(0, 9), class_name, class_name, unit, finite), add_labels),
]
