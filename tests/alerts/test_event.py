from __future__ import annotations

from stream_monitor.alerts.event import TOP, alert_event, performance_moved, top_bins
from stream_monitor.alerts.judge import ActiveAlert, judge
from stream_monitor.alerts.observe import ClosedWindow
from stream_monitor.alerts.rule import RulePolicy
from stream_monitor.events.alert import AlertEvent
from stream_monitor.events.metric import Bin, MetricEvent, NullBand, window_ref
from stream_monitor.events.names import MetricName, Status, TimeBasis
from stream_monitor.metrics.figure import Figure

RULE = RulePolicy("input-drift", "csi", above=0.2, severity="critical")
BINS = tuple(Bin(f"b{i}", None, None, 0.1, 0.1, i / 100) for i in range(10))


def drifting(value: float = 0.31, at: int = 0) -> ClosedWindow:
    income = Figure(
        MetricName.CSI, value, Status.OK, 4_210, "income", null_band=NullBand(0.003, 0.006), p_value=1e-9, bins=BINS
    )
    others = [Figure(MetricName.CSI, i / 100, Status.OK, 4_210, f"f{i}", p_value=0.5) for i in range(8)]
    few = Figure(MetricName.CSI, 9.0, Status.INSUFFICIENT_DATA, 3, "few")
    return ClosedWindow(
        "credit", "7", {"country": "DE"}, "5m", TimeBasis.PREDICTION, at, at + 300_000, False, [income, *others, few]
    )


def test_a_firing_alert_says_what_why_and_since_when() -> None:
    (judged,) = judge([RULE], [drifting()], {}, 0.05).transitions
    metric = MetricEvent(
        id="i",
        metric="csi",
        model_name="credit",
        model_version="7",
        window=window_ref(0, 300_000, 300_000, TimeBasis.PREDICTION),
        status=Status.OK,
        value=0.31,
        n=4_210,
        emitted_at="1970-01-01T00:05:01.000Z",
    )
    event = alert_event(judged, metric, performance_moved=False, generator_url="http://monitor/")
    assert AlertEvent.decode(event.encode()) == event
    assert (event.state, event.reason) == ("firing", "fired")
    assert (event.starts_at, event.ends_at) == ("1970-01-01T00:05:00.000Z", None)
    assert event.labels == {
        "alertname": "input-drift",
        "severity": "critical",
        "metric": "csi",
        "feature": "income",
        "model_name": "credit",
        "model_version": "7",
        "segment": "country=DE",
        "window": "5m",
        "time_basis": "prediction",
    }
    assert event.annotations["summary"] == (
        "input-drift firing: csi feature=income of model credit version 7, country=DE"
    )
    assert event.annotations["description"] == (
        "csi is 0.31 over a window of 5m with 4210 rows; the rule is above 0.2 for 1 window(s). "
        "Without drift it would be at most 0.006 in 95 % of such windows (p = 1e-09)."
    )
    assert event.evidence.metric == metric
    assert [one.bin for one in event.evidence.top_bins] == ["b9", "b8", "b7", "b6", "b5"]
    assert [one.feature for one in event.evidence.top_features] == ["income", "f7", "f6", "f5", "f4"]
    assert event.evidence.performance_moved is False


def test_ids_are_the_same_in_every_run_and_differ_between_transitions() -> None:
    first, again = (judge([RULE], [drifting()], {}, 0.05) for _ in range(2))
    fired = [alert_event(verdict.transitions[0], None) for verdict in (first, again)]
    assert fired[0].id == fired[1].id
    active = {key: alert for key, alert in first.changed.items() if alert is not None}
    (resolved,) = judge([RULE], [drifting(0.0, at=300_000)], active, 0.05).transitions
    event = alert_event(resolved, None)
    assert event.id != fired[0].id
    assert event.fingerprint == fired[0].fingerprint
    assert (event.starts_at, event.ends_at) == (fired[0].starts_at, "1970-01-01T00:10:00.000Z")
    assert event.annotations["description"].endswith("Resolved: the metric is back within the threshold.")


def test_a_stale_alert_has_no_evidence_and_says_why_it_ended() -> None:
    verdict = judge([RULE], [drifting()], {}, 0.05)
    active = {key: alert for key, alert in verdict.changed.items() if alert is not None}
    late = ClosedWindow("credit", "7", {"country": "DE"}, "5m", TimeBasis.PREDICTION, 3_000_000, 3_300_000, False, [])
    (judged,) = judge([RULE], [late], active, 0.05).transitions
    event = alert_event(judged, None)
    assert event.annotations["description"] == "Resolved: no usable figure came for too long."
    assert (event.evidence.metric, event.evidence.top_bins) == (None, ())


def test_performance_moved_tells_whether_labels_agree() -> None:
    drift_labels = {"model_name": "credit", "model_version": "7"}
    assert performance_moved([], drift_labels, labels_came=False) is None
    assert performance_moved([], drift_labels, labels_came=True) is False
    rule = RulePolicy("quality", "accuracy", below=0.9)
    figure = Figure(MetricName.ACCURACY, 0.5, Status.OK, 100)
    for version, expected in (("7", True), ("8", False)):
        window = ClosedWindow("credit", version, {}, "5m", TimeBasis.LABEL, 0, 10, False, [figure])
        active = [a for a in judge([rule], [window], {}, None).changed.values() if isinstance(a, ActiveAlert)]
        assert performance_moved(active, drift_labels, labels_came=True) is expected


def test_few_bins_are_all_evidence() -> None:
    assert top_bins(BINS[:2]) == (BINS[1], BINS[0])
    assert len(top_bins(BINS)) == TOP
