"""One who dates events as it suits them: how far that moves the watermark, and what it costs the honest ones."""

from __future__ import annotations

import pytest

from tests.poisoned.stage import (
    HONEST,
    ROWS,
    START,
    Sent,
    alerts,
    honest,
    play,
    policies,
    predicted,
    too_late,
    values,
    window,
)

AHEAD = 59  # seconds, within max_future of a minute


def ahead(seconds: float, every: int = 5, **changed: object) -> list[Sent]:
    """The attacker's: each dated so far ahead of its arrival."""
    return [predicted(row, id_=f"evil-{row.id}", at=row.at + seconds, **changed) for row in ROWS[::every]]


@pytest.mark.parametrize("partitions", [1, 3])
def test_events_dated_ahead_close_windows_early_but_make_no_honest_event_too_late(partitions: int) -> None:
    """The bound: allowed_lateness + max_out_of_order ≥ max_future, as by default. What it costs is that rules judge
    a window up to max_future early, on what had come by then."""
    world = play([*HONEST, *ahead(AHEAD)], partitions=partitions)
    first = min(e.emitted_at for e in world.metrics if e.window.start == window(2) and e.metric == "predictions")
    assert first < window(2)[:-5]
    assert too_late(world) == 0
    honest_ones = 100.0
    evil = [sum(START + 20 * w <= row.at + AHEAD < START + 20 * w + 20 for row in ROWS[::5]) for w in range(5)]
    assert values(world, "predictions")[:5] == [honest_ones + n for n in evil]


def test_where_lateness_is_smaller_than_max_future_they_are_too_late_and_the_flood_is_told() -> None:
    world = play([*HONEST, *ahead(AHEAD)], policies(allowed_lateness_ms=0))
    late = sum(e.value or 0 for e in world.metrics if e.metric == "too_late" and e.window.time_basis == "prediction")
    counted = sum(value or 0 for value in values(world, "predictions"))
    assert late > 300
    assert ("late-flood", "m") in alerts(world)
    # Not one is lost: published, or too late, or in a window that is open still.
    open_from = START + 20 * len(values(world, "predictions"))
    sent = [*(row.at for row in ROWS), *(row.at + AHEAD for row in ROWS[::5])]
    assert counted + late == sum(at < open_from for at in sent)


def test_one_model_dated_ahead_moves_no_other_models_watermark() -> None:
    strangers = ahead(AHEAD, model="evil", every=2)
    world = play([*HONEST, *strangers], policies(allowed_lateness_ms=0))
    assert [e.value for e in world.metrics if e.metric == "too_late" and e.model_name == "m"] == []
    assert values(world, "csi") == values(honest(), "csi")


def test_what_is_dated_further_ahead_is_refused() -> None:
    world = play([*HONEST, *ahead(70)], policies(allowed_lateness_ms=0))
    assert {letter.reason for letter in world.dead} == {"timestamp_out_of_range"}
    assert too_late(world) == 0
    assert values(world, "csi") == values(honest(), "csi")
    assert alerts(world) == {("reject-flood", "")}


def test_the_far_past_is_too_late_or_refused_and_changes_no_window() -> None:
    day = 86_400
    old = [predicted(row, id_=f"evil-{row.id}", at=row.at - 2 * day - 300 * i) for i, row in enumerate(ROWS[100:])]
    older = [predicted(row, id_=f"eviler-{row.id}", at=row.at - 8 * day) for row in ROWS]
    world = play([*HONEST, *old, *older])
    assert {letter.reason for letter in world.dead} == {"timestamp_out_of_range"}
    assert len(world.dead) == len(older)
    assert too_late(world) == len(old)
    assert alerts(world) == {("late-flood", "m"), ("reject-flood", "")}
    assert values(world, "csi") == values(honest(), "csi")


def test_the_flood_of_late_events_is_of_those_that_count() -> None:
    """An event in several windows is one event; a window that it is in time for does not save the one it missed."""
    old = [predicted(row, id_=f"evil-{row.id}", at=row.at - 86_400) for row in ROWS[40::20]]
    few = play([*HONEST, *old])
    assert too_late(few) == len(old)
    assert alerts(few) == set()
