"""Sizes in the config."""

from __future__ import annotations

import pytest

from stream_monitor.app.sizes import format_size, parse_size


@pytest.mark.parametrize(
    ("written", "size"),
    [
        (4096, 4096),
        ("4096", 4096),
        ("64MiB", 64 << 20),
        (" 1.5 gib ", 3 << 29),
        ("500MB", 500_000_000),
        ("10 kB", 10_000),
        ("7b", 7),
    ],
)
def test_what_is_a_size(written: object, size: int) -> None:
    assert parse_size(written) == size


@pytest.mark.parametrize("written", ["", "MiB", "-1", "1 parsec", "1e9", "1.2.3MB", True, 1.5, None, [1], "9" * 30])
def test_what_is_none(written: object) -> None:
    with pytest.raises(ValueError, match="a size such as"):
        parse_size(written)


def test_shown_for_people() -> None:
    shown = [format_size(size) for size in (700, 10 << 10, 64 << 20, 3 << 29, 2000 << 30)]
    assert shown == ["700 bytes", "10 KiB", "64 MiB", "1.5 GiB", "2,000 GiB"]
