"""The demo: its plan, what its story makes of published events, and one short run of everything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from stream_monitor.app.config import parse_config
from stream_monitor.app.demo_plan import MODEL, DemoPlan
from stream_monitor.app.demo_quiet import logs_to, without_overrides
from stream_monitor.app.demo_story import Story
from stream_monitor.app.generate import Phase
from stream_monitor.app.generate_sent import Sent
from stream_monitor.cli.demo_screen import frame, spark
from stream_monitor.errors import UsageError
from stream_monitor.events.alert import AlertEvent, AlertState
from stream_monitor.events.metric import MetricEvent, NullBand, window_ref
from stream_monitor.events.names import MetricName, Status, TimeBasis

START = 1_700_000_000_000
WINDOW = 4_000


def metric(
    name: MetricName,
    value: float,
    *,
    window: int = 0,
    feature: str | None = None,
    revision: int = 0,
    id_: str = "",
    basis: TimeBasis = TimeBasis.PREDICTION,
) -> MetricEvent:
    return MetricEvent(
        id=id_ or f"{name}-{feature}-{window}-{revision}",
        metric=name,
        model_name=MODEL.model_name,
        model_version=MODEL.model_version,
        feature=feature,
        window=window_ref(START + window * WINDOW, WINDOW, WINDOW, basis),
        revision=revision,
        status=Status.OK,
        value=value,
        n=1_000,
        null_band=NullBand(0.01, 0.02),
        emitted_at="",
    )


def alert(rule: str, state: AlertState, *, feature: str | None = None, metric_name: str = "csi") -> AlertEvent:
    labels = {"alertname": rule, "severity": "warning", "metric": metric_name}
    if feature is not None:
        labels["feature"] = feature
    return AlertEvent(
        id=f"{rule}-{state}",
        fingerprint=rule,
        state=state,
        reason="",
        labels=labels,
        annotations={},
        starts_at="",
    )


def test_a_window_counts_with_its_highest_revision_and_late_increments_add_up() -> None:
    story = Story(DemoPlan())
    first = [metric(MetricName.PREDICTIONS, 10), metric(MetricName.PREDICTIONS, 7, window=1)]
    story.metrics(1.0, first)
    story.metrics(2.0, [metric(MetricName.PREDICTIONS, 12, revision=2)])
    story.metrics(3.0, [metric(MetricName.PREDICTIONS, 11, revision=1)])
    late = [metric(MetricName.TOO_LATE, 2, id_="a"), metric(MetricName.TOO_LATE, 3, id_="b")]
    story.metrics(4.0, [*late, late[0]])
    story.metrics(4.0, [metric(MetricName.LABELS_JOINED, 9, basis=TimeBasis.LABEL)])
    assert story.counted == 12 + 7 + 2 + 3
    assert story.labels_counted == 9
    verdict = story.verdict(24, 9)
    assert verdict.counts_agree
    assert (verdict.windows, verdict.too_late) == (2, 5)


def test_a_run_with_drift_fails_for_each_alert_that_did_not_reach_react() -> None:
    story = Story(DemoPlan())
    story.alert(1.0, alert("input-drift", "firing", feature="income"))
    story.reacted(1.5, alert("input-drift", "firing", feature="income"))
    story.alert(2.0, alert("concept-drift", "firing", metric_name="change_detected"))
    assert [each.rule for each in story.verdict(0, 0).missing] == ["concept-drift"]
    story.reacted(2.5, alert("concept-drift", "firing", metric_name="change_detected"))
    story.alert(3.0, alert("output-drift", "firing", metric_name="psi"))
    verdict = story.verdict(0, 0)
    assert not verdict.failures(drift=True)
    assert [each.rule for each in verdict.surplus] == ["output-drift"]


def test_an_alert_on_another_feature_is_not_the_expected_one() -> None:
    story = Story(DemoPlan())
    for event in (alert("input-drift", "firing", feature="age"),):
        story.alert(1.0, event)
        story.reacted(1.0, event)
    assert {each.rule for each in story.verdict(0, 0).missing} == {"input-drift", "concept-drift"}


def test_a_run_without_drift_fails_for_any_alert_that_fires() -> None:
    story = Story(DemoPlan(drift=False))
    story.alert(1.0, alert("input-drift", "pending", feature="age"))
    assert not story.verdict(0, 0).failures(drift=False)
    story.alert(2.0, alert("input-drift", "firing", feature="age"))
    assert len(story.verdict(0, 0).failures(drift=False)) == 1


def test_unequal_counts_fail_either_run() -> None:
    story = Story(DemoPlan(drift=False))
    assert len(story.verdict(5, 6).failures(drift=False)) == 2


@pytest.mark.parametrize("duration_ms", [30_000, 45_000, 60_000, 3_600_000])
@pytest.mark.parametrize("offset_ms", [0, 1, 1_999, 3_999])
def test_changes_begin_with_a_window_and_leave_time_to_be_seen(duration_ms: int, offset_ms: int) -> None:
    plan = DemoPlan(duration_ms)
    start = START + offset_ms
    stream = plan.stream(start)
    assert stream.shift_after_ms is not None
    assert stream.drift_after_ms is not None
    window = plan.window_ms
    assert (start + stream.shift_after_ms) % window == 0
    assert (start + stream.drift_after_ms) % window == 0
    assert 2 * window <= stream.shift_after_ms <= 3 * window
    # Two whole windows for the first alert, two more with the labels for the second.
    assert stream.drift_after_ms - stream.shift_after_ms >= 2 * window
    played = (stream.events or 0) * 1000 / stream.rate
    assert stream.drift_after_ms + 2 * plan.label_delay_ms + 2 * window <= played <= duration_ms
    # The first alert, with five seconds for joining groups and for counting, is within half a minute.
    assert stream.shift_after_ms + 2 * window + 5_000 <= 30_000


def test_without_drift_the_same_stream_never_changes() -> None:
    calm = DemoPlan(drift=False)
    assert calm.expected == ()
    stream = calm.stream(START)
    assert (stream.shift_after_ms, stream.drift_after_ms) == (None, None)
    assert (stream.events, stream.seed) == (DemoPlan().stream(START).events, DemoPlan().stream(START).seed)


def test_a_demo_too_short_to_show_anything_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 30 s"):
        DemoPlan(20_000)


def test_the_environment_cannot_lead_the_demo_to_a_real_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_MONITOR_KAFKA__BOOTSTRAP_SERVERS", "production:9092")
    with without_overrides():
        assert parse_config({}).kafka == {"bootstrap.servers": "localhost:9092"}
    assert os.environ["STREAM_MONITOR_KAFKA__BOOTSTRAP_SERVERS"] == "production:9092"


def test_logs_and_warnings_go_to_the_file_and_not_to_the_screen(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import logging

    import structlog

    with logs_to(tmp_path / "log"):
        structlog.get_logger("stream_monitor.test").warning("first")
        logging.getLogger("faust").warning("second")
    assert "first" in (tmp_path / "log").read_text()
    assert "second" in (tmp_path / "log").read_text()
    assert capfd.readouterr() == ("", "")


def test_a_spark_rises_with_its_values_and_stays_in_its_limits() -> None:
    assert spark([-1.0, 0.0, 0.5, 1.0, 9.0], 0.0, 1.0) == "▁▁▅██"


def test_a_frame_fits_into_eighty_columns_and_twenty_three_rows_whatever_happens() -> None:
    story = Story(DemoPlan())
    for window in range(30):
        story.metrics(
            float(window),
            [
                metric(MetricName.PREDICTIONS, 1_000, window=window),
                metric(MetricName.PSI, 0.5, window=window),
                metric(MetricName.ACCURACY, 0.9, window=window, basis=TimeBasis.LABEL),
                *(metric(MetricName.CSI, 1.0, window=window, feature=feature) for feature in MODEL.features),
            ],
        )
    for rule, name in (("input-drift", "csi"), ("output-drift", "psi"), ("concept-drift", "change_detected")):
        for number in range(3):
            event = alert(f"{rule}{number}", "firing", feature="utilisation", metric_name=name)
            story.alert(100.0, event)
            story.reacted(101.0, event)
    sent = Sent(1_000_000, 10_000, 1_000_000)
    for playing in (True, False):
        for phase in (Phase(False, False), Phase(True, False), Phase(True, True)):
            story.phase(5.0, phase)
            console = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
            with console.file:
                console.print(frame(story, sent, phase, 61.0, playing=playing, url="http://127.0.0.1:65535"))
            lines = console.export_text().splitlines()
            assert len(lines) <= 23
            assert all(len(line) <= 80 for line in lines)
            assert "http://127.0.0.1:65535/metrics" in lines[-1]


def test_both_demos_end_well_leave_nothing_behind_and_keep_their_screens_clean(tmp_path: Path) -> None:
    """Side by side, since most of their half minute is waiting."""
    options = ("--drift", "--no-drift")
    environ = {**os.environ, "TMPDIR": str(tmp_path), "STREAM_MONITOR_PROMETHEUS__PORT": "not a port"}
    command = [sys.executable, "-m", "stream_monitor.cli.main", "demo", "--duration", "30s"]
    running = [
        subprocess.Popen([*command, option], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for option in options
    ]
    said = {}
    for option, process in zip(options, running, strict=True):
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, out + err
        assert err == ""
        assert ": equal" in out
        assert re.search(r"window .* closed: .* predictions", out)
        said[option] = out
    assert list(tmp_path.iterdir()) == []
    assert re.search(r"ALERT FIRING: input-drift, income: CSI", said["--drift"])
    assert re.search(r"ALERT FIRING: concept-drift, adwin", said["--drift"])
    assert 'streammonitor_drift_score{feature="income"' in said["--drift"]
    assert "FIRING" not in said["--no-drift"]
    assert "alerts    none" in said["--no-drift"]
