"""All that a process remembers of its input beyond a commit, or sums up in a pane, met by more than it may hold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from stream_monitor.events.columns import FeatureColumns
from stream_monitor.events.policy import OutcomePolicy, Task
from stream_monitor.events.rejects import RejectReason
from stream_monitor.export.names import PREDICTIONS as PREDICTIONS_TOTAL
from stream_monitor.export.totals import OVERFLOW, Totals
from stream_monitor.join import packed
from stream_monitor.join.policy import JoinPolicy
from stream_monitor.join.store import MemoryStore
from stream_monitor.pipeline import joining
from stream_monitor.pipeline.ingest import IngestFold, Records
from stream_monitor.pipeline.joining import Joining
from stream_monitor.pipeline.policy import ModelPolicy, Policies
from stream_monitor.sketches import bins
from stream_monitor.sketches.bins import BinCounter, BinLayout, CategoricalBins
from stream_monitor.sketches.bottom_k import BottomK
from stream_monitor.sketches.confusion import OTHER_CLASS, Confusion
from stream_monitor.sketches.ddsketch import DDSketch
from stream_monitor.sketches.float_bins import OCCUPIED_BINS, FloatBins
from stream_monitor.sketches.key_counts import KeyCounts
from stream_monitor.sketches.pane import RAW_FEATURES_LIMIT, PredictionPane
from stream_monitor.sketches.score_counts import ScoreCounts
from tests.pipeline.world import DECODE, prediction

LIMIT = 50
WORDS = [f"word {i}" for i in range(2 * LIMIT)]


def codes_of_categories() -> int:
    layout = BinLayout((CategoricalBins("a", ("x",)),), None, "s")
    counter = BinCounter(layout)
    column: list[str | float | bool | None] = [*WORDS]
    counts = counter.count(FeatureColumns(np.empty((0, len(WORDS))), (column,)), None)
    assert counts.sum() == len(WORDS), "what is not remembered is counted all the same"
    return max(len(memo) for memo in counter._codes)


def whos_of_predictions() -> int:
    memo = Joining(ModelPolicy("m", join=JoinPolicy(1, 1)))._whos
    assert len({memo.of(version, "1", None) for version in WORDS}) == len(WORDS)
    return len(memo)


def truths_of_labels() -> int:
    memo = Joining(ModelPolicy("m", OutcomePolicy(Task.MULTICLASS), join=JoinPolicy(1, 1)))._truths
    assert len({memo[str, word] for word in WORDS}) == len(WORDS)
    return len(memo)


def whos_of_entries() -> int:
    packed._whos.clear()
    assert [packed.who_of(packed.who_bytes(word, None, None, {})).version for word in WORDS] == WORDS
    return len(packed._whos)


def truths_of_entries() -> int:
    packed._truths.clear()
    assert [packed.truth_of(packed.truth_bytes(word)) for word in WORDS] == WORDS
    return len(packed._truths)


@pytest.mark.parametrize(
    ("fill", "module"),
    [
        (codes_of_categories, bins),
        (whos_of_predictions, joining),
        (truths_of_labels, joining),
        (whos_of_entries, packed),
        (truths_of_entries, packed),
    ],
)
def test_a_memo_remembers_so_many_and_works_without(
    fill: Callable[[], int], module: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MEMO_LIMIT", LIMIT)
    assert LIMIT / 2 < fill() <= LIMIT


def test_a_long_text_is_not_remembered() -> None:
    counter = BinCounter(BinLayout((CategoricalBins("a", ("x",)),), None, "s"))
    before = len(counter._codes[0])
    counter.count(FeatureColumns(np.empty((0, 1)), (["x" * 201],)), None)
    assert len(counter._codes[0]) == before


def test_models_that_register_themselves_are_so_many_and_the_others_rejected_by_name() -> None:
    fold = IngestFold(
        Policies({"listed": ModelPolicy("listed")}, max_models=3), DECODE, {}, MemoryStore(), instance="0"
    )
    values = [prediction(str(i), 60, model=f"m{i % 10}", score=0.5) for i in range(100)]
    values.append(prediction("x", 60, model="listed", score=0.5))
    n = len(values)
    fold.predictions(Records([0] * n, range(n), [0] * n, [None] * n, values))
    counters = fold.flush(0, {}, {}).counters
    assert len(fold._models) == 4
    assert counters.rejected == {("predictions", RejectReason.MODEL_LIMIT): 70}
    assert counters.predictions.total() == 31


def test_versions_beyond_what_a_scrape_may_show_count_as_others() -> None:
    totals = Totals(LIMIT)
    for word in WORDS:
        totals = totals.count(PREDICTIONS_TOTAL, {("m", word): 1})
    found = totals.counters[PREDICTIONS_TOTAL.name]
    assert len(found) == LIMIT + 1
    assert sum(found.values()) == len(WORDS)
    assert found[OVERFLOW, OVERFLOW] == LIMIT


def test_the_sketches_of_a_pane_are_bounded_and_say_so() -> None:
    many = [str(i) for i in range(3_000)]
    keys = KeyCounts()
    keys.update(many)
    assert (len(keys.counts), keys.saturated, keys.total) == (1_000, True, 3_000)
    floats = FloatBins()
    floats.update(np.linspace(-1e300, 1e300, 3_000))
    assert len(floats.counts) <= OCCUPIED_BINS
    assert int(floats.counts.sum()) == 3_000
    confusion = Confusion()
    confusion.update(many[:200], many[:200])
    assert set(confusion.classes) - {OTHER_CLASS} <= set(many)
    assert (len(confusion.classes), confusion.total, confusion.saturated) == (51, 200, True)
    scores = ScoreCounts()
    for class_ in many[:100]:
        scores.update(class_, np.array([0.5]), np.array([True]), np.array([0.5]))
    assert (len(scores.counts), scores.saturated) == (50, True)
    sample = BottomK()
    sample.add_many(many, [0] * len(many))
    assert len(sample.entries) == 512
    latency = DDSketch()
    latency.update(np.array([-1e308, -1e-308, 0.0, 5e-324, 1e308, np.inf]))
    assert latency.count == 6
    assert latency.held_bytes < 50_000
    pane = PredictionPane()
    pane.add_raw({name: [1.0] for name in many[: RAW_FEATURES_LIMIT + 100]})
    assert pane.raw is not None
    assert (len(pane.raw), pane.raw_limited) == (RAW_FEATURES_LIMIT, True)
