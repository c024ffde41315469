"""topics create and doctor against a real broker, and what they say where there is none."""

import json
import socket
from pathlib import Path

import pytest

from stream_monitor.app.instance import Instance
from tests.broker.topics import TopicSpace
from tests.cli.conftest import Run

NOWHERE = "127.0.0.1:1"


def config_for(folder: Path, topics: TopicSpace, more: str = "") -> Path:
    path = folder / "monitor.yaml"
    path.write_text(
        f"kafka: {{bootstrap.servers: '{topics.bootstrap}'}}\n"
        f"topics: {{predictions: {topics.name('predictions')}, labels: {topics.name('labels')}, "
        f"prefix: {topics.name('mon.')}, partitions: 2, panes_partitions: 3}}\n"
        "models: [{name: credit, labels: {join_window: 1h}}]\n"
        "prometheus: {port: 0}\n" + more
    )
    return path


@pytest.mark.broker
def test_topics_are_created_once_and_then_left_alone(run: Run, tmp_path: Path, topics: TopicSpace) -> None:
    config = config_for(tmp_path, topics)
    first = run("topics", "create", "-c", config)
    assert first.exit_code == 0, first.stderr
    assert f"created  {topics.name('predictions')}  2 partitions" in first.stdout
    assert f"created  {topics.name('mon.panes')}  3 partitions" in first.stdout
    again = run("topics", "create", "-c", config)
    assert again.exit_code == 0
    assert "created  " not in again.stdout
    assert "differs" not in again.stdout


@pytest.mark.broker
def test_new_topics_follow_those_they_belong_to_and_differences_are_reported(
    run: Run, tmp_path: Path, topics: TopicSpace
) -> None:
    topics.create("predictions", 5)
    topics.create("mon.state", 3)
    said = run("topics", "create", "-c", config_for(tmp_path, topics)).stdout
    assert f"exists   {topics.name('predictions')}  5 partitions" in said
    assert f"created  {topics.name('labels')}  5 partitions" in said
    assert "differs: cleanup.policy is delete, wanted compact" in said


@pytest.mark.broker
def test_the_doctor_finds_nothing_wrong_after_topics_create(run: Run, tmp_path: Path, topics: TopicSpace) -> None:
    config = config_for(tmp_path, topics)
    before = run("doctor", "-c", config)
    assert before.exit_code == 1
    assert f"→ stream-monitor topics create -c {config}" in before.stdout
    run("topics", "create", "-c", config)
    event = {"model_name": "credit", "prediction_id": "p1", "timestamp": 1, "prediction": {"score": 0.5}}
    topics.produce(topics.name("predictions"), [(b"p1", json.dumps(event).encode())])
    after = run("doctor", "-c", config)
    assert after.exit_code == 0, after.stdout
    assert "failed" not in after.stdout
    assert f"1 records of {topics.name('predictions')} sampled, 0 of them no events" in after.stdout


@pytest.mark.broker
def test_the_doctor_sees_wrong_keys_and_topics_that_are_not_co_partitioned(
    run: Run, tmp_path: Path, topics: TopicSpace
) -> None:
    topics.create("labels", 3)
    config = config_for(tmp_path, topics)
    topics.create("predictions", 2)
    run("topics", "create", "-c", config)
    event = {"model_name": "credit", "prediction_id": "p1", "timestamp": 1, "prediction": {"score": 0.5}}
    topics.produce(topics.name("predictions"), [(b"other", json.dumps(event).encode())])
    said = run("doctor", "-c", config)
    assert said.exit_code == 1
    assert "need the same number" in said.stdout
    assert "key 'other' of prediction_id 'p1'" in said.stdout
    assert "→ let the producers send prediction_id as the record's key" in said.stdout


def test_without_a_broker_topics_create_is_one_sentence(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "monitor.yaml"
    config.write_text(f"kafka: {{bootstrap.servers: '{NOWHERE}'}}\n")
    said = run("topics", "create", "-c", config)
    assert said.exit_code == 1
    assert "no Kafka broker answers" in said.stderr
    assert len(said.stderr.strip().splitlines()) == 1


def test_without_a_broker_the_doctor_still_looks_at_everything_else(run: Run, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = tmp_path / "monitor.yaml"
        port = taken.getsockname()[1]
        config.write_text(f"kafka: {{bootstrap.servers: '{NOWHERE}'}}\nprometheus: {{port: {port}}}\n")
        said = run("doctor", "-c", config)
    assert said.exit_code == 1
    lines = {line.split()[1]: line.split()[0] for line in said.stdout.splitlines() if line[:1] in "of"}
    assert lines == {
        "python": "ok",
        "packages": "ok",
        "config": "ok",
        "state": "ok",
        "prometheus": "failed",
        "broker": "failed",
    }


def test_the_doctor_of_a_running_instance_says_so(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "monitor.yaml"
    config.write_text(f"kafka: {{bootstrap.servers: '{NOWHERE}'}}\n")
    with Instance(tmp_path / "state", "a"):
        assert "in use: Instance 'a' is running already" in run("doctor", "-c", config, "--instance", "a").stdout


def test_a_bad_config_ends_the_doctor_with_78(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "monitor.yaml"
    config.write_text("topicz: {}\n")
    said = run("doctor", "-c", config)
    assert said.exit_code == 78
    assert "topicz: found an unknown key" in said.stdout
