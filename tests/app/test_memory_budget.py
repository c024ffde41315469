"""What a config can need is known before it runs: close to what is measured, and refused where it is too much."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from stream_monitor.app.config import parse_config
from stream_monitor.app.memory_budget import budget_problems, estimate
from stream_monitor.app.setup import load_setup
from stream_monitor.errors import ConfigError

GIB = 1 << 30


def document(**changes: object) -> dict[str, object]:
    model = {"name": "credit", "segments": [["tags.country"]], "labels": {"join_window": "1h"}}
    return {"models": [{**model, **changes}]}


def test_a_config_with_nothing_but_names_takes_little() -> None:
    found = estimate(parse_config({"models": [{"name": f"model-{i}"} for i in range(20)]}), {})
    assert found.of("ingest") < GIB
    assert found.of("evaluate") < GIB


@pytest.mark.parametrize(
    ("more", "limits"),
    [
        ({"windows": [{"size": "5m"}, {"size": "1d", "slide": "5m"}]}, {}),
        ({}, {"max_series": 10_000}),
        ({}, {"max_unflushed_bytes": "512MiB"}),
    ],
)
def test_what_grows_with_windows_series_and_limits_is_in_it(more: dict[str, object], limits: dict[str, object]) -> None:
    before = estimate(parse_config(document()), {})
    after = estimate(parse_config({**document(**more), "limits": limits}), {})
    assert after.total > 1.5 * before.total


def test_a_stage_that_only_some_configs_have_counts_where_there_is_one() -> None:
    before, after = (
        estimate(parse_config(document()), {}),
        estimate(parse_config(document() | {"repartition": True}), {}),
    )
    assert before.of("repartition") == 0
    assert "repartition" not in str(before)
    assert after.total == before.total + after.of("repartition")
    assert after.of("repartition") > 2 * (128 << 20), "events wait for a flush there too"
    assert "repartition 4" in str(after)


def test_a_config_beyond_the_budget_is_refused_with_what_takes_most_and_what_to_lower(tmp_path: Path) -> None:
    file = tmp_path / "monitor.yaml"
    windows = [{"size": "5m"}, {"size": "7d", "slide": "5m"}]
    large = {**document(windows=windows), "limits": {"max_series": 5_000}}
    file.write_text(yaml.safe_dump(large))
    with pytest.raises(ConfigError) as raised:
        load_setup(file)
    (problem,) = raised.value.problems
    assert problem.path == "limits.memory_budget"
    assert problem.found.startswith("8 GiB, where the config can need ")
    assert "for model credit: 5,010 series of 2,018 panes and 20 features (lower limits.max_series" in problem.found
    assert problem.accepted.endswith("GiB or more, or lower limits")
    file.write_text(yaml.safe_dump({**large, "limits": {"max_series": 5_000, "memory_budget": "200GiB"}}))
    assert load_setup(file).memory.total < 200 * GIB


def test_what_no_key_lowers_is_said_to_be_so() -> None:
    large = parse_config({"models": [{"name": "credit"}], "limits": {"memory_budget": "64MiB"}})
    (problem,) = budget_problems(large, estimate(large, {}))
    assert "for the process (no key lowers it)" in problem.found
    assert "lower None" not in problem.found


def test_the_budget_is_met_exactly_or_not() -> None:
    found = estimate(parse_config(document()), {})
    assert not budget_problems(parse_config({**document(), "limits": {"memory_budget": found.total}}), found)
    assert budget_problems(parse_config({**document(), "limits": {"memory_budget": found.total - 1}}), found)
