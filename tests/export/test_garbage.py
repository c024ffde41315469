"""Pauses of the garbage collector: counted while watched, by generation, from whichever thread."""

from __future__ import annotations

import gc
import threading
from itertools import count

from stream_monitor.export.garbage import GarbageWatch


def test_a_collection_counts_with_its_time_and_only_while_watched() -> None:
    ticks = count()
    watch = GarbageWatch(lambda: float(next(ticks)))
    gc.collect()
    with watch:
        gc.disable()
        try:
            gc.collect()
            thread = threading.Thread(target=gc.collect)
            thread.start()
            thread.join()
        finally:
            gc.enable()
    gc.collect()
    assert watch.pauses()[2] == (2, 2.0)
    assert watch._collecting not in gc.callbacks


def test_a_collection_begun_before_the_watch_does_not_count() -> None:
    watch = GarbageWatch()
    watch._collecting("stop", {"generation": 0})
    assert watch.pauses() == {}
