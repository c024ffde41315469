"""Panes as they are written, read no further than to their counts: their sketches are still bytes.

Promises: a pane's bytes begin with the format version; FormatError for those of another one, and for broken ones. Costs
1 µs. Leaves to pane.py what the sketches are, and writing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

import msgspec
from msgspec.structs import astuple, replace

from stream_monitor.sketches.codec import Count, pack, unpack

PANE_VERSION: Final = 2
_Change = Annotated[int, msgspec.Meta(ge=-(1 << 53), le=1 << 53)]
_READ: Final = (1, 2)  # 1 had no split counts (sparse.py) and is the same else


class PackedPredictions(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A PredictionPane as written, its sketches still in bytes."""

    n: Count
    unknown_class: Count
    binned: dict[str, bytes]
    raw: dict[str, bytes] | None
    raw_limited: bool
    raw_output: bytes | None
    latency: bytes | None
    latency_sum: bytes | None

    @classmethod
    def read(cls, data: bytes) -> PackedPredictions:
        return unpack("prediction pane", data, _READ, _prediction_decoder)

    def to_bytes(self) -> bytes:
        return pack(PANE_VERSION, *astuple(self))

    def split(self, most: int) -> Iterator[PackedPredictions]:
        """Panes whose sum is this one, each with raw features of at most `most` bytes, or a single larger one."""
        groups: list[dict[str, bytes]] = [{}]
        size = 0
        for name, feature in (self.raw or {}).items():
            size += len(name) + len(feature)
            if size > most and groups[-1]:
                groups.append({})
                size = len(name) + len(feature)
            groups[-1][name] = feature
        yield self if self.raw is None else replace(self, raw=groups[0])
        for raw in groups[1:]:
            yield PackedPredictions(0, 0, {}, raw, False, None, None, None)


class PackedLabels(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A LabelPane as written, its sketches still in bytes."""

    counts: tuple[Count, Count, _Change, Count, _Change]  # joined, unknown_class, deadlines, labels, waiting
    delay: bytes | None
    confusion: bytes | None
    scores: dict[str, bytes]
    errors: bytes | None
    sample: bytes | None

    @classmethod
    def read(cls, data: bytes) -> PackedLabels:
        return unpack("label pane", data, _READ, _label_decoder)

    def to_bytes(self) -> bytes:
        return pack(PANE_VERSION, *astuple(self))

    def without_sample(self) -> PackedLabels:
        return self if self.sample is None else replace(self, sample=None)

    @property
    def joined(self) -> int:
        return self.counts[0]

    @property
    def deadlines(self) -> int:
        return self.counts[2]

    @property
    def labels(self) -> int:
        return self.counts[3]

    @property
    def waiting(self) -> int:
        return self.counts[4]


_prediction_decoder: Final = msgspec.msgpack.Decoder(PackedPredictions)
_label_decoder: Final = msgspec.msgpack.Decoder(PackedLabels)
