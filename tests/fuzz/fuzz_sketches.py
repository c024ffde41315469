"""A kind (first byte) and the bytes of a sketch: one that merges with itself, writes itself and says what it holds."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from stream_monitor.errors import FormatError, ProfileError
from stream_monitor.events.policy import OutcomePolicy, Task
from stream_monitor.metrics.comparison import Comparison
from stream_monitor.metrics.panes import label_figures, prediction_figures
from stream_monitor.metrics.policy import MetricPolicy
from stream_monitor.reference.bootstrap import build_bootstrap
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
from tests.fuzz.world import LABELLED, PREDICTED, PROFILES, messages

KINDS: tuple[type[Any], ...] = (
    DDSketch, FloatBins, KeyCounts, ExactSum, BottomK, Confusion, ScoreCounts, RegressionSums, RawFeature,
    PredictionPane, LabelPane,
)  # fmt: skip
POLICY = MetricPolicy(1, 1)


def _seeds() -> tuple[bytes, ...]:
    from stream_monitor.events.names import TimeBasis
    from stream_monitor.pipeline.messages import Delta, decode

    rng = np.random.default_rng(0)
    latencies, bins, keys, total, raw = DDSketch(), FloatBins(), KeyCounts(), ExactSum(), RawFeature()
    latencies.update(np.array([0.1, 0.2, 5.0, -1.0]))
    bins.update(rng.normal(size=150))
    keys.update(["a", "b", "a"])
    total.update(np.array([1.5, -2.0]))
    raw.update([1, 2.5, "a", None, float("nan")])
    sample, confusion, scores, sums = BottomK(), Confusion(), ScoreCounts(), RegressionSums()
    sample.add_many(["a", "b"], [1, 2], [0.0, 1.0], [0.5, None])
    confusion.update(["1", "0"], ["1", "1"])
    scores.update("1", np.array([0.1, 0.9]), np.array([True, False]), np.array([0.5]))
    sums.update(np.array([1.0, 2.0]), np.array([1.5, 2.5]))
    made = [latencies, bins, keys, total, sample, confusion, scores, sums, raw]
    seeds = [bytes([KINDS.index(type(each))]) + each.to_bytes() for each in made]
    for message in map(decode, messages(PREDICTED, LABELLED)):
        if isinstance(message, Delta):
            for pane in message.panes:
                kind = PredictionPane if pane.basis is TimeBasis.PREDICTION else LabelPane
                seeds.append(bytes([KINDS.index(kind)]) + pane.data)
    return tuple(seeds)


SEEDS = _seeds()


def check(data: bytes) -> None:
    if not data:
        return
    kind = KINDS[data[0] % len(KINDS)]
    try:
        sketch = kind.from_bytes(data[1:])
    except FormatError:
        return
    written = sketch.to_bytes()
    assert kind.from_bytes(written).to_bytes() == written
    total = sketch.copy()
    total.merge(sketch)
    total.merge(kind.from_bytes(written))
    assert kind.from_bytes(total.to_bytes()).to_bytes() == total.to_bytes()
    for each in (sketch, total):
        _read(each)


def _read(sketch: Any) -> None:
    """All that somebody asks of it."""
    if isinstance(sketch, DDSketch):
        assert sketch.count >= 0
        for q in (0.0, 0.5, 1.0):
            value = sketch.quantile(q)
            assert value is None or abs(value) <= 1e12
    elif isinstance(sketch, FloatBins):
        assert (sketch.counts > 0).all()
        assert (np.diff(sketch.lows) > 0).all()
        assert (sketch.highs >= sketch.lows).all()
    elif isinstance(sketch, KeyCounts):
        assert all(count > 0 for count in sketch.counts.values())
        assert len(sketch.counts) <= sketch.limit
    elif isinstance(sketch, ExactSum):
        float(sketch), sketch.mean(3), sketch.total
    elif isinstance(sketch, BottomK):
        sketch.ordered()
        sketch.add_many(["z"], [1])
        assert len(sketch.entries) <= sketch.k
    elif isinstance(sketch, PredictionPane):
        _read_predictions(sketch)
    elif isinstance(sketch, LabelPane):
        for outcome in (
            OutcomePolicy(Task.BINARY, "1"),
            OutcomePolicy(Task.MULTICLASS),
            OutcomePolicy(Task.REGRESSION),
        ):
            label_figures(sketch, PROFILES["m"], outcome, POLICY, 0)


def _read_predictions(pane: PredictionPane) -> None:
    prediction_figures(pane, None, POLICY)
    prediction_figures(pane, Comparison(PROFILES["m"]), POLICY)
    for task in (Task.REGRESSION, Task.MULTICLASS):
        # A profile that says of itself that it cannot be is a named answer too.
        with contextlib.suppress(ProfileError):
            profile = build_bootstrap(model_name="m", task=task, pane=pane, created_at=0, min_rows=1)
            Comparison(profile)
