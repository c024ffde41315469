"""What all fuzz targets share: a target is a module `fuzz_<name>.py` with `check(data)` and `SEEDS`.

`check` takes any bytes and returns, or fails with what should never happen: an exception that is not the module's own
named error, a value that does not survive its own encoding, a figure that is not finite.  A hang and a huge allocation
are seen from outside: by libFuzzer while fuzzing, by `replay` afterwards.
"""

from __future__ import annotations

import hashlib
import importlib
import math
import resource
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
LONGEST = 8_192  # bytes of an input
MOST_BYTES = 96 << 20  # that one input may allocate
MOST_SECONDS = 10.0  # that one input may take, on a busy machine


class Target(Protocol):
    SEEDS: tuple[bytes, ...]

    def check(self, data: bytes) -> None: ...


def names() -> list[str]:
    return sorted(path.stem.removeprefix("fuzz_") for path in HERE.glob("fuzz_*.py"))


def load(name: str) -> Target:
    return importlib.import_module(f"tests.fuzz.fuzz_{name}")  # type: ignore[return-value]


def corpus(name: str) -> list[Path]:
    return sorted((CORPUS / name).glob("*"))


def replay(target: Target, data: bytes) -> None:
    """Check one input, its time, and what it adds to the most memory that this process ever held."""
    before, started = _most_memory(), time.monotonic()
    target.check(data)
    took, grown = time.monotonic() - started, _most_memory() - before
    assert took < MOST_SECONDS, f"{took:.1f} s for {len(data)} bytes"
    assert grown < MOST_BYTES, f"{grown >> 20} MB for {len(data)} bytes"


def _most_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def kind_of(error: BaseException) -> str:
    """What tells one fault from another: its type and the innermost line of ours that it passed."""
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if "stream_monitor" in f.filename or "fuzz_" in f.name
    ]
    frames = frames or list(traceback.extract_tb(error.__traceback__))
    where = frames[-1]
    return f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}"


def failure(check: Callable[[bytes], None], data: bytes) -> str | None:
    """The kind of fault that `data` brings out, None if there is none."""
    try:
        check(data)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of a Rust library is no Exception
        return kind_of(error)
    return None


def smallest(check: Callable[[bytes], None], data: bytes, kind: str, tries: int = 2_000) -> bytes:
    """A shorter input that fails in the same way: pieces are left out for as long as it still does."""
    piece = max(1, len(data) // 2)
    while piece and tries > 0:
        at = 0
        while at < len(data) and tries > 0:
            shorter = data[:at] + data[at + piece :]
            tries -= 1
            if failure(check, shorter) == kind:
                data = shorter
            else:
                at += piece
        piece //= 2
    return data


def file_name(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def numbers_of(value: Any) -> Iterator[float]:
    """All floats in a value made of mappings, sequences and structs."""
    if isinstance(value, float):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from numbers_of(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from numbers_of(item)
    elif hasattr(value, "__struct_fields__"):
        for name in value.__struct_fields__:
            yield from numbers_of(getattr(value, name))


def all_finite(value: Any) -> None:
    bad = [number for number in numbers_of(value) if not math.isfinite(number)]
    assert not bad, f"{bad[:3]} in {value!r}"[:500]
