"""Reading pickled river detectors without giving the bytes any power.

Promises: only the classes below are ever looked up; anything else is a FormatError before it is imported.
Costs: a find_class call a class. Leaves to others: what is pickled (detector.py).

The state topic is the monitor's own, but whoever may write to it must not thereby run code here.
"""

from __future__ import annotations

import builtins
import io
import pickle
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
    try:
        return _Unpickler(io.BytesIO(data)).load()
    except FormatError:
        raise
    except Exception as error:  # a broken pickle raises nearly any type
        raise FormatError(f"detector state cannot be read: {type(error).__name__}: {error}") from error
