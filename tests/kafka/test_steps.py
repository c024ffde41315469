"""Time by step: nothing is counted twice and nothing is lost, however steps lie within each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.kafka.snapshot import Tally
from stream_monitor.kafka.steps import Step, Steps


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """Steps on clocks that stand still but for `pass_time`."""

    def __init__(self) -> None:
        self.clock, self.busy = Clock(), Clock()
        self.steps = Steps(self.clock, self.busy)

    def pass_time(self, ran: float, waited: float = 0.0) -> None:
        self.clock.now += ran + waited
        self.busy.now += ran


@given(st.lists(st.tuples(st.sampled_from(Step), st.integers(0, 50), st.integers(0, 50)), max_size=20))
def test_all_steps_together_are_the_time_that_passed(path: list[tuple[Step, int, int]]) -> None:
    watched = Watched()
    expected = dict.fromkeys(Step, 0.0)
    for step, ran, waited in path:
        watched.steps.enter(step)
        watched.pass_time(ran, waited)
        if step is Step.CONSUME:
            expected[Step.CONSUME] += ran
            expected[Step.WAIT] += waited
        else:
            expected[step] += ran + waited
    assert watched.steps.take() == expected
    assert not any(watched.steps.take().values())


def test_a_flush_inside_of_reading_has_its_own_time_and_reading_goes_on_after_it() -> None:
    watched = Watched()
    with watched.steps.within(Step.CONSUME):
        watched.pass_time(ran=1, waited=10)
        with watched.steps.within(Step.DRAIN):
            watched.pass_time(ran=100)
        watched.pass_time(ran=2, waited=20)
    watched.pass_time(ran=5)
    found = {step: seconds for step, seconds in watched.steps.take().items() if seconds}
    assert found == {Step.CONSUME: 3, Step.WAIT: 30, Step.DRAIN: 100, Step.OTHER: 5}


def test_a_step_that_fails_is_left_too() -> None:
    watched = Watched()

    def fail() -> None:
        with watched.steps.within(Step.COMMIT):
            watched.pass_time(ran=1)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    watched.pass_time(ran=2)
    taken = watched.steps.take()
    assert (taken[Step.COMMIT], taken[Step.OTHER]) == (1, 2)


def test_work_is_told_once_by_the_first_snapshot_after_it() -> None:
    tally = Tally()
    tally.batches.append(7)
    tally.aborted()
    tally.rebalances += 1
    tally.committed(1_000, {"panes": 3}, 0.5)
    tally.committed(2_000, {"panes": 1}, 0.25)
    first = tally.snapshot({}, {Step.DRAIN: 1.0})
    assert first.work.seconds == {Step.DRAIN: 1.0}
    assert (first.work.batches, first.work.transactions) == ([7], [0.5, 0.25])
    assert (first.work.produced, first.work.aborts, first.work.rebalances) == ({"panes": 4}, 1, 1)
    tally.aborted()
    second = tally.snapshot({}, {})
    assert (second.work.batches, second.work.transactions, second.work.produced) == ([], [], {})
    assert (second.aborts, second.work.aborts, second.work.rebalances) == (2, 1, 0)
