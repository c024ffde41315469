"""Panes: all that is kept of one series over one slide of event time.

A PredictionPane is by prediction time, a LabelPane by label time. Both are products of small sketches and obey
the same laws, so a delta of one flush, a pane and a whole window are the same type. Members nothing was added to
are None (or empty dicts), so a pane of few events is small: an empty one 30 bytes, one of 20 numeric features
on 80 bins typically 2 kB. Binned parts carry their schema_id and add only to their own.

Written, a pane is a fifth of its size: whoever keeps many keeps bytes, reads what is needed of them (packed.py, 1 µs)
and adds them up with `add_packed`, which costs 10 µs and makes no second pane.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol, Self, TypeVar

from stream_monitor.errors import FormatError
from stream_monitor.sketches.bottom_k import BottomK
from stream_monitor.sketches.codec import pack
from stream_monitor.sketches.confusion import Confusion
from stream_monitor.sketches.ddsketch import DDSketch
from stream_monitor.sketches.exact_sum import ExactSum
from stream_monitor.sketches.hashing import hash64
from stream_monitor.sketches.packed import PANE_VERSION, PackedLabels, PackedPredictions
from stream_monitor.sketches.raw import RawFeature
from stream_monitor.sketches.regression import RegressionSums
from stream_monitor.sketches.score_counts import ScoreCounts
from stream_monitor.sketches.sketch import Sketch
from stream_monitor.sketches.sparse import MAX_SLOTS, Counts, add_counts, count_slots, decode_counts, encode_counts

RAW_FEATURES_LIMIT: Final = 2000
"""Features a pane keeps raw; of more, those whose names have the smallest hashes (`raw_limited` tells)."""

_PANE_BYTES: Final = 1_600  # an empty one with its exact sums, its key, and its places in the tables

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

    @property
    def held_bytes(self) -> int:
        """Memory, roughly, the key that leads to it included. Costs 0.5 µs, and 0.5 µs a raw feature."""
        size = _PANE_BYTES + sum(150 + counts.nbytes for counts in self.binned.values())
        if self.raw is not None:
            size += sum(150 + feature.held_bytes for feature in self.raw.values())
        parts = (self.raw_output, self.latency)
        return size + sum(part.held_bytes for part in parts if part is not None)

    def add_binned(self, schema_id: str, counts: Counts) -> None:
        """Adds one group's row of BinCounter.count."""
        mine = self.binned.get(schema_id)
        if mine is None:
            self.binned[schema_id] = counts.copy()
        elif mine.shape != counts.shape:
            raise _other_bins(schema_id, mine.size, counts.size)
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
            PANE_VERSION,
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
        new = cls()
        new.add_packed(PackedPredictions.read(data))
        return new

    def add_packed(self, packed: PackedPredictions) -> None:
        """Merges a pane as written. After a FormatError this one is not to be used any more."""
        with _refusing("prediction pane"):
            self._add_packed(packed)

    def _add_packed(self, packed: PackedPredictions) -> None:
        self.n += packed.n
        self.unknown_class += packed.unknown_class
        for schema_id, counts in packed.binned.items():
            mine = self.binned.get(schema_id)
            if mine is None:
                slots = sum(each.size for each in self.binned.values())
                self.binned[schema_id] = decode_counts(counts, MAX_SLOTS - slots)
            elif mine.size != count_slots(counts):
                raise _other_bins(schema_id, mine.size, count_slots(counts))
            else:
                add_counts(counts, mine)
        if packed.raw is not None:
            raw = self.raw = self.raw or {}
            for name, part in packed.raw.items():
                raw[name] = _with(raw.get(name), RawFeature.from_bytes(part))
            self._bound_raw()
        self.raw_limited |= packed.raw_limited
        self.raw_output = _with_bytes(self.raw_output, RawFeature, packed.raw_output)
        self.latency = _with_times(self.latency, packed.latency)
        self.latency_sum = _with_bytes(self.latency_sum, ExactSum, packed.latency_sum)

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

    @property
    def held_bytes(self) -> int:
        """As of a PredictionPane."""
        size = _PANE_BYTES + sum(150 + counts.held_bytes for counts in self.scores.values())
        parts = (self.delay, self.confusion, self.sample)
        return size + sum(part.held_bytes for part in parts if part is not None)

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
            PANE_VERSION,
            (self.joined, self.unknown_class, self.deadlines, self.labels, self.waiting),
            _bytes(self.delay),
            _bytes(self.confusion),
            _packed(self.scores),
            _bytes(self.errors),
            _bytes(self.sample),
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        new = cls()
        new.add_packed(PackedLabels.read(data))
        return new

    def add_packed(self, packed: PackedLabels) -> None:
        """Merges a pane as written. After a FormatError this one is not to be used any more."""
        with _refusing("label pane"):
            self._add_packed(packed)

    def _add_packed(self, packed: PackedLabels) -> None:
        joined, unknown, deadlines, labels, waiting = packed.counts
        self.joined += joined
        self.unknown_class += unknown
        self.deadlines += deadlines
        self.labels += labels
        self.waiting += waiting
        for schema_id, part in packed.scores.items():
            self.scores[schema_id] = _with(self.scores.get(schema_id), ScoreCounts.from_bytes(part))
        self.delay = _with_times(self.delay, packed.delay)
        self.confusion = _with_bytes(self.confusion, Confusion, packed.confusion)
        self.errors = _with_bytes(self.errors, RegressionSums, packed.errors)
        self.sample = _with_bytes(self.sample, BottomK, packed.sample)


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


def _packed(parts: Mapping[str, _Written]) -> dict[str, bytes]:
    return {name: part.to_bytes() for name, part in sorted(parts.items())}


def _bytes(part: _Written | None) -> bytes | None:
    return None if part is None else part.to_bytes()


def _with(mine: S | None, part: S) -> S:
    """Both merged; `part` is nobody else's."""
    if mine is None:
        return part
    mine.merge(part)
    return mine


def _with_bytes(mine: S | None, kind: type[S], data: bytes | None) -> S | None:
    return mine if data is None else _with(mine, kind.from_bytes(data))


def _with_times(mine: DDSketch | None, data: bytes | None) -> DDSketch | None:
    if mine is None or data is None:
        return _with_bytes(mine, DDSketch, data)
    mine.add_bytes(data)
    return mine


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """Sketches that do not merge are a mistake of the caller, but of bytes that were read a broken format."""
    try:
        yield
    except ValueError as error:
        raise FormatError(f"{what}: {error}") from error


def _other_bins(schema_id: str, mine: int, theirs: int) -> ValueError:
    return ValueError(
        f"schema {schema_id} has {mine} slots here and {theirs} there: only counts on the same frozen bins add"
    )
