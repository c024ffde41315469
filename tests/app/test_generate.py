"""The made-up stream: deterministic, exact in what it promises, and read by the monitor's own decoders."""

from __future__ import annotations

import math
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import orjson
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_monitor.app.generate import Emission, EventStream, StreamPolicy
from stream_monitor.app.generate_kafka import Player, target_of
from stream_monitor.app.generate_world import World, WorldPolicy
from stream_monitor.errors import UsageError
from stream_monitor.events.decode import LabelDecoder, PredictionDecoder
from stream_monitor.events.outcome import actual, predicted
from stream_monitor.events.policy import DecodePolicy, OutcomePolicy, Task
from stream_monitor.pipeline.partition import partition_of

START = 1_700_000_000_000
BINARY = OutcomePolicy(task=Task.BINARY, positive_class="1")


def everything(policy: StreamPolicy) -> list[Emission]:
    return list(EventStream(policy, START).until(math.inf))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 3_000), max_size=12), st.integers(0, 5), st.integers(1, 3))
def test_however_time_is_sliced_the_same_records_come_in_the_same_order(
    steps: list[int], seed: int, models: int
) -> None:
    worlds = tuple(WorldPolicy(f"m{i}") for i in range(models))
    policy = StreamPolicy(worlds, rate=100, seed=seed, events=700, duplicate_share=0.1, shift_after_ms=1_000)
    stream = EventStream(policy, START)
    now, sliced = START, []
    for step in steps:
        now += step
        part = list(stream.until(now))
        assert all(each.at_ms <= now for each in part)
        sliced += part
    sliced += stream.until(math.inf)
    assert stream.done
    assert sliced == everything(policy)
    assert [each.at_ms for each in sliced] == sorted(each.at_ms for each in sliced)


def test_every_prediction_comes_once_or_is_said_to_be_a_repeat_and_its_label_comes_later() -> None:
    policy = StreamPolicy(rate=1_000, events=3_000, duplicate_share=0.05, label_share=0.9, label_delay_ms=800)
    sent = everything(policy)
    first = {each.key: each for each in sent if each.role == "predictions" and not each.repeat}
    again = [each for each in sent if each.repeat]
    labels = {each.key: each for each in sent if each.role == "labels"}
    assert len(first) == 3_000
    assert len(sent) == 3_000 + len(again) + len(labels)
    assert 90 < len(again) < 210
    assert 2_600 < len(labels) < 2_800
    assert all(each.value == first[each.key].value for each in again)
    delays = [label.event_ms - first[key].event_ms for key, label in labels.items()]
    assert all(400 <= delay <= 1_600 for delay in delays)
    assert 700 < np.median(delays) < 900
    assert all(0 <= each.at_ms - each.event_ms <= 500 for each in first.values())


def test_some_records_are_sent_out_of_order() -> None:
    moments = [each.event_ms for each in everything(StreamPolicy(events=300)) if each.role == "predictions"]
    assert moments != sorted(moments)


@pytest.mark.parametrize(
    "outcome",
    [
        BINARY,
        OutcomePolicy(task=Task.BINARY, positive_class="yes", classes=("no", "yes"), score_of="predicted"),
        OutcomePolicy(task=Task.MULTICLASS),
        OutcomePolicy(task=Task.MULTICLASS, classes=("only",)),
        OutcomePolicy(task=Task.REGRESSION),
    ],
    ids=str,
)
def test_the_monitor_reads_the_events_of_every_task(outcome: OutcomePolicy) -> None:
    sent = everything(StreamPolicy((WorldPolicy(outcome=outcome),), events=200))
    predictions = [each for each in sent if each.role == "predictions"]
    labels = [each for each in sent if each.role == "labels"]
    rows = PredictionDecoder(DecodePolicy()).decode_batch(
        [each.value for each in predictions], [each.at_ms for each in predictions]
    )
    truths = LabelDecoder(DecodePolicy()).decode_batch([each.value for each in labels], [each.at_ms for each in labels])
    assert not rows.rejects
    assert not truths.rejects
    assert rows.timestamps.tolist() == [each.event_ms for each in predictions]
    for row in rows.rows:
        found = predicted(row.prediction, outcome)
        assert found.value is not None if outcome.task is Task.REGRESSION else found.label is not None
        assert found.score is None or 0 <= found.score <= 1
    for truth in truths.rows:
        said = actual(truth, outcome)
        assert said.value is not None if outcome.task is Task.REGRESSION else said.label is not None


def test_the_covariate_shift_moves_one_feature_and_leaves_the_error_as_it_was() -> None:
    before, after = _halves(StreamPolicy(rate=100, events=8_000, shift_after_ms=40_000, label_delay_ms=0))
    assert np.median(after["income"]) > 1.7 * np.median(before["income"])
    assert abs(np.mean(after["age"]) - np.mean(before["age"])) < 1.5
    assert abs(np.mean(after["error"]) - np.mean(before["error"])) < 0.03


def test_the_concept_drift_raises_the_error_and_leaves_the_inputs_as_they_were() -> None:
    before, after = _halves(StreamPolicy(rate=100, events=8_000, drift_after_ms=40_000, label_delay_ms=0))
    assert abs(np.median(after["income"]) / np.median(before["income"]) - 1) < 0.1
    assert abs(np.mean(after["debt_ratio"]) - np.mean(before["debt_ratio"])) < 0.02
    assert np.mean(before["error"]) < 0.12
    assert np.mean(after["error"]) > 0.3


def test_changes_come_again_after_each_repeat() -> None:
    policy = StreamPolicy(shift_after_ms=100, drift_after_ms=200, repeat_ms=300)
    seen = [policy.phase(at) for at in (0, 150, 250, 300, 450, 550)]
    assert seen[:3] == seen[3:] == [(False, False), (True, False), (True, True)]


def test_a_model_has_as_many_features_as_asked_for_and_its_seed_decides_their_values() -> None:
    policy = WorldPolicy(numeric=16, categorical=4)
    row = World(policy, 3).calm(1)[0]
    assert Counter(type(value) for value in row.features.values() if value is not None)[str] == 4
    assert len(row.features) == 20
    assert World(policy, 3).calm(700) == World(policy, 3).calm(700)
    assert World(policy, 3).calm(10) != World(policy, 4).calm(10)


def test_ids_differ_between_two_starts() -> None:
    policy = StreamPolicy(events=50)
    ids = {each.key for start in (START, START + 1) for each in EventStream(policy, start).until(math.inf)}
    assert len(ids) == 100


def test_played_records_lie_where_other_clients_would_put_them() -> None:
    home = Producer({"bootstrap.servers": "x", "test.mock.num.brokers": 1, "log_level": 0})
    for topic in ("p", "l"):
        home.list_topics(topic, timeout=10)
    bootstrap = ",".join(f"{each.host}:{each.port}" for each in home.list_topics(timeout=10).brokers.values())
    player = Player({"bootstrap.servers": bootstrap}, {"predictions": "p", "labels": "l"})
    policy = StreamPolicy(rate=1_000, events=400, label_delay_ms=10, out_of_order_ms=10, duplicate_share=0.1)
    sent = player.play(EventStream(policy, START), threading.Event())
    assert (sent.predictions, sent.labels) == (400, 400)
    assert sent.by_model == {"credit": 400}
    for topic, expected in (("p", 400 + sent.repeats), ("l", 400)):
        records = _records(bootstrap, topic)
        assert len(records) == expected
        assert all(partition == partition_of(key.decode(), 4) for partition, key in records)


def test_a_config_names_the_models_and_one_with_a_mapping_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("models: [{name: a, task: regression}, {name: b, positive_class: x}]\ntopics: {labels: truths}\n")
    target = target_of(file, "other:1234")
    assert target.client["bootstrap.servers"] == "other:1234"
    assert target.topics == {"predictions": "predictions", "labels": "truths"}
    assert [world.model_name for world in target.worlds] == ["a", "b"]
    assert target.worlds[0].outcome.task is Task.REGRESSION
    assert not target.labels
    file.write_text("mapping: {prediction_id: payload.id}\n")
    with pytest.raises(UsageError, match="mapping"):
        target_of(file, None)


def _halves(policy: StreamPolicy) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Features and error of the predictions before and after half of the stream's time."""
    sent = everything(policy)
    truths = {each.key: orjson.loads(each.value)["actual"]["label"] for each in sent if each.role == "labels"}
    middle = START + int((policy.events or 0) / policy.rate * 500)
    halves: tuple[dict[str, list[float]], dict[str, list[float]]] = ({}, {})
    for each in sent:
        if each.role == "labels" or each.repeat:
            continue
        event = orjson.loads(each.value)
        half = halves[each.event_ms >= middle]
        for name, value in event["features"].items():
            if isinstance(value, float):
                half.setdefault(name, []).append(value)
        wrong = (event["prediction"]["score"] >= 0.5) != (truths[each.key] == "1")
        half.setdefault("error", []).append(float(wrong))
    return halves


def _records(bootstrap: str, topic: str) -> list[tuple[int, bytes]]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(4)])
    found: list[tuple[int, bytes]] = []
    ended = 0
    while ended < 4:
        for message in consumer.consume(500, 1.0):
            if message.error() is None:
                found.append((message.partition(), message.key()))
            else:
                ended += 1
    consumer.close()
    return found
