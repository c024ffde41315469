"""From Kafka values to rows: every event of a batch becomes a row or a reject, and nothing raises.

Fast path: one typed msgspec parse, which takes well-formed events only (about 2 µs for 20 features). Whatever it
refuses goes to lenient.py, so one bad feature costs that feature, not the event. Fields it does not know it skips
unread: their nesting is bounded by msgspec's recursion guard, on the lenient path by `max_depth`.
Keeps no state between batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_monitor.events.columns import FeatureLayout
from stream_monitor.events.fields import Name, PredictionId, Timestamp
from stream_monitor.events.label import LabelEvent
from stream_monitor.events.lenient import check_actual, read_label, read_prediction, too_many_features
from stream_monitor.events.mapping import compile_mapping
from stream_monitor.events.plausibility import check_prediction_time, plausible_ms
from stream_monitor.events.policy import DecodePolicy, TimeBounds
from stream_monitor.events.prediction import PredictionEvent, PredictionRow
from stream_monitor.events.rejects import Reject, RejectReason
from stream_monitor.events.times import MAX_MS, MIN_MS, aware_times_ms, parse_timestamp
from stream_monitor.events.typed import TypedModel, event_decoder
from stream_monitor.events.unreadable import UNREADABLE
from stream_monitor.events.untrusted import Rejected, parse_untrusted

RowT = TypeVar("RowT")
_ANY_TIME = MAX_MS - MIN_MS
# Never plausible, so the slow judgement reads the time.
_UNREAD = MIN_MS - 1


@dataclass(slots=True)
class Decoded(Generic[RowT]):
    """A batch in input order: row i came from values[index[i]] and happened at timestamps[i] (int64, ms).

    `rejects`: (index into values, why).
    """

    rows: list[RowT]
    timestamps: NDArray[np.int64]
    index: Sequence[int]
    rejects: list[tuple[int, Reject]]


class PredictionDecoder:
    """Decodes predictions of all models of a topic; `layouts`: which features of a model are read, and as what."""

    def __init__(self, policy: DecodePolicy, layouts: Mapping[str, FeatureLayout] | None = None) -> None:
        self._policy = policy
        self._rename = compile_mapping(policy.mapping)
        self._models = {name: TypedModel(name, layout) for name, layout in (layouts or {}).items()}
        self._bare = msgspec.json.Decoder(PredictionEvent)
        if self._models:
            self._reader = _Reader(policy, event_decoder(self._models).decode, self._after_typed, None, None)
        else:
            self._reader = _Reader(policy, self._bare.decode, self._leniently, self._crowded, self._check_count)

    def with_layouts(self, layouts: Mapping[str, FeatureLayout]) -> PredictionDecoder:
        """A new decoder of the same policy; rows of the two differ in `features` only."""
        return PredictionDecoder(self._policy, layouts)

    def decode_batch(self, values: Sequence[bytes | None], record_ms: Sequence[int]) -> Decoded[PredictionRow]:
        """`record_ms`: times of the Kafka records, against which plausibility is judged; -1 if they have none."""
        return self._reader.read(values, record_ms)

    def _after_typed(self, value: bytes, error: Exception | None) -> PredictionRow:
        # Only a hint: a model without layout fails at its tag, long before its features would be parsed.
        if error is not None and "$.model_name" in str(error):
            try:
                row = self._bare.decode(value)
            except UNREADABLE:
                pass
            else:
                if row.model_name not in self._models:
                    self._check_count(row, 0)
                    return row
        return self._leniently(value, error)

    def _leniently(self, value: bytes, error: Exception | None) -> PredictionRow:
        document = parse_untrusted(value, self._policy.max_depth)
        if self._rename is not None and isinstance(document, dict):
            document = self._rename(document)
        return read_prediction(document, self._models, self._policy)

    def _crowded(self, rows: Sequence[PredictionRow]) -> list[int]:
        most = self._policy.max_features
        return [i for i, row in enumerate(rows) if len(row.features) > most]

    def _check_count(self, row: PredictionRow, record_ms: int) -> None:
        if len(row.features) > self._policy.max_features:
            raise too_many_features(len(row.features), self._policy)


class Identity(msgspec.Struct, gc=False):
    """Whose event it is and when it happened: all of an event that repartitioning needs."""

    model_name: Name
    prediction_id: PredictionId
    timestamp: Timestamp


class IdentityDecoder:
    """Decodes only that of predictions, at half the cost; what could be refused of the rest is not looked at.

    Rows are Identity, or whole rows where the typed parse refused them; both have its three attributes.
    """

    def __init__(self, policy: DecodePolicy) -> None:
        fast = msgspec.json.Decoder(Identity).decode
        self._reader: _Reader[Any] = _Reader(policy, fast, PredictionDecoder(policy)._leniently, None, None)

    def decode_batch(self, values: Sequence[bytes | None], record_ms: Sequence[int]) -> Decoded[Any]:
        """As PredictionDecoder.decode_batch."""
        return self._reader.read(values, record_ms)


class LabelDecoder:
    """Decodes labels; `prediction_timestamp` of a row is int milliseconds or None."""

    def __init__(self, policy: DecodePolicy) -> None:
        self._policy = policy
        self._rename = compile_mapping(policy.mapping)
        fast = msgspec.json.Decoder(LabelEvent).decode
        self._reader: _Reader[LabelEvent] = _Reader(policy, fast, self._leniently, _unusual, self._check)

    def decode_batch(self, values: Sequence[bytes | None], record_ms: Sequence[int]) -> Decoded[LabelEvent]:
        """As PredictionDecoder.decode_batch."""
        return self._reader.read(values, record_ms)

    def _leniently(self, value: bytes, error: Exception | None) -> LabelEvent:
        document = parse_untrusted(value, self._policy.max_depth)
        if self._rename is not None and isinstance(document, dict):
            document = self._rename(document)
        return read_label(document)

    def _check(self, row: LabelEvent, record_ms: int) -> None:
        check_actual(row.actual)
        if row.prediction_timestamp is not None:
            row.prediction_timestamp = check_prediction_time(
                row.prediction_timestamp, record_ms, row.model_name, self._policy
            )


def _unusual(rows: Sequence[LabelEvent]) -> list[int]:
    """Labels that more than a class is said of, or less."""
    return [i for i, row in enumerate(rows) if row.actual.label is None or row.prediction_timestamp is not None]


class _Reader(Generic[RowT]):
    """What both decoders share, step by step over the whole batch: parse or fallback, check, time.

    `suspects` names the rows that `check` must look at: all that it would refuse or change are among them.
    """

    def __init__(
        self,
        policy: DecodePolicy,
        fast: Callable[[bytes], Any],
        fallback: Callable[[bytes, Exception | None], RowT],
        suspects: Callable[[Sequence[RowT]], Sequence[int]] | None,
        check: Callable[[RowT, int], None] | None,
    ) -> None:
        self._policy = policy
        self._fast = None if policy.mapping else fast
        self._fallback = fallback
        self._suspects = suspects
        self._check = check
        self._default = _limits(TimeBounds(policy.max_past_ms, policy.max_future_ms))
        self._limits = {name: _limits(bounds) for name, bounds in policy.per_model.items()}

    def read(self, values: Sequence[bytes | None], record_ms: Sequence[int]) -> Decoded[RowT]:
        found, rejects = self._parsed(values)
        rows: list[RowT] = found
        index: Sequence[int] = range(len(rows))
        if rejects:
            index = [i for i in index if i not in rejects]
            rows = [found[i] for i in index]
            record_ms = [record_ms[i] for i in index]
        bad = self._checked(rows, record_ms)
        timestamps = self._timed(rows, record_ms, bad)
        if bad:
            kept = [i for i in range(len(rows)) if i not in bad]
            rejects |= {index[i]: reject for i, reject in bad.items()}
            rows, timestamps, index = [rows[i] for i in kept], timestamps[kept], [index[i] for i in kept]
        return Decoded(rows, timestamps, index, sorted(rejects.items()))

    def _parsed(self, values: Sequence[bytes | None]) -> tuple[list[Any], dict[int, Reject]]:
        """A row for each value; None, and a reject by its index, for those that are no events."""
        rows: list[Any] = []
        rejects: dict[int, Reject] = {}
        rest = iter(values)
        fast = self._fast if self._all_fit(values) else None
        while len(rows) < len(values):
            error: Exception | None = None
            if fast is not None:
                try:
                    # The rows before a value that is refused are kept: `rest` stands behind that value then.
                    rows.extend(map(fast, cast("Iterator[bytes]", rest)))
                    continue
                except UNREADABLE as refusal:
                    error = refusal
            rows.append(None)
            try:
                rows[-1] = self._one(values[len(rows) - 1], error)
            except Rejected as rejected:
                rejects[len(rows) - 1] = rejected.reject
        return rows, rejects

    def _all_fit(self, values: Sequence[bytes | None]) -> bool:
        sizes = [0 if value is None else len(value) for value in values]
        return bool(sizes) and min(sizes) > 0 and max(sizes) <= self._policy.max_event_bytes

    def _one(self, value: bytes | None, error: Exception | None) -> RowT:
        if not value or len(value) > self._policy.max_event_bytes:
            raise self._of_bad_size(value)
        if error is None and self._fast is not None:
            try:
                return cast(RowT, self._fast(value))
            except UNREADABLE as refusal:
                error = refusal
        return self._fallback(value, error)

    def _checked(self, rows: Sequence[RowT], record_ms: Sequence[int]) -> dict[int, Reject]:
        bad = {}
        if self._suspects is not None and self._check is not None:
            for i in self._suspects(rows):
                try:
                    self._check(rows[i], record_ms[i])
                except Rejected as rejected:
                    bad[i] = rejected.reject
        return bad

    def _timed(self, rows: Sequence[Any], record_ms: Sequence[int], bad: dict[int, Reject]) -> NDArray[np.int64]:
        """Milliseconds of each row; what is implausible goes to `bad`."""
        times = [row.timestamp for row in rows]
        try:
            ms = aware_times_ms(times)  # as the typed parse gives them, where they were texts
        except TypeError:
            ms = np.array([self._ms(time) for time in times], np.int64)
        # As floats, since a producer may have stamped its record with any 64-bit number.
        ahead = ms - np.array(record_ms, np.float64)
        limits = np.array(self._default, np.float64)
        if self._limits and rows:
            limits = np.array([self._limits.get(row.model_name, self._default) for row in rows], np.float64)
        past, future = limits.T
        fine = (ahead >= -past) & (ahead <= future) & (ms >= MIN_MS) & (ms <= MAX_MS)
        for i in np.flatnonzero(~fine).tolist():
            if i not in bad:
                try:
                    ms[i] = plausible_ms(times[i], record_ms[i], rows[i].model_name, self._policy)
                except Rejected as rejected:
                    bad[i] = rejected.reject
        return ms

    def _ms(self, time: object) -> int:
        try:
            return parse_timestamp(time, self._policy.timestamp_unit)
        except ValueError:
            return _UNREAD

    def _of_bad_size(self, value: bytes | None) -> Rejected:
        if not value:
            return Rejected(RejectReason.EMPTY, "the message has no value; an event is a JSON object")
        return Rejected(
            RejectReason.TOO_LARGE,
            f"the message has {len(value)} bytes; at most {self._policy.max_event_bytes} (max_event_bytes)",
        )


def _limits(bounds: TimeBounds) -> tuple[int, int]:
    past, future = bounds.max_past_ms, bounds.max_future_ms
    return _ANY_TIME if past is None else past, _ANY_TIME if future is None else future
