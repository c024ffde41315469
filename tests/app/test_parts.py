"""Parts start, stop and fail together."""

import os
import signal
import threading
import time

import pytest

from stream_monitor.app.parts import Part, run_parts, stop_on_signals
from stream_monitor.errors import SetupError, StreamMonitorError


def waits(stop: threading.Event) -> None:
    stop.wait()


def test_a_stop_reaches_every_part() -> None:
    stop, started = threading.Event(), threading.Barrier(3)

    def part(event: threading.Event) -> None:
        started.wait(10)
        event.wait()

    ends = threading.Thread(target=lambda: (started.wait(10), stop.set()))
    ends.start()
    run_parts([Part("a", part), Part("b", part)], stop)
    ends.join()


def test_the_first_failure_stops_the_others_and_is_what_is_raised() -> None:
    def fails(stop: threading.Event) -> None:
        raise SetupError("no broker", mend="start it")

    with pytest.raises(SetupError, match="no broker → start it"):
        run_parts([Part("a", waits), Part("b", fails)], threading.Event())


def test_an_error_nobody_foresaw_becomes_one_sentence() -> None:
    def fails(stop: threading.Event) -> None:
        raise KeyError("x")

    with pytest.raises(StreamMonitorError, match=r"a failed unexpectedly: KeyError\('x'\)"):
        run_parts([Part("a", fails)], threading.Event())


def test_a_part_that_just_ends_is_a_failure() -> None:
    with pytest.raises(StreamMonitorError, match="a ended without being told to"):
        run_parts([Part("a", lambda stop: None)], threading.Event())


def test_a_part_that_does_not_stop_is_named_and_left_behind() -> None:
    stop, release = threading.Event(), threading.Event()
    stop.set()
    with pytest.raises(StreamMonitorError, match="a did not stop"):
        run_parts([Part("a", lambda _: release.wait() and None)], stop, drain_s=0.05)
    release.set()


def test_parts_that_hang_are_waited_for_together() -> None:
    stop, release = threading.Event(), threading.Event()
    stop.set()
    began = time.monotonic()
    with pytest.raises(StreamMonitorError, match="did not stop within 1 s: the next start reads again"):
        run_parts([Part(str(i), lambda _: release.wait() and None) for i in range(20)], stop, drain_s=1.0)
    assert time.monotonic() - began < 10
    release.set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_set_the_stop(number: signal.Signals) -> None:
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        stop = stop_on_signals()
        os.kill(os.getpid(), number)
        assert stop.wait(5)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
