"""The arithmetic of the scaling model; its figures are measured, not tested."""

from __future__ import annotations

import numpy as np
import pytest

from benches.scaling_model import Law, Model, distinct, fitted
from benches.scaling_plan import BUSY, Load, planned


@pytest.mark.parametrize(("kinds", "draws"), [(1, 5), (3, 2), (10, 10), (1_000, 300)])
def test_distinct_is_what_drawing_gives(kinds: int, draws: int) -> None:
    rng = np.random.default_rng(kinds)
    drawn = [len(np.unique(rng.integers(kinds, size=draws))) for _ in range(2_000)]
    assert distinct(kinds, draws) == pytest.approx(np.mean(drawn), rel=0.02)


def test_nothing_is_drawn_from_no_kinds() -> None:
    assert distinct(0, 100) == 0


def test_a_law_finds_the_costs_it_was_made_with_and_leaves_out_what_costs_nothing() -> None:
    rng = np.random.default_rng(1)
    rows = [{"events": float(n), "panes": float(p), "nothing": float(m)} for n, p, m in rng.integers(1, 1_000, (40, 3))]
    law = fitted(rows, [2e-6 * row["events"] + 3e-4 * row["panes"] for row in rows])
    assert law.coefficients["events"] == pytest.approx(2e-6)
    assert law.coefficients["panes"] == pytest.approx(3e-4)
    assert law.coefficients.get("nothing", 0) == pytest.approx(0, abs=1e-9)
    assert law.largest_error == pytest.approx(0, abs=1e-6)


def test_a_law_says_by_how_much_runs_differ_from_it() -> None:
    law = fitted([{"events": 1.0}] * 4, [1.0, 1.0, 1.0, 2.0])
    of_law = 1 / law.coefficients["events"]
    assert law.errors == pytest.approx([of_law - 1] * 3 + [2 * of_law - 1])


def test_no_worker_of_a_plan_is_too_busy_and_one_fewer_would_be() -> None:
    plan = planned(_model(), Load(events_s=1_000_000, models=1, segments=0, features=20))
    assert 10 * 1_000_000 / plan.workers / 1e6 <= BUSY < 10 * 1_000_000 / (plan.workers - 1) / 1e6
    assert plan.core_s_per_million == pytest.approx(10, rel=0.01)


def test_flushes_are_made_rarer_until_evaluate_keeps_up_with_the_busiest_model() -> None:
    busy = planned(_model(delta_us=1_000), Load(events_s=1_000_000, models=1, segments=99, features=20))
    calm = planned(_model(delta_us=1), Load(events_s=1_000_000, models=1, segments=99, features=20))
    assert calm.flush_s == 1
    assert busy.flush_s > 1
    assert busy.hottest <= BUSY
    assert busy.deltas_s == pytest.approx(calm.deltas_s / busy.flush_s, rel=0.01)


def _model(*, delta_us: float = 1) -> Model:
    """10 µs an event, nothing for anything else of ingest."""
    one_byte = Law({"events": 1.0, "panes": 1.0, "closed windows": 1.0, "models": 1.0, "a process": 1.0}, [0.0])
    return Model(
        ingest_cpu=Law({"events": 10e-6}, [0.0]),
        evaluate_cpu=Law({"deltas": delta_us * 1e-6}, [0.0]),
        ingest_mib=_only(one_byte, "a process"),
        evaluate_mib=_only(one_byte, "a process"),
        delta_bytes=_only(one_byte, "panes"),
        state_bytes=_only(one_byte, "panes"),
        metric_bytes=_only(one_byte, "closed windows"),
        event_bytes=_only(one_byte, "events"),
        wire=dict.fromkeys(("source", "panes", "state", "metrics"), 1.0),
    )


def _only(law: Law, name: str) -> Law:
    return Law({name: law.coefficients[name]}, law.errors)
