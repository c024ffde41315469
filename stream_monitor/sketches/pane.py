"""Panes: all that is kept of one series over one slide of event time.

A PredictionPane is by prediction time, a LabelPane by label time. Both are products of small sketches and obey
the same laws, so a delta of one flush, a pane and a whole window are the same type. Members nothing was added to
are None (or empty dicts), so a pane of few events is small: an empty one 30 bytes, one of 20 numeric features
on 80 bins typically 2 to 4 kB. Binned parts carry their schema_id and add only to their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, Self, TypeVar

import msgspec

from stream_monitor.sketches.bottom_k import BottomK
from stream_monitor.sketches.codec import pack, unpack
from stream_monitor.sketches.confusion import Confusion
from stream_monitor.sketches.ddsketch import DDSketch
from stream_monitor.sketches.exact_sum import ExactSum
from stream_monitor.sketches.hashing import hash64
from stream_monitor.sketches.raw import RawFeature
from stream_monitor.sketches.regression import RegressionSums
from stream_monitor.sketches.score_counts import ScoreCounts
from stream_monitor.sketches.sketch import Sketch
from stream_monitor.sketches.sparse import Counts, decode_counts, encode_counts

RAW_FEATURES_LIMIT: Final = 2000
"""Features a pane keeps raw; of more, those whose names have the smallest hashes (`raw_limited` tells)."""

_VERSION: Final = 1
_Packed = dict[str, bytes]

S = TypeVar("S", bound=Sketch)


@dataclass(slots=True, eq=False)
class PredictionPane:
    """`n` predictions. `binned`: schema_id → int64 vector of that schema's BinLayout; `raw`, `raw_output`: before
    a profile exists; `latency` in seconds."""

    n: int = 0
    unknown_class: int = 0  # predictions whose class is none of the known ones
    binned: dict[str, Counts] = field(default_factory=dict)
    raw: dict[str, RawFeature] | None = None
    raw_limited: bool = False
    raw_output: RawFeature | None = None
    latency: DDSketch | None = None
    latency_sum: ExactSum | None = None

    @property
    def is_empty(self) -> bool:
        parts = (self.binned, self.raw, self.raw_output, self.latency, self.latency_sum)
        return self.n == 0 and self.unknown_class == 0 and not any(parts)

    def add_binned(self, schema_id: str, counts: Counts) -> None:
        """Adds one group's row of BinCounter.count."""
        mine = self.binned.get(schema_id)
        if mine is None:
            self.binned[schema_id] = counts.copy()
        elif mine.shape != counts.shape:
            raise ValueError(
                f"schema {schema_id} has {mine.size} slots here and {counts.size} there: only counts on the same "
                "frozen bins add"
            )
        else:
            mine += counts

    def add_raw(
        self,
        columns: Mapping[str, Sequence[object]],
        output: Sequence[object] | None = None,
        hash_key: bytes = b"",
    ) -> None:
        """Adds events.columns.raw_features(…) of events without layout; `output`: their scores, predicted
        classes or values."""
        raw = self.raw = self.raw or {}
        for name, values in columns.items():
            raw.setdefault(name, RawFeature()).update(values, hash_key)
        if output is not None:
            self.raw_output = self.raw_output or RawFeature()
            self.raw_output.update(output, hash_key)
        self._bound_raw()

    def merge(self, other: Self) -> None:
        self.n += other.n
        self.unknown_class += other.unknown_class
        for schema_id, counts in other.binned.items():
            self.add_binned(schema_id, counts)
        if other.raw is not None:
            raw = self.raw = self.raw or {}
            for name, feature in other.raw.items():
                _merge_into(raw, name, feature)
        self.raw_limited |= other.raw_limited
        self._bound_raw()
        self.raw_output = _merged(self.raw_output, other.raw_output)
        self.latency = _merged(self.latency, other.latency)
        self.latency_sum = _merged(self.latency_sum, other.latency_sum)

    def copy(self) -> Self:
        new = type(self)()
        new.merge(self)
        return new

    def to_bytes(self) -> bytes:
        return pack(
            _VERSION,
            self.n,
            self.unknown_class,
            {schema_id: encode_counts(counts) for schema_id, counts in sorted(self.binned.items())},
            None if self.raw is None else _packed(self.raw),
            self.raw_limited,
            _bytes(self.raw_output),
            _bytes(self.latency),
            _bytes(self.latency_sum),
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        n, unknown, binned, raw, limited, output, latency, latency_sum = unpack(
            "prediction pane", data, _VERSION, _prediction_decoder
        )
        return cls(
            n=n,
            unknown_class=unknown,
            binned={schema_id: decode_counts(packed) for schema_id, packed in binned.items()},
            raw=None if raw is None else {name: RawFeature.from_bytes(part) for name, part in raw.items()},
            raw_limited=limited,
            raw_output=_opened(RawFeature.from_bytes, output),
            latency=_opened(DDSketch.from_bytes, latency),
            latency_sum=_opened(ExactSum.from_bytes, latency_sum),
        )

    def _bound_raw(self) -> None:
        if self.raw is not None and len(self.raw) > RAW_FEATURES_LIMIT:
            kept = sorted(self.raw, key=lambda name: (hash64(name), name))[:RAW_FEATURES_LIMIT]
            self.raw = {name: self.raw[name] for name in kept}
            self.raw_limited = True


@dataclass(slots=True, eq=False)
class LabelPane:
    """`joined` pairs by the event time of their label. `deadlines` and `waiting` are signed increments whose sum
    over the panes is meant: predictions whose label can no longer come, and labels whose prediction has not
    come. `scores`: schema_id → counts per class; `delay`: label minus prediction time, signed seconds."""

    joined: int = 0
    unknown_class: int = 0  # pairs with a class that is none of the known ones
    deadlines: int = 0
    labels: int = 0
    waiting: int = 0
    delay: DDSketch | None = None
    confusion: Confusion | None = None
    scores: dict[str, ScoreCounts] = field(default_factory=dict)
    errors: RegressionSums | None = None
    sample: BottomK | None = None

    @property
    def is_empty(self) -> bool:
        counts = (self.joined, self.unknown_class, self.deadlines, self.labels, self.waiting)
        parts = (self.delay, self.confusion, self.errors, self.sample)
        return not any(counts) and not self.scores and all(part is None for part in parts)

    def merge(self, other: Self) -> None:
        self.joined += other.joined
        self.unknown_class += other.unknown_class
        self.deadlines += other.deadlines
        self.labels += other.labels
        self.waiting += other.waiting
        for schema_id, counts in other.scores.items():
            _merge_into(self.scores, schema_id, counts)
        self.delay = _merged(self.delay, other.delay)
        self.confusion = _merged(self.confusion, other.confusion)
        self.errors = _merged(self.errors, other.errors)
        self.sample = _merged(self.sample, other.sample)

    def copy(self) -> Self:
        new = type(self)()
        new.merge(self)
        return new

    def to_bytes(self) -> bytes:
        return pack(
            _VERSION,
            (self.joined, self.unknown_class, self.deadlines, self.labels, self.waiting),
            _bytes(self.delay),
            _bytes(self.confusion),
            _packed(self.scores),
            _bytes(self.errors),
            _bytes(self.sample),
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        counts, delay, confusion, scores, errors, sample = unpack("label pane", data, _VERSION, _label_decoder)
        joined, unknown, deadlines, labels, waiting = counts
        return cls(
            joined=joined,
            unknown_class=unknown,
            deadlines=deadlines,
            labels=labels,
            waiting=waiting,
            delay=_opened(DDSketch.from_bytes, delay),
            confusion=_opened(Confusion.from_bytes, confusion),
            scores={schema_id: ScoreCounts.from_bytes(part) for schema_id, part in scores.items()},
            errors=_opened(RegressionSums.from_bytes, errors),
            sample=_opened(BottomK.from_bytes, sample),
        )


_prediction_decoder: Final = msgspec.msgpack.Decoder(
    tuple[int, int, _Packed, _Packed | None, bool, bytes | None, bytes | None, bytes | None]
)
_label_decoder: Final = msgspec.msgpack.Decoder(
    tuple[
        tuple[int, int, int, int, int],
        bytes | None,
        bytes | None,
        _Packed,
        bytes | None,
        bytes | None,
    ]
)


class _Written(Protocol):
    def to_bytes(self) -> bytes: ...


def _merged(mine: S | None, theirs: S | None) -> S | None:
    if theirs is None:
        return mine
    if mine is None:
        return theirs.copy()
    mine.merge(theirs)
    return mine


def _merge_into(parts: dict[str, S], name: str, part: S) -> None:
    mine = parts.get(name)
    if mine is None:
        parts[name] = part.copy()
    else:
        mine.merge(part)


def _packed(parts: Mapping[str, _Written]) -> _Packed:
    return {name: part.to_bytes() for name, part in sorted(parts.items())}


def _bytes(part: _Written | None) -> bytes | None:
    return None if part is None else part.to_bytes()


def _opened(read: Callable[[bytes], S], data: bytes | None) -> S | None:
    return None if data is None else read(data)
