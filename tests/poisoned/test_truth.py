"""One who sends predictions and labels that are not true."""

from __future__ import annotations

import json

from stream_monitor.alerts.rule import RulePolicy
from stream_monitor.pipeline.ingest import LABELS
from tests.poisoned.stage import (
    HONEST,
    RATE,
    ROWS,
    WINDOW,
    Drawn,
    Sent,
    alerts,
    honest,
    labelled,
    play,
    policies,
    predicted,
    profile,
    values,
    window,
)


def carrying(row: Drawn, truth: int, *, id_: str, score: float) -> Sent:
    """A label that brings its own prediction."""
    body = {
        "model_name": "m", "model_version": "1", "prediction_id": id_, "timestamp": row.at + 1,
        "actual": {"label": truth}, "prediction": {"score": score}, "prediction_timestamp": row.at,
    }  # fmt: skip
    return Sent(row.at + 1, LABELS, id_, json.dumps(body).encode())


def test_who_sends_an_id_first_takes_its_place_and_the_flood_of_repeats_says_so() -> None:
    taken = [predicted(row, score=0.99)._replace(arrival=row.at - 1.5) for row in ROWS[::2]]
    world = play([*HONEST, *taken])
    assert values(world, "predictions") == values(honest(), "predictions")
    assert world.counters["m", "duplicate_prediction"] == len(taken)
    assert {("duplicate-flood", "m"), ("output-drift", "m")} <= {(n, w or "m") for n, w in alerts(world)}


def test_flipped_labels_are_a_change_and_lower_figures() -> None:
    rule = RulePolicy("bad", "accuracy", below=0.7)
    flipped = [labelled(row, truth=1 - row.truth if i >= len(ROWS) / 3 else None) for i, row in enumerate(ROWS)]
    world = play([*map(predicted, ROWS), *flipped], policies(rules=(rule,)))
    fired = {name for name, _ in alerts(world)}
    assert {"bad", "concept-drift"} <= fired
    assert (values(world, "accuracy")[-1] or 0.0) < 0.2


def test_who_flips_a_label_afterwards_changes_no_figure() -> None:
    """By label time a prediction counts once, at its first label."""
    again = [labelled(row, truth=1 - row.truth, after=9.0) for row in ROWS]
    world = play([*HONEST, *again])
    assert values(world, "accuracy") == values(honest(), "accuracy")
    assert world.counters["m", "revised"] > 400


def test_who_labels_first_decides_and_repeats_are_not_told() -> None:
    """The limit that is left: nobody knows whose label is true. Figures show it, and rules on them."""
    first = [labelled(row, truth=1 - row.truth, after=0.5) for row in ROWS[200:]]
    world = play([*HONEST, *first])
    assert (values(world, "accuracy")[-1] or 0.0) < 0.2
    assert ("concept-drift", "m") in {(name, "m") for name, _ in alerts(world)}


def test_labels_of_ids_that_nobody_predicted_are_orphans() -> None:
    rule = RulePolicy("orphans", "labels_orphaned", above=20)
    foreign = [labelled(row, id_=f"evil-{row.id}") for row in ROWS]
    world = play([*HONEST, *foreign], policies(rules=(rule,)))
    assert values(world, "labels_orphaned")[-1] == 100.0
    assert "orphans" in {name for name, _ in alerts(world)}
    assert values(world, "accuracy") == values(honest(), "accuracy")


def test_labels_that_bring_their_prediction_count_as_pairs_beyond_the_predictions() -> None:
    """The limit that is left: they need no prediction, so who may write labels may write pairs. What tells is that
    more labels join than were predicted."""
    made = [carrying(row, 1, id_=f"evil-{row.id}", score=0.99) for row in ROWS]
    world = play([*HONEST, *made])
    assert values(world, "predictions") == values(honest(), "predictions")
    joined, counted = values(world, "labels_joined")[-1], values(world, "predictions")[-1]
    assert joined is not None
    assert counted is not None
    assert joined >= 1.9 * counted
    assert alerts(world) == set()


def test_what_moves_within_a_bin_is_not_seen() -> None:
    """The limit that is left: both sides count the same frozen bins, ten by quantiles, and nothing finer."""
    edges = profile().features[0].edges if profile().features[0].name == "x" else profile().features[1].edges  # type: ignore[union-attr]

    def lowest(x: float) -> float:
        """The lower end of the fine bin that x is in."""
        below = [edge for edge in edges if edge <= x]
        return below[-1] if below else x

    moved = [predicted(row, features={"x": lowest(row.x), "c": row.c}) for row in ROWS]
    world = play([*moved, *map(labelled, ROWS)])
    assert values(world, "csi", feature="x") == values(honest(), "csi", feature="x")
    assert alerts(world) == set()


def test_what_cancels_out_in_the_mean_is_seen_all_the_same() -> None:
    """Half goes up and half goes down by as much: the mean stays, the bins do not."""
    moved = [predicted(row, features={"x": row.x + (1.5 if i % 2 else -1.5), "c": row.c}) for i, row in enumerate(ROWS)]
    assert ("input-drift", "x") in alerts(play([*moved, *map(labelled, ROWS)]))


def test_drift_too_slow_for_any_two_windows_is_caught_as_the_reference_is_frozen() -> None:
    """Each window lies 0.15 standard deviations beyond the one before, which no window would show by itself."""
    moved = [
        predicted(row, features={"x": row.x + 0.15 * (i // (WINDOW * RATE)), "c": row.c}) for i, row in enumerate(ROWS)
    ]
    world = play([*moved, *map(labelled, ROWS)], policies(rules=(RulePolicy("any", "csi", above=0.2),)))
    fired = next(a for a in world.alerts if a.state == "firing" and a.labels["alertname"] == "any")
    assert fired.evidence.metric is not None
    assert window(3) <= fired.evidence.metric.window.start <= window(4), "0.45 to 0.6 deviations from the reference"
    assert (values(world, "csi", feature="x")[1] or 0.0) < 0.2
