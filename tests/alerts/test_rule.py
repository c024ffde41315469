from __future__ import annotations

import pytest

from stream_monitor.alerts.rule import DEFAULT_RULES, RulePolicy
from stream_monitor.events.names import METRICS


def test_a_threshold_is_crossed_strictly() -> None:
    above, below = RulePolicy("r", "csi", above=0.2), RulePolicy("r", "accuracy", below=0.8)
    assert (above.beyond(0.2), above.beyond(0.21)) == (False, True)
    assert (below.beyond(0.8), below.beyond(0.79)) == (False, True)
    assert (above.cleared(0.2), below.cleared(0.8)) == (True, True)


def test_clear_lies_on_the_quiet_side_and_decides_the_end() -> None:
    rule = RulePolicy("r", "csi", above=0.2, clear=0.1)
    assert (rule.cleared(0.15), rule.cleared(0.1)) == (False, True)
    assert RulePolicy("r", "accuracy", below=0.8, clear=0.9).cleared(0.85) is False
    for wrong in ({"above": 0.2, "clear": 0.3}, {"below": 0.2, "clear": 0.1}):
        with pytest.raises(ValueError, match="quiet side"):
            RulePolicy("r", "csi", **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [{}, {"above": 1, "below": 0}, {"above": 1, "for_windows": 0}, {"above": 1, "severity": "page"}]
    + [{"above": 1, name: -1} for name in ("cooldown_ms", "keep_firing_for_ms", "stale_after_ms")],
)
def test_nonsense_is_refused_with_the_name_of_the_rule(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="rule r:"):
        RulePolicy("r", "csi", **wrong)  # type: ignore[arg-type]


def test_default_rules_are_about_metrics_that_are_computed() -> None:
    assert all(METRICS[rule.metric].computed for rule in DEFAULT_RULES)
    assert len({rule.name for rule in DEFAULT_RULES}) == len(DEFAULT_RULES)
