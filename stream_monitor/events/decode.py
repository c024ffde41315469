"""From Kafka values to rows: every event of a batch becomes a row or a reject, and nothing raises.

Fast path: one typed msgspec parse, which takes well-formed events only (about 2 µs for 20 features). Whatever it
refuses goes to lenient.py, so one bad feature costs that feature, not the event. Fields it does not know it skips
unread: their nesting is bounded by msgspec's recursion guard, on the lenient path by `max_depth`.
Keeps no state between batches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

from stream_monitor.events.columns import FeatureLayout
from stream_monitor.events.label import LabelEvent
from stream_monitor.events.lenient import check_actual, read_label, read_prediction, too_many_features
from stream_monitor.events.mapping import compile_mapping
from stream_monitor.events.plausibility import check_prediction_time, plausible_ms
from stream_monitor.events.policy import DecodePolicy, TimeBounds
from stream_monitor.events.prediction import PredictionEvent, PredictionRow
from stream_monitor.events.rejects import Reject, RejectReason
from stream_monitor.events.times import EPOCH, MAX_MS, MILLISECOND, MIN_MS, parse_timestamp
from stream_monitor.events.typed import TypedModel, event_decoder
from stream_monitor.events.untrusted import Rejected, parse_untrusted

RowT = TypeVar("RowT")
# All that a typed msgspec parse raises on arbitrary bytes.
_REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_ANY_TIME = MAX_MS - MIN_MS
# Never plausible, so the slow judgement reads the time.
_UNREAD = MIN_MS - 1


@dataclass(slots=True)
class Decoded(Generic[RowT]):
    """A batch in input order: row i came from values[index[i]] and happened at timestamps[i] (ms).

    `rejects`: (index into values, why).
    """

    rows: list[RowT] = field(default_factory=list)
    timestamps: list[int] = field(default_factory=list)
    index: list[int] = field(default_factory=list)
    rejects: list[tuple[int, Reject]] = field(default_factory=list)


class PredictionDecoder:
    """Decodes predictions of all models of a topic; `layouts`: which features of a model are read, and as what."""

    def __init__(self, policy: DecodePolicy, layouts: Mapping[str, FeatureLayout] | None = None) -> None:
        self._policy = policy
        self._rename = compile_mapping(policy.mapping)
        self._models = {name: TypedModel(name, layout) for name, layout in (layouts or {}).items()}
        self._bare = msgspec.json.Decoder(PredictionEvent)
        if self._models:
            self._reader = _Reader(policy, event_decoder(self._models).decode, self._after_typed, None)
        else:
            self._reader = _Reader(policy, self._bare.decode, self._leniently, self._check_count)

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
            except _REFUSED:
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

    def _check_count(self, row: PredictionRow, record_ms: int) -> None:
        if len(row.features) > self._policy.max_features:
            raise too_many_features(len(row.features), self._policy)


class LabelDecoder:
    """Decodes labels; `prediction_timestamp` of a row is int milliseconds or None."""

    def __init__(self, policy: DecodePolicy) -> None:
        self._policy = policy
        self._rename = compile_mapping(policy.mapping)
        fast = msgspec.json.Decoder(LabelEvent).decode
        self._reader: _Reader[LabelEvent] = _Reader(policy, fast, self._leniently, self._check)

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


class _Reader(Generic[RowT]):
    """The loop both decoders share: size, fast parse or fallback, check, time."""

    def __init__(
        self,
        policy: DecodePolicy,
        fast: Callable[[bytes], Any],
        fallback: Callable[[bytes, Exception | None], RowT],
        check: Callable[[RowT, int], None] | None,
    ) -> None:
        self._policy = policy
        self._fast = None if policy.mapping else fast
        self._fallback = fallback
        self._check = check
        self._default = _limits(TimeBounds(policy.max_past_ms, policy.max_future_ms))
        self._limits = {name: _limits(bounds) for name, bounds in policy.per_model.items()}

    def read(self, values: Sequence[bytes | None], record_ms: Sequence[int]) -> Decoded[RowT]:
        decoded: Decoded[RowT] = Decoded()
        rows, timestamps, index = decoded.rows, decoded.timestamps, decoded.index
        fast, check, limits = self._fast, self._check, self._limits
        max_bytes = self._policy.max_event_bytes
        past, future = self._default
        for i, (value, record) in enumerate(zip(values, record_ms, strict=True)):
            try:
                if not value or len(value) > max_bytes:
                    raise self._of_bad_size(value)
                row: Any
                if fast is None:
                    row = self._fallback(value, None)
                else:
                    try:
                        row = fast(value)
                    except _REFUSED as error:
                        row = self._fallback(value, error)
                if check is not None:
                    check(row, record)
                time = row.timestamp
                ms = (time - EPOCH) // MILLISECOND if type(time) is datetime else self._ms(time)
                if limits:
                    past, future = limits.get(row.model_name, self._default)
                if not (-past <= ms - record <= future and MIN_MS <= ms <= MAX_MS):
                    ms = plausible_ms(time, record, row.model_name, self._policy)
            except Rejected as rejected:
                decoded.rejects.append((i, rejected.reject))
                continue
            rows.append(row)
            timestamps.append(ms)
            index.append(i)
        return decoded

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
