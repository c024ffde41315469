from __future__ import annotations

from collections.abc import Mapping

import pytest

from stream_monitor.alerts.judge import ActiveAlert, Verdict, judge, retire_version
from stream_monitor.alerts.observe import ClosedWindow, fingerprint, observe
from stream_monitor.alerts.rule import DEFAULT_RULES, RulePolicy
from stream_monitor.errors import FormatError
from stream_monitor.events.metric import DetectorRef
from stream_monitor.events.names import MetricName, Status, TimeBasis
from stream_monitor.metrics.figure import Figure

CSI = RulePolicy("drift", "csi", above=0.2)


def csi(feature: str, value: float | None, p_value: float | None = 1e-9, status: Status = Status.OK) -> Figure:
    return Figure(MetricName.CSI, value, status, n=500, feature=feature, p_value=p_value)


def window(
    *figures: Figure,
    at: int = 0,
    version: str | None = "7",
    segment: Mapping[str, str] | None = None,
    basis: TimeBasis = TimeBasis.PREDICTION,
    label: str = "5m",
) -> ClosedWindow:
    return ClosedWindow("credit", version, segment or {}, label, basis, at * 10, at * 10 + 10, False, figures)


class Replay:
    """Keeps the alerts that are not quiet, as the pipeline does."""

    def __init__(self, *rules: RulePolicy, level: float | None = 0.05) -> None:
        self.rules, self.level = rules, level
        self.active: dict[str, ActiveAlert] = {}

    def judge(self, *windows: ClosedWindow) -> Verdict:
        verdict = judge(self.rules, windows, self.active, self.level)
        self.take(verdict)
        return verdict

    def take(self, verdict: Verdict) -> None:
        for key, alert in verdict.changed.items():
            if alert is None:
                del self.active[key]
            else:
                self.active[key] = ActiveAlert.from_bytes(alert.to_bytes())


def states(verdict: Verdict) -> list[tuple[str, str]]:
    return [(t.labels.get("feature", "-"), t.transition.state) for t in verdict.transitions]


def test_each_feature_and_series_has_an_alert_of_its_own() -> None:
    replay = Replay(CSI)
    first = window(csi("income", 0.5), csi("age", 0.1))
    second = window(csi("income", 0.1), csi("age", 0.5), segment={"country": "DE"})
    assert states(replay.judge(first, second)) == [("income", "firing"), ("age", "firing")]
    assert {alert.labels["segment"] for alert in replay.active.values()} == {"all", "country=DE"}
    quiet = [window(csi("income", 0.1), csi("age", 0.1), at=1, segment=s) for s in ({}, {"country": "DE"})]
    assert states(replay.judge(*quiet)) == [("income", "resolved"), ("age", "resolved")]
    assert replay.active == {}


def test_a_large_effect_that_chance_explains_does_not_fire() -> None:
    assert states(Replay(CSI).judge(window(csi("x", 0.5, p_value=0.4)))) == []
    assert states(Replay(CSI, level=None).judge(window(csi("x", 0.5, p_value=0.4)))) == [("x", "firing")]


def test_a_significant_but_small_effect_does_not_fire() -> None:
    assert states(Replay(CSI).judge(window(csi("x", 0.19, p_value=1e-30)))) == []


def test_the_family_of_hypotheses_is_all_that_rules_look_at_in_the_windows() -> None:
    borderline = csi("x", 0.5, p_value=0.03)
    assert states(Replay(CSI).judge(window(borderline))) == [("x", "firing")]
    others = [csi(f"f{i}", 0.0, p_value=0.9) for i in range(9)]
    assert states(Replay(CSI).judge(window(borderline, *others))) == []
    one_feature = RulePolicy("drift", "csi", above=0.2, feature="x")
    assert states(Replay(one_feature).judge(window(borderline, *others))) == [("x", "firing")]
    insufficient = [csi(f"f{i}", 0.0, 0.9, Status.INSUFFICIENT_DATA) for i in range(9)]
    assert states(Replay(CSI).judge(window(borderline, *insufficient))) == [("x", "firing")]


def test_two_rules_on_one_figure_count_as_one_hypothesis() -> None:
    strict = RulePolicy("strict", "csi", above=0.1)
    found = observe([CSI, strict], [window(csi("x", 0.5, p_value=0.04))], 0.05)
    assert [one.observation.significant for one in found] == [True, True]


def test_metrics_without_p_value_need_the_effect_alone() -> None:
    rule = RulePolicy("quality", "accuracy", below=0.8)
    figure = Figure(MetricName.ACCURACY, 0.7, Status.OK, n=100)
    (found,) = observe([rule], [window(figure)], 0.05)
    assert found.observation.significant is None
    assert len(Replay(rule).judge(window(figure)).transitions) == 1


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ({}, 2),
        ({"model": "credit"}, 2),
        ({"model": "other"}, 0),
        ({"feature": "x"}, 1),
        ({"segment": "all"}, 2),
        ({"segment": "country=DE"}, 0),
        ({"window": "5m"}, 2),
        ({"window": "1h/5m"}, 0),
        ({"class_": "a"}, 0),
    ],
)
def test_selectors(selector: dict[str, str], matches: int) -> None:
    rule = RulePolicy("r", "csi", above=0.2, **selector)  # type: ignore[arg-type]
    assert len(list(observe([rule], [window(csi("x", 0.1), csi("y", 0.1))], 0.05))) == matches


def test_without_a_class_a_rule_is_about_the_macro_figure() -> None:
    figures = [Figure(MetricName.F1, 0.5, Status.OK, 100, class_=class_) for class_ in (None, "a", "b")]
    for chosen in (None, "b"):
        (found,) = observe([RulePolicy("r", "f1", below=0.6, class_=chosen)], [window(*figures)], None)
        assert found.figure.class_ == chosen


def test_an_alert_whose_series_has_no_figure_any_more_goes_stale() -> None:
    replay = Replay(CSI)
    replay.judge(window(csi("x", 0.5)))
    for at in range(1, 10):
        assert states(replay.judge(window(at=at))) == []
    verdict = replay.judge(window(at=10))
    assert [(t.transition.state, t.transition.reason, t.observed) for t in verdict.transitions] == [
        ("resolved", "stale", None)
    ]


def test_windows_of_another_basis_version_or_size_do_not_age_an_alert() -> None:
    replay = Replay(CSI)
    replay.judge(window(csi("x", 0.5)))
    for other in (
        window(at=100, basis=TimeBasis.LABEL),
        window(at=100, version="8"),
        window(at=100, label="1h"),
        window(at=100, segment={"country": "DE"}),
    ):
        verdict = replay.judge(other)
        assert (verdict.transitions, verdict.changed) == ((), {})


def test_an_alert_whose_rule_is_gone_is_resolved() -> None:
    replay = Replay(CSI)
    replay.judge(window(csi("x", 0.5)))
    replay.rules = ()
    (found,) = replay.judge(window(csi("x", 0.5), at=1)).transitions
    assert (found.transition.state, found.transition.reason) == ("resolved", "rule_removed")
    assert replay.active == {}


def test_a_retired_version_takes_its_alerts_along() -> None:
    replay = Replay(CSI)
    replay.judge(window(csi("x", 0.5)), window(csi("x", 0.5), version="8"))
    verdict = retire_version(replay.active, "7", 500)
    replay.take(verdict)
    assert [(t.labels["model_version"], t.transition.reason) for t in verdict.transitions] == [("7", "version_retired")]
    assert [alert.labels["model_version"] for alert in replay.active.values()] == ["8"]


def test_default_rules_fire_on_two_drifting_windows_and_on_a_change() -> None:
    replay = Replay(*DEFAULT_RULES)
    change = Figure(MetricName.CHANGE_DETECTED, 1.0, Status.OK, 100, detector=DetectorRef("adwin", "error"))
    assert states(replay.judge(window(csi("x", 0.5)), window(change, basis=TimeBasis.LABEL))) == [
        ("x", "pending"),
        ("-", "firing"),
    ]
    assert states(replay.judge(window(csi("x", 0.5), at=1))) == [("x", "firing")]


def test_the_severity_is_no_part_of_an_alerts_identity() -> None:
    labels = {"alertname": "r", "severity": "warning", "model_name": "m"}
    assert fingerprint(labels) == fingerprint({**labels, "severity": "critical"})
    assert fingerprint(labels) != fingerprint({**labels, "model_name": "n"})
    assert len(fingerprint(labels)) == 16


def test_decisions_are_counted_by_reason() -> None:
    verdict = Replay(CSI).judge(window(csi("x", 0.5), csi("y", 0.1), csi("z", None, None, Status.NO_DATA)))
    assert verdict.reasons == {"fired": 1, "quiet": 1, "unusable": 1}


def test_kept_alerts_of_another_format_are_refused() -> None:
    for data in (b"", b"\x92\x63\x90", b"garbage"):
        with pytest.raises(FormatError):
            ActiveAlert.from_bytes(data)
