import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.app.durations import MAX_MS, parse_duration
from stream_monitor.events.times import format_duration


@pytest.mark.parametrize(
    ("written", "milliseconds"),
    [
        ("10s", 10_000),
        ("5m", 300_000),
        ("24h", 86_400_000),
        ("7d", 604_800_000),
        ("2w", 1_209_600_000),
        ("250ms", 250),
        ("1h30m", 5_400_000),
        ("1 h 30 m", 5_400_000),
        ("1.5s", 1_500),
        (" 5M ", 300_000),
        (5, 5_000),
        (0.25, 250),
        ("90", 90_000),
        (0, 0),
    ],
)
def test_written_durations_are_read_to_the_millisecond(written: object, milliseconds: int) -> None:
    assert parse_duration(written) == milliseconds


@pytest.mark.parametrize(
    "written",
    [
        "",
        "x",
        "5x",
        "m",
        "-5m",
        "5m-",
        "1y",
        "1 month",
        "٣m٣",
        "0.0001s",
        "1e3s",
        "9" * 30 + "s",
        "101 years",
        "37000d",
    ],
)
def test_other_text_is_refused_with_what_is_accepted(written: str) -> None:
    with pytest.raises(ValueError, match="a duration such as"):
        parse_duration(written)


@pytest.mark.parametrize("written", [None, True, [], {}, -1, float("nan"), float("inf"), 1e300, 0.0001, 10**30])
def test_anything_else_is_refused_with_what_is_accepted(written: object) -> None:
    with pytest.raises(ValueError, match="a duration such as"):
        parse_duration(written)


@given(st.integers(0, MAX_MS))
def test_the_contracts_format_reads_back(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds)) == milliseconds
