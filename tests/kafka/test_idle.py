"""Caught up is claimed only for what an observed end proves; the oracle remembers every end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.kafka.idle import CaughtUp, Quiet
from stream_monitor.kafka.stage import TP

P = TP("in", 0)
TIMEOUT = 30_000


def owned(now_ms: int = 0) -> CaughtUp:
    state = CaughtUp()
    state.assigned([P], now_ms)
    return state


def test_nothing_is_claimed_of_a_partition_that_is_not_owned_or_was_never_observed() -> None:
    assert CaughtUp().quiet(P, 100_000, TIMEOUT) is Quiet.UNOWNED
    assert owned().quiet(P, 100_000, TIMEOUT) is Quiet.UNKNOWN


def test_a_partition_is_caught_up_once_the_end_observed_within_the_timeout_is_reached() -> None:
    state = owned()
    state.end_seen(P, 10, 60_000)
    state.consumed(P, 9)
    assert state.quiet(P, 60_000, TIMEOUT) is Quiet.UNKNOWN
    state.consumed(P, 10)
    assert state.quiet(P, 60_000, TIMEOUT) is Quiet.CAUGHT_UP
    assert state.quiet(P, 90_000, TIMEOUT) is Quiet.CAUGHT_UP


def test_a_partition_whose_broker_stopped_answering_counts_as_lagging() -> None:
    state = owned()
    state.end_seen(P, 10, 60_000)
    state.consumed(P, 10)
    assert state.quiet(P, 90_001, TIMEOUT) is Quiet.LAGGING


def test_a_busy_partition_is_caught_up_though_it_never_stands_at_its_end() -> None:
    state = owned()
    for step in range(100):
        state.end_seen(P, (step + 1) * 10, step * 1_000)
        state.consumed(P, step * 10 + 5)
    assert state.quiet(P, 99_000, TIMEOUT) is Quiet.CAUGHT_UP


def test_a_new_owner_waits_for_one_timeout_since_it_cannot_know_which_events_came_before() -> None:
    state = owned(now_ms=60_000)
    state.end_seen(P, 10, 60_000)
    state.consumed(P, 10)
    assert state.quiet(P, 89_999, TIMEOUT) is Quiet.JUST_ASSIGNED
    assert state.quiet(P, 90_000, TIMEOUT) is Quiet.CAUGHT_UP


events = st.lists(
    st.tuples(st.integers(0, 5_000), st.integers(0, 4), st.integers(0, 4)), max_size=60
)  # ms passed, records written, records read


@given(events)
def test_it_never_claims_more_than_an_oracle_that_knows_every_end(steps: list[tuple[int, int, int]]) -> None:
    state = owned()
    now = end = read = 0
    ends: list[tuple[int, int]] = []
    for passed, written, taken in steps:
        now += passed
        end += written
        read = min(end, read + taken)
        state.end_seen(P, end, now)
        state.consumed(P, read)
        ends.append((now, end))
        if state.quiet(P, now, 10_000) is Quiet.CAUGHT_UP:
            assert all(e <= read for at, e in ends if at <= now - 10_000)
