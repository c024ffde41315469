"""run: the whole monitor as a process of its own, against a real broker; and how it ends where it cannot run."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from stream_monitor.app.instance import Instance
from stream_monitor.events.metric import MetricEvent
from tests.broker.topics import TopicSpace
from tests.cli.conftest import Run
from tests.cli.files import write_inputs

COMMAND = [sys.executable, "-m", "stream_monitor.cli.main", "run"]


def config_for(folder: Path, bootstrap: str, topics: TopicSpace | None = None) -> Path:
    def name(text: str) -> str:
        return text if topics is None else topics.name(text)

    path = folder / "monitor.yaml"
    path.write_text(f"""
kafka: {{bootstrap.servers: "{bootstrap}"}}
topics: {{predictions: {name("predictions")}, labels: {name("labels")}, prefix: {name("mon.")},
         partitions: 2, panes_partitions: 2}}
models:
  - name: credit
    task: binary
    positive_class: "1"
    reference: {{bootstrap: {{events: 500}}}}
    windows: [{{size: 10m}}]
    max_past: null
    max_future: null
    labels: {{join_window: 1h}}
prometheus: {{port: 0, metrics: [psi, csi, accuracy]}}
idle_timeout: 2s
flush_interval: 250ms
live_horizon: null
""")
    return path


@contextmanager
def running(config: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """The process and the file its log goes to; drained at the end if it still runs."""
    log = config.parent / f"log-{len(list(config.parent.glob('log-*')))}"
    with log.open("w") as out:
        process = subprocess.Popen([*COMMAND, "-c", str(config), *words], stderr=out, stdout=out, text=True)
        try:
            yield process, log
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(60)


def wait_for(what: Callable[[], bool], log: Path, process: subprocess.Popen[str], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


def base_url(log: Path) -> str | None:
    found = re.search(r"(http://127\.0\.0\.1:\d+)/metrics", log.read_text())
    return found[1] if found else None


def get(log: Path, path: str) -> tuple[int, str]:
    url = base_url(log)
    if url is None:
        return 0, ""
    try:
        with urllib.request.urlopen(url + path, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def produce(topics: TopicSpace, name: str, file: Path) -> int:
    lines = file.read_bytes().splitlines()
    pairs = [(str(json.loads(line)["prediction_id"]).encode(), line) for line in lines]
    return topics.produce(topics.name(name), pairs, settings={"partitioner": "murmur2_random"})


def published(topics: TopicSpace) -> list[MetricEvent]:
    records = topics.read_committed(topics.name("mon.metrics"))
    return [MetricEvent.decode(record.value or b"") for record in records]


def counted(events: list[MetricEvent]) -> int:
    """Predictions by the highest revision of each window, and what was too late."""
    newest: dict[tuple[str, str | None], MetricEvent] = {}
    for event in events:
        if event.metric == "predictions" and not event.segment and event.model_version is not None:
            key = (event.window.start, event.model_version)
            if key not in newest or event.revision > newest[key].revision:
                newest[key] = event
    late = sum(e.n for e in events if e.metric == "too_late" and e.window.time_basis == "prediction")
    return sum(event.n for event in newest.values()) + late


@pytest.mark.broker
@pytest.mark.parametrize("words", [(), ("--workers", "2")], ids=["one process", "two workers"])
def test_the_whole_monitor_counts_every_event_and_drains_on_sigterm(
    run: Run, tmp_path: Path, topics: TopicSpace, words: tuple[str, ...]
) -> None:
    config = config_for(tmp_path, topics.bootstrap, topics)
    assert run("topics", "create", "-c", config).exit_code == 0
    _, predictions, labels = write_inputs(tmp_path, n=1_500)
    with running(config, "--instance", "a", *words) as (process, log):
        wait_for(lambda: get(log, "/-/ready")[0] == 200, log, process)
        sent = produce(topics, "predictions", predictions)
        produce(topics, "labels", labels)
        wait_for(lambda: counted(published(topics)) == sent, log, process)
        wait_for(lambda: any(e.metric == "accuracy" for e in published(topics)), log, process)
        assert get(log, "/-/healthy")[0] == 200
        _, text = get(log, "/metrics")
        samples = {sample.name: sample for family in text_string_to_metric_families(text) for sample in family.samples}
        assert samples["streammonitor_model_info"].labels["model_name"] == "credit"
        assert "streammonitor_model_performance" in samples
        if not words:
            assert samples["streammonitor_predictions_total"].value == sent
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()
        assert "stopped" in log.read_text()
        assert "Traceback" not in log.read_text()


@pytest.mark.broker
def test_roles_run_in_processes_of_their_own(run: Run, tmp_path: Path, topics: TopicSpace) -> None:
    config = config_for(tmp_path, topics.bootstrap, topics)
    assert run("topics", "create", "-c", config).exit_code == 0
    _, predictions, _ = write_inputs(tmp_path, n=300)
    with (
        running(config, "--role", "ingest", "--instance", "i") as (ingest, ingest_log),
        running(config, "--role", "evaluate", "--instance", "e") as (evaluate, evaluate_log),
        running(config, "--role", "react", "--instance", "r") as (react, react_log),
    ):
        for process, log in ((ingest, ingest_log), (evaluate, evaluate_log), (react, react_log)):
            wait_for(lambda log=log: get(log, "/-/ready")[0] == 200, log, process)  # type: ignore[misc]
        sent = produce(topics, "predictions", predictions)
        wait_for(lambda: counted(published(topics)) == sent, evaluate_log, evaluate)


@pytest.mark.broker
def test_missing_topics_are_one_sentence_with_the_command(tmp_path: Path, topics: TopicSpace) -> None:
    config = config_for(tmp_path, topics.bootstrap, topics)
    with running(config) as (process, log):
        assert process.wait(60) == 1
        (line,) = log.read_text().splitlines()
    assert line.startswith("Error: missing topics: ")
    assert line.endswith(f"→ stream-monitor topics create -c {config}")


def test_without_a_broker_run_ends_with_one_sentence(tmp_path: Path) -> None:
    with running(config_for(tmp_path, "127.0.0.1:1")) as (process, log):
        assert process.wait(60) == 1
        (line,) = log.read_text().splitlines()
    assert line.startswith("Error: no Kafka broker answers")


def test_a_second_process_of_an_instance_refuses_to_start(tmp_path: Path) -> None:
    config = config_for(tmp_path, "127.0.0.1:1")
    with Instance(tmp_path / "state", "a"), running(config, "--instance", "a") as (process, log):
        assert process.wait(60) == 1
        assert f"Instance 'a' is running already: process {os.getpid()}" in log.read_text()


def test_workers_are_for_ingest(run: Run, tmp_path: Path) -> None:
    said = run("run", "-c", config_for(tmp_path, "127.0.0.1:1"), "--role", "react", "--workers", "2")
    assert said.exit_code == 2
    assert "--workers starts ingest processes" in said.stderr


def test_a_wrong_config_is_78_before_anything_starts(run: Run, tmp_path: Path) -> None:
    (tmp_path / "monitor.yaml").write_text("topicz: {}")
    assert run("run", "-c", tmp_path / "monitor.yaml").exit_code == 78
    assert not (tmp_path / "state").exists()
