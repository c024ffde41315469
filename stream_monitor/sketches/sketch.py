"""The laws every sketch obeys, as a protocol.

`a.merge(b)` changes `a`, leaves `b`, and is associative, commutative and neutral on an empty sketch: however a
stream is cut into batches, partitions and flushes, the merged state (and its bytes) is that of the whole
stream. tests/sketches/test_laws.py runs these laws over all of them.
"""

from __future__ import annotations

from typing import Protocol, Self


class Sketch(Protocol):
    @property
    def is_empty(self) -> bool: ...

    def merge(self, other: Self) -> None: ...

    def copy(self) -> Self: ...

    def to_bytes(self) -> bytes: ...

    @classmethod
    def from_bytes(cls, data: bytes) -> Self: ...
