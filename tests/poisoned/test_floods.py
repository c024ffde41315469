"""One who can only send events sends very many different ones: memory is bounded, totals exact, and it is told."""

from __future__ import annotations

import pytest

from stream_monitor.alerts.rule import RulePolicy
from stream_monitor.events.policy import OutcomePolicy, Task
from stream_monitor.pipeline.ingest import PREDICTIONS
from stream_monitor.pipeline.policy import ReferencePolicy
from stream_monitor.sketches import pane
from tests.pipeline.world import prediction
from tests.poisoned.stage import (
    HONEST,
    ROWS,
    Sent,
    alerts,
    figures,
    honest,
    labelled,
    play,
    policies,
    predicted,
    state_bytes,
    values,
)


def others(n: int, **changed: object) -> list[Sent]:
    """Predictions of the attacker's, spread over the stream."""
    step = len(ROWS) / n
    return [predicted(ROWS[int(i * step)], id_=f"evil-{i}", **changed) for i in range(n)]


def test_the_honest_stream_raises_nothing() -> None:
    assert alerts(honest()) == set()
    assert values(honest(), "predictions") == [100.0] * 5


def test_categories_without_end_are_one_slot_and_input_drift() -> None:
    flood = [predicted(row, features={"x": row.x, "c": f"evil-{row.id}"}) for row in ROWS]
    world = play([*flood, *map(labelled, ROWS)])
    assert ("input-drift", "c") in alerts(world)
    assert values(world, "unseen_ratio", feature="c") == [1.0] * 5
    assert state_bytes(world) < 1.2 * state_bytes(honest())


def test_tag_values_without_end_share_one_series_and_are_counted() -> None:
    flood = [predicted(row, tags={"country": f"evil-{row.id}"}) for row in ROWS]
    world = play([*flood, *map(labelled, ROWS)], policies(segments=(("country",),), max_series=10))
    assert values(world, "predictions") == [100.0] * 5
    rest = [e for e in world.metrics if e.metric == "predictions" and e.segment == {"country": "__other__"}]
    assert rest
    assert len({tuple(e.segment.items()) for e in world.metrics}) <= 12
    assert world.folds[0].drain().summary.limited["m", "series"] > 100


def test_versions_without_end_share_one_and_sum_up() -> None:
    flood = [predicted(row, version=f"evil-{row.id}") for row in ROWS]
    world = play(flood, policies(max_versions=5, join=None))
    versions = {event.model_version for event in world.metrics}
    assert len(versions) == 6
    assert "__other__" in versions
    assert sum(e.value or 0 for e in figures(world, "predictions")) == 500
    assert world.folds[0].drain().summary.limited["m", "versions"] > 0


def test_models_without_end_are_refused_beyond_the_limit_and_a_flood_of_rejects() -> None:
    flood = [
        Sent(row.at, PREDICTIONS, row.id, prediction(row.id, row.at, model=f"evil-{i}")) for i, row in enumerate(ROWS)
    ]
    world = play([*HONEST, *flood], policies(max_models=5))
    assert {event.model_name for event in world.metrics} <= {"m", *(f"evil-{i}" for i in range(5))}
    assert {letter.reason for letter in world.dead} == {"model_limit"}
    assert len(world.dead) == len(ROWS) - 5
    assert "reject-flood" in {name for name, _ in alerts(world)}
    assert values(world, "csi") == values(honest(), "csi")


def test_features_that_the_profile_does_not_have_are_not_read() -> None:
    flood = [predicted(row, features={"x": row.x, "c": row.c, f"evil-{row.id}": 1.0}) for row in ROWS]
    world = play([*flood, *map(labelled, ROWS)])
    assert values(world, "csi") == values(honest(), "csi")
    assert alerts(world) == set()
    assert state_bytes(world) < 1.01 * state_bytes(honest())


def test_features_without_end_before_there_is_a_profile_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit that is left: who sends while a reference is learned decides what is learned."""
    monkeypatch.setattr(pane, "RAW_FEATURES_LIMIT", 20)
    flood = [predicted(row, features={"x": row.x, "c": row.c, f"evil-{row.id}": 1.0}) for row in ROWS]
    chosen = policies(reference=ReferencePolicy("bootstrap", events=300))
    world = play(flood, chosen, profiled=False)
    named = {event.feature for event in world.metrics if event.metric == "csi"}
    assert 0 < len(named) <= 20


def test_classes_without_end_are_counted_as_unknown_or_other() -> None:
    flood = [labelled(row, truth=f"evil-{row.id}") for row in ROWS]
    known = play([*map(predicted, ROWS), *flood])
    assert known.counters["m", "unknown_class"] == len(ROWS)
    assert values(known, "accuracy") == []
    assert values(known, "labels_joined") == values(honest(), "labels_joined")

    outcome = OutcomePolicy(Task.MULTICLASS)
    said = [predicted(row, label="a") for row in ROWS]
    open_ = play([*said, *flood], policies(outcome=outcome, reference=ReferencePolicy("none")), profiled=False)
    cells = figures(open_, "confusion_matrix")[-1].cells
    assert isinstance(cells, tuple)
    assert len(cells) <= 51
    assert sum(cell.count for cell in cells if cell.actual == "__other__") >= 40
    assert state_bytes(open_) < 4 * state_bytes(honest())


def test_one_id_sent_again_and_again_counts_once_and_the_flood_is_told() -> None:
    world = play([*HONEST, *(predicted(row) for row in ROWS for _ in range(3))])
    assert values(world, "predictions") == values(honest(), "predictions")
    assert values(world, "csi") == values(honest(), "csi")
    assert world.counters["m", "duplicate_prediction"] == 3 * len(ROWS)
    assert alerts(world) == {("duplicate-flood", "m")}


def test_a_few_repeats_are_no_flood() -> None:
    world = play([*HONEST, *map(predicted, ROWS[200:219]), *map(predicted, ROWS[450:469])])
    assert world.counters["m", "duplicate_prediction"] == 38
    assert alerts(world) == set()


def test_the_flood_of_repeats_ends_when_it_ends() -> None:
    world = play([*HONEST, *(predicted(row) for row in ROWS[:50] for _ in range(3))])
    world.clock += 180_000
    for i in range(3):
        world.clock += 61_000
        world.send(PREDICTIONS, f"later-{i}", prediction(f"later-{i}", world.clock / 1_000))
        world.ingest(0, PREDICTIONS, 10)
        world.flush(0)
        world.evaluate(0, 10)
    ended = [a.state for a in world.alerts if a.labels["alertname"] == "duplicate-flood"]
    assert ended == ["firing", "resolved"]


def test_rejects_are_told_apart_by_reason_however_many_hide_them() -> None:
    poison = [Sent(row.at, PREDICTIONS, row.id, b"{") for row in ROWS for _ in range(2)]
    real = [Sent(row.at, PREDICTIONS, row.id, b'{"model_name":"m"}') for row in ROWS[:7]]
    world = play([*HONEST, *poison, *real])
    reasons = [letter.reason for letter in world.dead]
    assert (reasons.count("malformed_json"), reasons.count("missing_field")) == (2 * len(ROWS), 7)
    assert alerts(world) == {("reject-flood", "")}
    assert values(world, "csi") == values(honest(), "csi")


def test_numbers_that_are_none_are_counted_as_invalid_and_a_rule_says_so() -> None:
    """No rule that is built in looks at shares of invalid values: one has to be configured."""
    rule = RulePolicy("invalid", "invalid_ratio", above=0.05)
    flood = [predicted(row, features={"x": float("nan"), "c": row.c}) for row in ROWS]
    world = play([*flood, *map(labelled, ROWS)], policies(rules=(rule,)))
    assert values(world, "invalid_ratio", feature="x") == [1.0] * 5
    assert ("invalid", "x") in alerts(world)
    assert ("input-drift", "x") not in alerts(world)
    assert values(world, "predictions") == [100.0] * 5


def test_absurd_latencies_are_bounded_and_negative_ones_no_latencies() -> None:
    huge = play([*HONEST, *others(30, latency=1e300)])
    assert values(huge, "latency_p50") == values(honest(), "latency_p50")
    assert max(value or 0.0 for value in values(huge, "latency_p99")) == pytest.approx(1e12, rel=0.02)
    assert all(value is not None and value < 1e300 for value in values(huge, "latency_mean"))
    negative = play([*HONEST, *others(12, latency=-1e9)])
    assert values(negative, "latency_mean") == values(honest(), "latency_mean")
    assert sum(e.n for e in figures(negative, "latency_p50")) == sum(e.n for e in figures(honest(), "latency_p50"))


def test_a_score_that_is_stuck_is_output_drift() -> None:
    world = play([*(predicted(row, score=0.5) for row in ROWS), *map(labelled, ROWS)])
    assert "output-drift" in {name for name, _ in alerts(world)}


def test_what_share_is_a_flood_is_configured() -> None:
    assert alerts(play([*HONEST, *map(predicted, ROWS)], policies(duplicate_flood_share=0.6))) == set()
