"""How many heaps the C library keeps, in processes whose threads pass memory on to each other.

glibc gives new threads heaps of their own, eight a core, and gives back little of one that another thread frees. With
the threads of the join store and of the client that was 70 MiB of ingest's 470; two heaps serve them as fast. Does
nothing where the C library is another one, or the user has set MALLOC_ARENA_MAX.
"""

from __future__ import annotations

import ctypes
import os
import sys

_M_ARENA_MAX = -8  # malloc.h
_ARENAS = 2


def few_arenas() -> None:
    """For the rest of the process. Heaps that exist stay: to be called before threads begin."""
    if sys.platform != "linux" or "MALLOC_ARENA_MAX" in os.environ:
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)
