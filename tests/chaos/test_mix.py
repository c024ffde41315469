"""The mix itself: a short one on one broker, and that its comparison is not blind."""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.acceptance.stream import MODEL_CONFIG, Recount
from tests.chaos.mix import drawn, run_mix
from tests.chaos.oracle import Ledger, alert_differences, cell_differences, count_differences, letter_differences
from tests.chaos.registry import all_faults

FIGURE = {
    "model_name": MODEL_CONFIG["name"],
    "model_version": "1",
    "segment": {},
    "window": {"start": "s", "size_seconds": 60, "slide_seconds": 60, "time_basis": "prediction"},
    "feature": None,
}


@pytest.mark.broker
@pytest.mark.timeout(240)
def test_a_short_mix_of_faults_loses_nothing(bootstrap: str, tmp_path: Path) -> None:
    """The long one, with brokers, stopped processes and rebalances in it, is `make chaos`."""
    seed = int(os.environ.get("STREAM_MONITOR_TEST_SEED") or random.SystemRandom().randrange(10**6))
    short = [each.name for each in all_faults(cluster=False) if each.seconds <= 4]
    small = {"ingest": ("a",), "evaluate": ("e",), "per_second": 100, "at_once": 1_000}
    verdict = run_mix(bootstrap, tmp_path, seed=seed, seconds=4, say=print, only=short, **small)
    print("\n".join(verdict.lines()))
    assert verdict.differences == [], f"seed {seed}"
    assert verdict.strikes
    assert verdict.with_unread == verdict.strikes


def test_every_kind_of_fault_comes_before_one_comes_twice_and_then_as_often_as_its_weight() -> None:
    faults = all_faults(cluster=True)
    first = drawn(faults, random.Random(1))
    assert {next(first).name for _ in faults} == {each.name for each in faults}
    pack = sum(each.weight for each in faults)
    cards = drawn(faults, random.Random(1))
    for _ in range(3):
        assert Counter(next(cards).name for _ in range(pack)) == {each.name: each.weight for each in faults}


def event(metric: str, value: int, revision: int = 0, **more: object) -> dict:
    number = f"00000000-0000-0000-0000-{hash((metric, value, revision)) & 0xFFFFFFFFFFFF:012x}"
    return {**FIGURE, "id": number, "metric": metric, "value": value, "revision": revision, **more}


def test_a_lost_event_and_one_counted_twice_are_seen() -> None:
    key = (MODEL_CONFIG["name"], "1", "", "s", 60, 60)
    for published, differs in ((10, False), (9, True), (11, True)):
        ledger = Ledger()
        ledger.take([event("predictions", 4), event("predictions", published - 2, 1), event("too_late", 2)])
        compared, found = count_differences(ledger, Recount(Counter({key: 10}), Counter(), {}))
        assert compared == 1
        assert bool(found) == differs


def test_an_id_that_comes_twice_is_seen() -> None:
    ledger = Ledger()
    ledger.take([event("predictions", 4), event("predictions", 4)])
    assert len(ledger.repeated) == 1


def test_a_cell_that_differs_is_seen() -> None:
    window = {**FIGURE["window"], "time_basis": "label"}
    cells = [{"actual": "1", "predicted": "0", "count": 3}]
    key = (MODEL_CONFIG["name"], "1", "", "s", 60, 60)
    ledger = Ledger()
    ledger.take([event("confusion_matrix", 0, window=window, cells=cells)])
    for count, differs in ((3, False), (4, True)):
        truth = Recount(Counter(), Counter(), {key: Counter({("1", "0"): count})})
        assert cell_differences(ledger, truth) == (1, cell_differences(ledger, truth)[1])
        assert bool(cell_differences(ledger, truth)[1]) == differs


@pytest.mark.parametrize(
    ("states", "differs"),
    [
        (["pending", "firing", "resolved", "pending", "pending", "firing"], False),
        (["pending", "firing", "firing"], True),
        (["pending", "resolved"], True),
        (["firing", "pending"], True),
        (["firing", "resolved", "resolved"], True),
    ],
)
def test_an_unlawful_life_of_an_alert_is_seen(states: list[str], differs: bool) -> None:
    alerts = [
        {"id": i, "fingerprint": "f", "state": state, "startsAt": i, "endsAt": i if state == "resolved" else None}
        for i, state in enumerate(states)
    ]
    assert bool(alert_differences(alerts)[1]) == differs
    assert alert_differences([*alerts, alerts[0]])[1], "an id came twice"


def test_a_lost_and_a_repeated_dead_letter_are_seen() -> None:
    one = {"topic": "t", "partition": 0, "offset": 1}
    assert letter_differences([one], 1) == (1, [])
    assert letter_differences([one], 2)[1]
    assert letter_differences([one, one], 1)[1]
