"""Whether an event's time is believable, judged against its Kafka record's time and never a clock.

A wrong unit is the usual cause of an absurd time, so the sentence names the unit that would make sense.
"""

from __future__ import annotations

from typing import get_args

from stream_monitor.events.policy import DecodePolicy, TimeBounds
from stream_monitor.events.rejects import RejectReason
from stream_monitor.events.times import (
    MAX_MS,
    MIN_MS,
    TimestampUnit,
    format_duration,
    format_timestamp,
    parse_timestamp,
)
from stream_monitor.events.untrusted import Rejected

_UNIT_NAMES: dict[TimestampUnit, str] = {
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
}


def is_plausible(ms: int, record_ms: int, bounds: TimeBounds) -> bool:
    """A record without time (negative) judges nothing."""
    if record_ms < 0:
        return True
    ahead = ms - record_ms
    return (bounds.max_past_ms is None or -ahead <= bounds.max_past_ms) and (
        bounds.max_future_ms is None or ahead <= bounds.max_future_ms
    )


def plausible_ms(value: object, record_ms: int, model_name: str, policy: DecodePolicy) -> int:
    """Milliseconds of an event's `timestamp`; raises Rejected."""
    return _judged("timestamp", value, record_ms, policy.bounds(model_name), policy)


def check_prediction_time(value: object, record_ms: int, model_name: str, policy: DecodePolicy) -> int:
    """Milliseconds of a label's `prediction_timestamp`: any age, but not in the future; raises Rejected."""
    bounds = TimeBounds(None, policy.bounds(model_name).max_future_ms)
    return _judged("prediction_timestamp", value, record_ms, bounds, policy)


def _judged(field: str, value: object, record_ms: int, bounds: TimeBounds, policy: DecodePolicy) -> int:
    ms = _readable(field, value, record_ms, bounds, policy)
    if is_plausible(ms, record_ms, bounds):
        return ms
    distance = format_duration(abs(ms - record_ms) // 1_000 * 1_000)
    side, limit, rule = (
        ("after", bounds.max_future_ms, "max_future") if ms > record_ms else ("before", bounds.max_past_ms, "max_past")
    )
    raise Rejected(
        RejectReason.TIMESTAMP_OUT_OF_RANGE,
        f"{field} {format_timestamp(ms)} is {distance} {side} its record's {_shown(record_ms)}; "
        f"{rule} is {format_duration(limit or 0)}{_likely_unit(value, record_ms, policy, bounds)}",
    )


def _shown(record_ms: int) -> str:
    """A producer may have stamped its record with any 64-bit number; what no calendar holds is shown as it is."""
    return format_timestamp(record_ms) if MIN_MS <= record_ms <= MAX_MS else f"{record_ms} ms"


def _readable(field: str, value: object, record_ms: int, bounds: TimeBounds, policy: DecodePolicy) -> int:
    try:
        return parse_timestamp(value, policy.timestamp_unit)
    except ValueError as error:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        reason = RejectReason.TIMESTAMP_OUT_OF_RANGE if is_number else RejectReason.WRONG_TYPE
        raise Rejected(reason, f"{field}: {error}{_likely_unit(value, record_ms, policy, bounds)}") from None


def _likely_unit(value: object, record_ms: int, policy: DecodePolicy, bounds: TimeBounds) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float) or record_ms < 0:
        return ""
    candidates: list[tuple[int, TimestampUnit]] = []
    for unit in get_args(TimestampUnit):
        try:
            ms = parse_timestamp(value, unit)
        except ValueError:
            continue
        if unit != policy.timestamp_unit and is_plausible(ms, record_ms, bounds):
            candidates.append((abs(ms - record_ms), unit))
    if not candidates:
        return ""
    unit = min(candidates)[1]
    return f"; it would fit in {_UNIT_NAMES[unit]}: set timestamp_unit: {unit}"
