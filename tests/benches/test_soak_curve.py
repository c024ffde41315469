"""The soak's verdict and picture, on made-up curves."""

from __future__ import annotations

import math

from benches.rss import Sample
from benches.soak_curve import TRIAL_S, allowed_slope, grown, picture, thinned


def curve(seconds: int, mib_per_minute: float, *, wave: float = 0.0) -> list[Sample]:
    return [Sample(at, 300 + mib_per_minute * at / 60 + wave * math.sin(at / 20)) for at in range(0, seconds, 2)]


def test_what_fills_and_empties_is_flat_and_what_leaks_a_megabyte_and_a_half_a_minute_is_not():
    assert grown({"ingest": curve(1_800, 0.0, wave=30)}, ["ingest"]) == []
    (sentence,) = grown({"ingest": curve(1_800, 1.5), "generate": curve(1_800, 9.0)}, ["ingest"])
    assert sentence == "ingest grew by 1.50 MiB a minute in the second half; at most 1.30 are accepted"


def test_only_the_second_half_is_judged():
    warm = [Sample(at, min(at, 900) / 3) for at in range(0, 1_800, 2)]
    assert grown({"ingest": warm}, ["ingest"]) == []


def test_a_shorter_run_is_judged_less_strictly():
    assert 0.5 < allowed_slope(1_800) < allowed_slope(TRIAL_S) < 3


def test_the_picture_is_as_high_as_the_highest_sample():
    lines = picture("ingest", curve(1_800, 10.0)).splitlines()
    assert lines[0] == "ingest, MiB"
    assert lines[1].strip().startswith("600")
    assert lines[1].endswith("█")
    assert "30.0 min" in lines[-1]


def test_the_json_line_has_few_points_however_long_the_run():
    points = thinned(curve(36_000, 1.0))
    assert len(points) <= 60
    assert points[0] == [0.0, 300.0]
