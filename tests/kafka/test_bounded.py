"""A call into the client that does not come back costs the process, not for ever its partitions."""

from __future__ import annotations

import threading
import time

import pytest

from stream_monitor.kafka.bounded import within
from stream_monitor.kafka.failures import LoopFailure
from stream_monitor.kafka.steps import Steps
from stream_monitor.kafka.transaction import Transactions


def test_what_the_call_raises_is_raised() -> None:
    done: list[int] = []
    within(10, "it", lambda: done.append(1))
    assert done == [1]
    with pytest.raises(KeyError):
        within(10, "it", lambda: {}["x"])


def test_offsets_that_are_sent_for_ever_are_a_failure_and_nothing_is_committed() -> None:
    class Hangs:
        def __init__(self) -> None:
            self.end = threading.Event()
            self.called: list[str] = []

        def begin_transaction(self) -> None:
            pass

        def flush(self, seconds: float) -> int:
            return 0

        def send_offsets_to_transaction(self, offsets: object, group: object, seconds: float) -> None:
            self.end.wait()

        def __getattr__(self, name: str) -> object:
            self.called.append(name)
            raise AssertionError(name)

    producer = Hangs()
    transactions = Transactions(producer, Steps(), commit_s=60, overtime_s=0.05)
    with pytest.raises(LoopFailure, match="send_offsets_to_transaction did not return"):
        transactions.run([], ["offset"], None, time.monotonic() + 0.05)
    assert producer.called == []
    producer.end.set()
