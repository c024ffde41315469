"""Ingest knows when readers wait for its flush: exactly when that flush moves the watermark past a window's end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.join.policy import JoinPolicy
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS
from stream_monitor.pipeline.model import ROLES
from stream_monitor.pipeline.policy import ModelPolicy, Policies
from stream_monitor.pipeline.window_ends import WindowEnds
from stream_monitor.windows.grid import WindowSpec
from stream_monitor.windows.watermark import SourceProgress, Sources, read_watermark
from tests.pipeline.test_time import T0, put, turn, windows, world

DISORDER_MS, LATENESS_MS = 10, 33
SPECS = (WindowSpec(60, 20), WindowSpec(50, 50))
LIMITS = {"max_out_of_order_ms": DISORDER_MS, "allowed_lateness_ms": LATENESS_MS}
POLICIES = Policies(
    models={
        "joins": ModelPolicy("joins", windows=SPECS, join=JoinPolicy(1_000, 1_000), **LIMITS),
        "plain": ModelPolicy("plain", windows=SPECS[1:], **LIMITS),
    }
)
PLACES = [(role, partition) for role in (PREDICTIONS, LABELS) for partition in range(2)]

# Of one batch: how much further each model's newest event is, by place.
steps = st.lists(
    st.tuples(
        st.dictionaries(st.tuples(st.sampled_from(PLACES), st.sampled_from(["joins", "plain"])), st.integers(0, 40)),
        st.booleans(),
    ),
    max_size=30,
)


def watermarks(newest: dict[tuple[str, int], dict[str, int]]) -> dict[tuple[str, str], int]:
    """What evaluate would make of it."""
    sources = Sources()
    sources.counts = {PREDICTIONS: 2, LABELS: 2}
    for (role, partition), models in newest.items():
        sources.observe(SourceProgress(role, partition, 0, 1, models), 0)
    return {
        (model, basis): mark
        for model, policy in POLICIES.models.items()
        for basis, roles in ROLES.items()
        if basis == "prediction" or policy.joins_labels
        for mark in [
            read_watermark(sources, model, roles, max_out_of_order_ms=DISORDER_MS, silent_after_ms=1).watermark_ms
        ]
        if mark is not None
    }


def passes_an_end(model: str, before: int, now: int) -> bool:
    return any(
        end % spec.slide_ms == 0 for spec in POLICIES.models[model].windows for end in range(before + 1, now + 1)
    )


@given(steps)
def test_a_flush_is_awaited_where_it_moves_a_watermark_past_a_windows_end(batches) -> None:
    ends = WindowEnds(POLICIES)
    newest = {place: {"joins": 1_000, "plain": 1_000} for place in PLACES}
    ends.told(newest)
    before = watermarks(newest)
    for moved, flushes in batches:
        for (place, model), further in moved.items():
            newest[place][model] += further
        now = watermarks(newest)
        assert ends.passed(newest) == any(passes_an_end(key[0], before[key], mark) for key, mark in now.items())
        assert ends.decided(newest) == any(
            passes_an_end(key[0], before[key] - after, mark - after)
            for key, mark in now.items()
            for after in (0, LATENESS_MS)
        )
        if flushes:
            ends.told(newest)
            before = now


def test_the_first_word_of_a_model_decides_and_so_does_a_watermark_that_goes_back() -> None:
    ends = WindowEnds(POLICIES)
    first = {(PREDICTIONS, 0): {"joins": 1_005}}
    assert ends.decided(first)
    ends.told(first)
    assert not ends.decided(first)
    assert ends.decided({(PREDICTIONS, 0): {"joins": 1_005, "plain": 1_005}})
    assert ends.decided({**first, (LABELS, 0): {"joins": 1_004}}), "labels hold the watermark of label time"


def test_nothing_is_awaited_before_the_first_flush_nor_of_partitions_just_taken_over() -> None:
    ends = WindowEnds(POLICIES)
    assert not ends.passed({(PREDICTIONS, 0): {"plain": 5_000}})
    ends.told({})
    assert not ends.passed({(PREDICTIONS, 0): {"plain": 5_000}})


def test_every_window_that_an_event_closes_was_awaited() -> None:
    w = world(n=1)
    put(w, 0, T0 + 10_000)
    turn(w)
    for at in range(T0 + 11_000, T0 + 200_000, 1_000):
        put(w, 0, at)
        w.ingest(0, PREDICTIONS, 1_000)
        awaited, closed = w.worker(0).is_awaited(), len(windows(w))
        turn(w)
        assert awaited == (len(windows(w)) > closed)
        assert not w.worker(0).is_awaited()
    assert len(windows(w)) == 3


def test_an_evaluation_is_awaited_from_the_close_of_a_window_until_it_is_published() -> None:
    w = world(n=1)
    put(w, 0, T0, T0 + 59_000)
    turn(w)
    assert not w.folds[0].is_awaited()
    put(w, 0, T0 + 70_000)
    w.ingest(0, PREDICTIONS, 1_000)
    w.flush(0)
    for offset, (value, record_ms) in enumerate(w.panes[0][w.pane_positions[0] :], w.pane_positions[0]):
        assert not w.folds[0].is_awaited()
        w.folds[0].apply(value, offset, record_ms)
    assert w.folds[0].is_awaited()
    w.folds[0].drain()
    assert not w.folds[0].is_awaited()
