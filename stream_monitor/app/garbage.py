"""When Python's cyclic garbage collector runs, in commands that fold events.

Between two flushes a batch of rows and join entries is alive, none of it in cycles, and going through it again and
again is a fifth of ingest's time with labels on.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


def collect_seldom() -> None:
    """For the rest of the process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """As `collect_seldom`, and as before afterwards."""
    before = gc.get_threshold()
    collect_seldom()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
