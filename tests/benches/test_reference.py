"""A ratio falls where it is more than 15 % worse than the committed one, in the direction that is worse for it."""

from __future__ import annotations

import pytest

from benches import reference
from benches.harness import over, ratio, result

REFERENCE = {"b": {"speed": {"value": 0.8, "better": "higher"}, "cost": {"value": 2.0, "better": "lower"}}}


def measured(speed: float, cost: float) -> dict[str, dict[str, object]]:
    return {"speed": ratio(speed, "higher"), "cost": ratio(cost, "lower")}


@pytest.mark.parametrize(
    ("speed", "cost", "named"),
    [
        (0.8, 2.0, []),
        (0.69, 2.29, []),
        (5.0, 0.1, []),
        (0.67, 2.0, ["speed"]),
        (0.8, 2.31, ["cost"]),
        (0.1, 9.0, ["speed", "cost"]),
    ],
)
def test_names_what_fell(speed, cost, named):
    sentences = reference.fallen("b", measured(speed, cost), REFERENCE)
    assert [sentence.split()[1] for sentence in sentences] == named


def test_a_ratio_no_longer_measured_has_fallen_and_a_new_one_has_not():
    found = {"speed": ratio(0.8, "higher"), "new": ratio(0.1, "higher")}
    assert reference.fallen("b", found, REFERENCE) == ["b: cost is in the reference and was not measured"]
    assert reference.fallen("unknown", found, REFERENCE) == []


def test_renewing_replaces_one_bench_and_keeps_the_others(tmp_path):
    file = tmp_path / "reference.json"
    assert reference.read(file) == {}
    before = {**REFERENCE, "other": {"x": {"value": 1.0, "better": "higher"}}}
    reference.write(reference.renewed("b", {"speed": ratio([0.51234, 0.6, 0.4], "higher")}, before), file)
    after = reference.read(file)
    assert after == {"b": {"speed": {"value": 0.512, "better": "higher"}}, "other": before["other"]}


def test_the_committed_reference_is_of_benches_that_exist():
    from benches.__main__ import benches

    assert reference.read().keys() <= benches().keys()


def test_a_ratio_is_the_median_of_the_rounds_own_quotients():
    found = ratio(over([10.0, 30.0, 12.0], [20.0, 20.0, 20.0]), "higher", must=0.5)
    assert found == {"value": 0.6, "low": 0.5, "high": 1.5, "better": "higher", "must": 0.5}


def test_figures_keep_their_rounds():
    found = result(figures={"one": 3, "rounds": [1.0, 2.0, 9.0]}, ratios={}, events=7)
    assert found["figures"]["one"] == 3
    assert found["figures"]["rounds"] == {"median": 2.0, "low": 1.0, "high": 9.0, "rounds": [1.0, 2.0, 9.0]}
    assert found["events"] == 7
