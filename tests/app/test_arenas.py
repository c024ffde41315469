"""Threads that begin after `few_arenas` share two heaps: counted in a process of its own by glibc's malloc_info."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, sys, threading
from stream_monitor.app.arenas import few_arenas
if sys.argv[1] == "few":
    few_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
together = threading.Barrier(6)
def take():
    together.wait()
    libc.malloc(ctypes.c_size_t(10_000))
    together.wait()
threads = [threading.Thread(target=take) for _ in range(6)]
[t.start() for t in threads], [t.join() for t in threads]
libc.fdopen.restype = ctypes.c_void_p
out = libc.fdopen(1, b"w")
libc.malloc_info(0, ctypes.c_void_p(out))
libc.fflush(ctypes.c_void_p(out))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="heaps are counted by a function of glibc")
def test_threads_share_two_heaps_unless_the_user_decides() -> None:
    few, plain, own = _heaps("few"), _heaps("plain"), _heaps("few", MALLOC_ARENA_MAX="4")
    if not plain:
        pytest.skip("this C library tells nothing of heaps")
    assert few == 2
    assert plain > 2
    assert own == 4


def _heaps(how: str, **settings: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True, env={**os.environ, **settings}
    )
    return done.stdout.count("<heap nr=")
