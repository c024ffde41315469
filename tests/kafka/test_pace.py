"""When a loop flushes."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.kafka.pace import Forced, Pace
from stream_monitor.kafka.policy import LoopPolicy

POLICY = LoopPolicy(
    "r", "i", "g", ("t",), flush_interval_ms=1_000, early_flush_gap_ms=200, batch_messages=10, batch_wait_ms=50
)
YES = lambda: True  # noqa: E731


def not_asked() -> bool:
    raise AssertionError("asked in vain")


def test_a_flush_is_due_after_the_interval() -> None:
    pace = Pace(POLICY, 5_000)
    assert not pace.is_due(5_999)
    assert pace.is_due(6_000)


def test_a_flush_is_forced_by_the_number_of_messages_and_by_a_full_stage() -> None:
    pace = Pace(replace(POLICY, max_unflushed_messages=100), 5_000)
    assert pace.forced(unflushed=99, is_full=False) is None
    assert pace.forced(unflushed=100, is_full=False) is Forced.MESSAGES
    assert pace.forced(unflushed=1, is_full=True) is Forced.MEMORY


def test_the_interval_runs_from_the_begin_of_a_flush() -> None:
    pace = Pace(POLICY, 0)
    pace.flushed(1_000, 1_300, early=False)
    assert not pace.is_due(1_999)
    assert pace.is_due(2_000)


def test_a_clock_set_back_makes_a_flush_due_and_early_ones_possible() -> None:
    pace = Pace(POLICY, 100_000)
    pace.flushed(100_000, 100_010, early=True)
    assert pace.is_due(50_000)
    pace.flushed(50_000, 50_010, early=False)
    assert not pace.is_early(50_209, read=0, is_awaited=not_asked)
    assert pace.is_early(50_210, read=0, is_awaited=YES)


def test_reading_waits_for_a_batch_but_not_past_the_flush() -> None:
    pace = Pace(POLICY, 0)
    assert [pace.wait_s(at) for at in (0, 970, 1_000, 1_200)] == [0.05, 0.03, 0.0, 0.0]


def test_an_early_flush_is_made_where_somebody_waits_and_the_last_early_one_is_long_enough_ago() -> None:
    pace = Pace(POLICY, 0)
    assert not pace.is_early(1, read=0, is_awaited=lambda: False)
    assert pace.is_early(1, read=0, is_awaited=YES)
    pace.flushed(1, 21, early=True)
    assert not pace.is_early(220, read=0, is_awaited=not_asked)
    assert pace.is_early(221, read=0, is_awaited=YES)


def test_a_flush_that_was_due_delays_no_early_one() -> None:
    pace = Pace(POLICY, 0)
    pace.flushed(1_000, 1_100, early=False)
    assert pace.is_early(1_100, read=0, is_awaited=YES)


def test_a_worker_that_is_behind_makes_no_early_flush() -> None:
    pace = Pace(POLICY, 0)
    assert not pace.is_early(500, read=10, is_awaited=not_asked)
    assert pace.is_early(500, read=9, is_awaited=YES)


def test_without_a_gap_there_are_no_early_flushes() -> None:
    assert not Pace(replace(POLICY, early_flush_gap_ms=None), 0).is_early(500, read=0, is_awaited=not_asked)


@given(st.lists(st.integers(1, 2_000), min_size=1, max_size=50))
def test_early_flushes_take_a_fifth_of_the_time_at_most(durations_ms: list[int]) -> None:
    policy = replace(POLICY, flush_interval_ms=10**9)
    pace, now, spent, last = Pace(policy, 0), 0, 0, 0
    for duration in durations_ms:
        while not pace.is_early(now, read=0, is_awaited=YES):
            now += 1
        pace.flushed(now, now + duration, early=True)
        now, spent, last = now + duration, spent + duration, duration
    assert spent - last <= (now - last) / 5
