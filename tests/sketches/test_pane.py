from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_monitor.errors import FormatError
from stream_monitor.events.columns import INVALID
from stream_monitor.sketches import pane as panes
from stream_monitor.sketches.bottom_k import BottomK
from stream_monitor.sketches.ddsketch import DDSketch
from stream_monitor.sketches.exact_sum import ExactSum
from stream_monitor.sketches.hashing import hash64
from stream_monitor.sketches.packed import PackedLabels, PackedPredictions
from stream_monitor.sketches.pane import LabelPane, PredictionPane
from stream_monitor.sketches.raw import RawFeature
from tests.sketches.subjects import SUBJECTS

few = settings(max_examples=60, deadline=None)


def test_a_pane_of_twenty_features_stays_below_six_kilobytes() -> None:
    rng = np.random.default_rng(3)
    for events in (1, 100, 5_000, 100_000):
        pane = PredictionPane(n=events)
        counts = [np.bincount(rng.integers(0, 84, events), minlength=84) for _ in range(21)]
        pane.add_binned("5f2c9a5b1e6d7a80", np.concatenate(counts))
        latencies = rng.lognormal(-4, 0.5, events)
        pane.latency, pane.latency_sum = DDSketch(), ExactSum()
        pane.latency.update(latencies)
        pane.latency_sum.update(latencies)
        assert len(pane.to_bytes()) < (250 if events == 1 else 6_000)


def test_empty_panes_cost_almost_nothing() -> None:
    assert len(PredictionPane().to_bytes()) < 30
    assert len(LabelPane().to_bytes()) < 30
    assert PredictionPane().is_empty
    assert LabelPane().is_empty
    assert not PredictionPane(n=1).is_empty
    assert not LabelPane(waiting=-1).is_empty
    assert not LabelPane(sample=BottomK()).is_empty


def test_counts_of_another_schema_stay_apart_and_of_another_size_are_refused() -> None:
    pane = PredictionPane()
    pane.add_binned("a", np.array([1, 2]))
    pane.add_binned("b", np.array([1, 2, 3]))
    pane.add_binned("a", np.array([1, 0]))
    assert {schema: counts.tolist() for schema, counts in pane.binned.items()} == {"a": [2, 2], "b": [1, 2, 3]}
    with pytest.raises(ValueError, match="schema a has 2 slots here and 3 there"):
        pane.add_binned("a", np.array([1, 2, 3]))


def test_raw_features_are_bounded_by_the_hash_of_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panes, "RAW_FEATURES_LIMIT", 5)
    names = [f"f{i}" for i in range(12)]
    whole, left, right = PredictionPane(), PredictionPane(), PredictionPane()
    whole.add_raw({name: [1.0] for name in names})
    left.add_raw({name: [1.0] for name in names[:7]})
    right.add_raw({name: [1.0] for name in names[7:]})
    left.merge(right)
    assert whole.raw is not None
    assert set(whole.raw) == set(sorted(names, key=hash64)[:5])
    assert whole.raw_limited
    assert left.to_bytes() == whole.to_bytes()


def test_raw_values_are_told_apart_by_kind() -> None:
    raw = RawFeature()
    raw.update([1, 2.5, True, None, "EU", "EU", INVALID, float("nan"), float("inf"), 10**400, [1], -0.0], b"k")
    assert (raw.numbers, raw.texts.total, raw.invalid) == (4, 2, 5)
    assert (raw.minimum, raw.maximum) == (0.0, 2.5)
    assert raw.bins.is_exact
    assert dict(zip(raw.bins.lows, raw.bins.counts, strict=True)) == {0.0: 1, 1.0: 2, 2.5: 1}
    assert raw.texts.counts == {hash64("EU", b"k"): 2}
    assert float(raw.sum) == 4.5
    assert float(raw.squares) == 8.25
    assert raw.is_numeric


@few
@given(data=st.data())
@pytest.mark.parametrize("name", ["PredictionPane", "LabelPane"])
def test_adding_a_written_pane_is_merging_it(name: str, data: st.DataObject) -> None:
    subject = next(each for each in SUBJECTS if each.name == name)
    a, b = (subject.new() for _ in range(2))
    for pane in (a, b):
        subject.add(pane, data.draw(st.lists(subject.row, max_size=12)))
    merged, added = a.copy(), a.copy()
    merged.merge(b)
    added.add_packed((PackedPredictions if name == "PredictionPane" else PackedLabels).read(b.to_bytes()))
    assert added.to_bytes() == merged.to_bytes()


def test_written_counts_of_another_size_are_refused() -> None:
    pane, other = PredictionPane(), PredictionPane()
    pane.add_binned("a", np.array([1, 2]))
    other.add_binned("a", np.array([1, 2, 3]))
    with pytest.raises(FormatError, match="schema a has 2 slots here and 3 there"):
        pane.add_packed(PackedPredictions.read(other.to_bytes()))


def test_a_pane_of_the_version_before_is_read_and_written_as_one_of_now() -> None:
    for pane in (PredictionPane(n=3, latency=DDSketch()), LabelPane(joined=2, waiting=-1)):
        now = pane.to_bytes()
        before = now[:1] + b"\x01" + now[2:]
        assert type(pane).from_bytes(before).to_bytes() == now


def test_a_written_pane_can_be_rid_of_its_sample_unread() -> None:
    sample = BottomK()
    sample.add_many(["a"], [1])
    written = PackedLabels.read(LabelPane(joined=1, sample=sample, delay=DDSketch()).to_bytes())
    assert written.without_sample().to_bytes() == LabelPane(joined=1, delay=DDSketch()).to_bytes()
    assert written.to_bytes() == LabelPane(joined=1, sample=sample, delay=DDSketch()).to_bytes()
