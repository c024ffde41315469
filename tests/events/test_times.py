"""One instant, many spellings; and what is no time."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.events.times import (
    EPOCH,
    MAX_MS,
    MILLISECOND,
    MIN_MS,
    aware_times_ms,
    format_duration,
    format_timestamp,
    parse_timestamp,
)

MS = 1_795_169_730_123


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        ("2026-11-20T10:15:30.123Z", "s"),
        ("2026-11-20T10:15:30.123999+00:00", "s"),
        ("2026-11-20T11:45:30.123+01:30", "ns"),
        ("2026-11-20t10:15:30.123z", "s"),
        (datetime(2026, 11, 20, 10, 15, 30, 123_456, tzinfo=UTC), "s"),
        (datetime(2026, 11, 20, 12, 15, 30, 123_456, tzinfo=timezone(timedelta(hours=2))), "s"),
        (1_795_169_730.123, "s"),
        (1_795_169_730_123, "ms"),
        (1_795_169_730_123.9, "ms"),
        (1_795_169_730_123_999, "us"),
        (1_795_169_730_123_999_499, "ns"),
        (1_795_169_730_123_999_232.0, "ns"),
    ],
)
def test_all_spellings_of_an_instant_are_one_millisecond(value: object, unit: str) -> None:
    assert parse_timestamp(value, unit) == MS  # type: ignore[arg-type]


@given(st.integers(MIN_MS, MAX_MS))
def test_text_of_a_time_reads_back(ms: int) -> None:
    assert parse_timestamp(format_timestamp(ms)) == ms


@given(st.lists(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5, minutes=30))]))))
def test_a_column_of_datetimes_reads_as_each_of_them(times: list[datetime]) -> None:
    assert aware_times_ms(times).tolist() == [(time - EPOCH) // MILLISECOND for time in times]


@given(st.integers(0, 4_000_000_000_000))
def test_float_seconds_of_a_millisecond_read_back(ms: int) -> None:
    assert parse_timestamp(ms / 1_000, "s") == ms


@pytest.mark.parametrize(
    "value",
    [
        None, True, [], {}, "", "now", "1795169730", "2026-11-20", "2026-11-20T10:15:30", "2026-13-01T00:00:00Z",
        "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", math.nan, math.inf, 10**400, -(10**400),
        1e300, 1.7e308, -1e305, "\ud800",
        datetime(2026, 1, 1),
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused_with_a_sentence(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_timestamp(value)


def test_the_sentence_tells_what_to_append_to_a_time_without_offset() -> None:
    with pytest.raises(ValueError, match="append Z"):
        parse_timestamp("2026-11-20T10:15:30")


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (300_000, "5m"),
        (3_600_000, "1h"),
        (86_400_000, "1d"),
        (604_800_000, "7d"),
        (90_000, "90s"),
        (1, "1ms"),
        (0, "0s"),
    ],
)
def test_durations_use_the_largest_whole_unit(ms: int, text: str) -> None:
    assert format_duration(ms) == text
