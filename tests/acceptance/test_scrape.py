"""A scrape of a running monitor passes `promtool check metrics`, and shows what the monitor published."""

from __future__ import annotations

import random
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.bad import Maker, text
from tests.acceptance.contract import rfc3339
from tests.acceptance.published import Reader
from tests.acceptance.site import Process, free_port, ndjson, site, wait_for
from tests.broker.topics import TopicSpace
from tests.export.promtool import promtool

pytestmark = [pytest.mark.broker, pytest.mark.timeout(120)]

MODEL = "credit"
WINDOW_MS = 60_000
CREDIT: dict[str, Any] = {
    "name": MODEL,
    "task": "binary",
    "positive_class": "1",
    "reference": {"profile": "credit.json"},
    "windows": [{"size": "1m"}],
    "max_out_of_order": "1s",
    "labels": {"join_window": "1h"},
}
RULES = [{"name": "input-drift", "metric": "csi", "above": 0.2, "for": 2}]


def scrape(process: Process) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{process.port}/metrics", timeout=5) as answer:
        return str(answer.read().decode())


def answers(process: Process, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{process.port}{path}", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def samples(exposition: str) -> dict[str, dict[tuple[str, ...], float]]:
    """By name: label values in the order of label names → value."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            labels = tuple(value for _, value in sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


@pytest.mark.promtool
def test_a_scrape_of_a_running_monitor_passes_promtool(topics: TopicSpace, tmp_path: Path) -> None:
    rng = random.Random(3)
    # Ten whole minutes that ended a while ago: live, and over for the clock.
    first_ms = time.time_ns() // 1_000_000 // WINDOW_MS * WINDOW_MS - 12 * WINDOW_MS
    make = Maker(first_ms)

    def events(n: int, shift: float) -> list[dict[str, Any]]:
        return [
            make.features(income=rng.gauss(50 + shift, 10)) | {"timestamp": rfc3339(first_ms + i * 500)}
            for i in range(n)
        ]

    with site(topics, tmp_path, partitions=2) as monitor:
        monitor.write_config([CREDIT], rules=RULES, idle_timeout="2s", flush_interval="200ms")
        data = ndjson(tmp_path / "reference.ndjson", map(text, events(1_000, 0.0)))
        monitor.command("profile", "build", str(data), "--model", MODEL, "-o", str(tmp_path / "credit.json"))
        monitor.command("topics", "create")
        sent = events(1_200, 25.0)
        monitor.play((monitor.predictions, each["prediction_id"], text(each)) for each in sent)
        labels = [make.label(each["prediction_id"], "1", timestamp=each["timestamp"]) for each in sent]
        monitor.play((monitor.labels, each["prediction_id"], text(each)) for each in labels)
        monitor.play([(monitor.predictions, "broken", b"{")])
        process = monitor.start(port=free_port())
        wait_for(lambda: answers(process, "/-/ready"), 60, process, what="readiness")
        assert answers(process, "/-/healthy")
        alerts = Reader(topics, monitor.own("alerts"))
        wait_for(lambda: any(a["state"] == "firing" for a in alerts.poll()), 60, process, what="the alert")
        wait_for(lambda: "streammonitor_alert_active{" in scrape(process), 10, process, what="the alert's gauge")
        exposition = scrape(process)
        alerts.close()
        process.stop()

    promtool("check", "metrics", stdin=exposition.encode())
    found = samples(exposition)
    assert found["streammonitor_predictions_total"] == {(MODEL, "7"): 1_200}
    assert found["streammonitor_labels_joined_total"][MODEL, "joined"] == 1_200
    assert found["streammonitor_events_rejected_total"] == {("malformed_json", monitor.predictions): 1}
    assert found["streammonitor_prediction_latency_seconds_count"] == {(MODEL,): 1_200}
    assert found["streammonitor_alert_active"] == {("input-drift", MODEL, "warning"): 1}
    drift = {key: value for key, value in found["streammonitor_drift_ratio"].items() if "income" in key}
    assert len(drift) == 1
    assert min(drift.values()) > 1
    lag = found["streammonitor_consumer_lag_messages"]
    sources = {(str(p), topic) for p in (0, 1) for topic in (monitor.predictions, monitor.labels)}
    assert {key: lag[key] for key in sources} == dict.fromkeys(sources, 0)
