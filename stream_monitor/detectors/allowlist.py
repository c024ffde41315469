"""Reading pickled river detectors without giving the bytes any power.

Promises: only the classes below are ever looked up; anything else is a FormatError before it is imported.
Costs: a find_class call a class. Leaves to others: what is pickled (detector.py).

The state topic is the monitor's own, but whoever may write to it must not thereby run code here.
"""

from __future__ import annotations

import builtins
import io
import pickle
import pickletools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stream_monitor.detectors.river_drift import PageHinkley
from stream_monitor.errors import FormatError

_CYTHON_ADWIN = "river.drift.adwin_c"  # river before its Rust core: seen in 0.22 and 0.24
ALLOWED: frozenset[tuple[str, str]] = frozenset(
    {
        ("river.drift.adwin", "ADWIN"),
        ("river._river_rust.drift", "AdaptiveWindowing"),
        ("river.drift.page_hinkley", "PageHinkley"),
        ("river.stats.mean", "Mean"),
        (_CYTHON_ADWIN, "AdaptiveWindowing"),
        (_CYTHON_ADWIN, "Bucket"),
        (_CYTHON_ADWIN, "__pyx_unpickle_AdaptiveWindowing"),
        (_CYTHON_ADWIN, "__pyx_unpickle_Bucket"),
        (_CYTHON_ADWIN, "_rebuild_bucket"),
        ("collections", "deque"),
        ("numpy", "dtype"),
        ("numpy._core.numeric", "_frombuffer"),
    }
)
# Page-Hinkley keeps one of its own test methods in an attribute, which pickles as getattr(detector, name).
_MEMO_PLACES = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_PAGE_HINKLEY_TESTS = frozenset({"_test_increase", "_test_decrease", "_test_both"})


def _guarded_getattr(instance: object, name: str) -> object:
    if type(instance) is PageHinkley and name in _PAGE_HINKLEY_TESTS:
        return getattr(instance, name)
    raise FormatError(f"detector state asks for attribute {name!r} of {type(instance).__name__}")


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in ALLOWED:
            return super().find_class(module, name)
        if (module, name) == (builtins.__name__, "getattr"):
            return _guarded_getattr
        accepted = ", ".join(sorted(f"{m}.{n}" for m, n in ALLOWED))
        raise FormatError(f"detector state names {module}.{name}; accepted: {accepted}")


def dumps(value: object) -> bytes:
    return pickle.dumps(value, protocol=5)


def loads(data: bytes) -> Any:
    """FormatError for anything but a whole pickle of allowed classes and plain values."""
    with refusing():
        for opcode, argument, _ in pickletools.genops(data):
            # The unpickler makes a table of that many places: 16 GB for five bytes.
            if opcode.name in _MEMO_PLACES and int(argument or 0) > len(data):
                raise FormatError(f"detector state of {len(data)} bytes names place {argument}")
        return _Unpickler(io.BytesIO(data)).load()


@contextmanager
def refusing() -> Iterator[None]:
    """Makes a FormatError of whatever a broken pickle, or an object made of one, raises: nearly any type, and the
    panics of river's core, which are no Exception."""
    try:
        yield
    except (FormatError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise FormatError(f"detector state cannot be read: {type(error).__name__}: {error}") from error
