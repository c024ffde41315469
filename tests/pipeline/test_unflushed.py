"""What ingest holds between two commits: estimated, and a reason to flush at once when it reaches its limit."""

from __future__ import annotations

import gc
import tracemalloc
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from stream_monitor.join.policy import JoinPolicy
from stream_monitor.join.store import MemoryStore
from stream_monitor.kafka.policy import MAX_RECORD_BYTES
from stream_monitor.pipeline.book import MAX_DELTA_BYTES
from stream_monitor.pipeline.horizon import Span
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS, IngestFold, Records
from stream_monitor.pipeline.messages import Delta, decode
from stream_monitor.pipeline.policy import ModelPolicy, Policies, ReferencePolicy
from stream_monitor.sketches.pane import PredictionPane
from stream_monitor.windows.grid import WindowSpec
from tests.pipeline.world import DECODE, label, prediction

LIMIT = 256 * 1024
MODEL = ModelPolicy("m", windows=(WindowSpec(60_000, 60_000),), segments=(("plan",),))
JOINED = replace(MODEL, join=JoinPolicy(3_600_000, 3_600_000))


def fold_of(model: ModelPolicy, **changes: object) -> IngestFold:
    policies = replace(Policies({"m": model}, max_models=10_000), **changes)  # type: ignore[arg-type]
    return IngestFold(policies, DECODE, {}, MemoryStore(), instance="0")


def records(values: list[bytes]) -> Records:
    n = len(values)
    return Records([0] * n, range(n), [0] * n, [None] * n, values)


def plain(i: int) -> bytes:
    return prediction(f"id-{i:08d}", 60, score=0.5, features={"a": i % 7}, tags={"plan": "x"})


def of_a_new_segment(i: int) -> bytes:
    return prediction(f"id-{i:08d}", 60, score=0.5, features={"a": i * 1.01, "b": f"word {i}"}, tags={"plan": f"p{i}"})


def of_a_new_model(i: int) -> bytes:
    return prediction(f"id-{i:08d}", 60, model=f"other-{i}", score=0.5)


def of_a_new_pane(i: int) -> bytes:
    return prediction(f"id-{i:08d}", 60 * i, score=0.5, features={"a": i * 1.01})


def of_many_words(i: int) -> bytes:
    features = {f"f{j}": f"word {i} {j}" for j in range(20)} | {f"n{j}": i * 1.1 + j for j in range(20)}
    return prediction(f"id-{i:08d}", 60, score=0.5, features=features)


@pytest.mark.parametrize(
    ("make", "model", "n"),
    [
        (plain, JOINED, 3_000),
        (of_a_new_segment, JOINED, 200),
        (of_a_new_model, MODEL, 200),
        (of_a_new_pane, MODEL, 200),
        (of_many_words, MODEL, 200),
    ],
)
def test_the_estimate_is_within_a_factor_of_two_of_what_python_allocates(
    make: Callable[[int], bytes], model: ModelPolicy, n: int
) -> None:
    batches = [records([make(i) for i in range(start, start + 100)]) for start in range(0, n, 100)]
    fold = fold_of(model)
    fold.predictions(records([make(n)]))  # what is made once for good
    fold.flush(0, {}, {})
    fold.committed()
    gc.collect()
    tracemalloc.start()
    try:
        for batch in batches:
            fold.predictions(batch)
        gc.collect()
        allocated, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert allocated / 2 <= fold.held_bytes() <= allocated * 2, (fold.held_bytes(), allocated)


def test_pairs_and_their_samples_are_part_of_the_estimate() -> None:
    fold = fold_of(JOINED)
    fold.predictions(records([plain(i) for i in range(1_000)]))
    before = fold.held_bytes()
    fold.labels(records([label(f"id-{i:08d}", 61, label="1") for i in range(1_000)]))
    assert fold.held_bytes() > before + 512 * 300


@pytest.mark.parametrize("make", [of_a_new_segment, of_a_new_model, of_a_new_pane])
def test_a_flood_of_new_panes_asks_for_a_flush_once_the_limit_is_reached(make: Callable[[int], bytes]) -> None:
    fold = fold_of(MODEL, max_unflushed_bytes=LIMIT)
    most, batches = 0, 0
    for start in range(0, 1_200, 100):
        fold.predictions(records([make(i) for i in range(start, start + 100)]))
        most = max(most, fold.held_bytes())
        if fold.is_full():
            batches += 1
            fold.flush(0, {}, {})
            fold.committed()
            assert fold.held_bytes() == 0
            assert not fold.is_full()
    assert batches >= 2
    # One batch more than the limit: 100 events, each with two panes of at most 4 kB.
    assert LIMIT <= most <= LIMIT + 100 * 2 * 4_000


def test_what_is_held_is_forgotten_with_an_aborted_flush() -> None:
    fold = fold_of(JOINED, max_unflushed_bytes=LIMIT)
    fold.predictions(records([of_a_new_segment(i) for i in range(400)]))
    assert fold.is_full()
    fold.flush(0, {}, {})
    fold.discarded()
    assert fold.held_bytes() == 0


def test_a_full_fold_is_flushed_by_a_backtest_too() -> None:
    fold = fold_of(MODEL, max_unflushed_bytes=LIMIT)
    fold.predictions(records([plain(0)]))
    fold.flush(0, {}, {})
    fold.committed()
    assert not fold.is_decisive()
    fold.predictions(records([of_a_new_segment(i) for i in range(400)]))
    assert fold.is_decisive()


@pytest.mark.parametrize("features", [1, 300])
def test_deltas_stay_below_the_brokers_limit_and_add_up_whatever_they_hold(features: int) -> None:
    """A feature of a stream without a profile takes 5 kB of numbers or 10 kB of words, 2,000 of them 15 MB."""
    model = replace(MODEL, reference=ReferencePolicy("bootstrap", 10_000))
    fold = fold_of(model)
    for start in range(0, 300, 100):
        fold.predictions(
            records(
                [
                    prediction(
                        str(i),
                        60,
                        score=0.5,
                        features={f"f{j}": f"{i} {j}" if j % 2 else i * 1.1 for j in range(features)},
                        tags={"plan": f"p{i % 3}"},
                    )
                    for i in range(start, start + 100)
                ]
            )
        )
    messages = fold.flush(0, {}, {PREDICTIONS: 1, LABELS: 1}).messages
    deltas = [found for message in messages if isinstance(found := decode(message.value), Delta)]
    assert max(len(message.value) for message in messages) < 2 * MAX_DELTA_BYTES < MAX_RECORD_BYTES
    assert (len(deltas) > 1) == (features > 1)
    total: dict[str, PredictionPane] = {}
    for delta in deltas:
        for pane in delta.panes:
            total.setdefault(str(pane.segment), PredictionPane()).merge(PredictionPane.from_bytes(pane.data))
    overall = total.pop("{}")
    assert overall.n == 300
    assert overall.raw is not None
    assert len(overall.raw) == features
    assert Counter(f.numbers + f.texts.total for f in overall.raw.values()) == {300: features}
    assert [pane.n for pane in total.values()] == [100] * 3


def test_an_aborted_read_lets_no_entry_expire_that_its_first_events_still_need() -> None:
    """After an abort less may be read at once: of the same events only the first, which do not let anything expire."""
    fold = fold_of(replace(MODEL, join=JoinPolicy(60_000, 60_000, slack_ms=0)))
    repeated = [prediction("a", 0, score=0.5), prediction("b", 10, score=0.5), prediction("a", 0, score=0.5)]
    log = [*repeated, prediction("c", 1_000_000, score=0.5)]

    def read(start: int, end: int, *, commit: bool = True) -> int:
        n = end - start
        fold.predictions(Records([0] * n, range(start, end), [0] * n, [None] * n, log[start:end]))
        span = {(PREDICTIONS, 0): Span(start, end, caught_up=False)}
        counted = fold.flush(0, span, {PREDICTIONS: 1}).counters.predictions.total()
        if commit:
            fold.committed()
        else:
            fold.discarded()
        return counted

    assert read(0, 1) == 1
    read(1, 4, commit=False)
    assert [read(1, 2), read(2, 3), read(3, 4)] == [1, 0, 1], "the repeat of a is one"
