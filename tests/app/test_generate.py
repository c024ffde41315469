"""The made-up stream: deterministic, exact in what it promises, and read by the monitor's own decoders."""

from __future__ import annotations

import heapq
import math
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_monitor.app.generate import MOST_RECORDS, Emission, EventStream, StreamPolicy
from stream_monitor.app.generate_due import RECORD, Due
from stream_monitor.app.generate_features import Tag
from stream_monitor.app.generate_kafka import Player, target_of
from stream_monitor.app.generate_world import BLOCK, World, WorldPolicy
from stream_monitor.errors import UsageError
from stream_monitor.events.decode import LabelDecoder, PredictionDecoder
from stream_monitor.events.outcome import actual, predicted
from stream_monitor.events.policy import DecodePolicy, OutcomePolicy, Task
from stream_monitor.events.times import parse_timestamp
from stream_monitor.pipeline.partition import partition_of

START = 1_700_000_000_000
BINARY = OutcomePolicy(task=Task.BINARY, positive_class="1")
OUTCOMES = [
    BINARY,
    OutcomePolicy(task=Task.BINARY, positive_class="yes", classes=("no", "yes"), score_of="predicted"),
    OutcomePolicy(task=Task.MULTICLASS),
    OutcomePolicy(task=Task.MULTICLASS, classes=("only",)),
    OutcomePolicy(task=Task.REGRESSION),
]


def everything(policy: StreamPolicy) -> list[Emission]:
    return list(EventStream(policy, START).until(math.inf))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 3_000), max_size=12), st.integers(0, 5), st.integers(1, 3))
def test_however_time_is_sliced_the_same_records_come_in_the_same_order(
    steps: list[int], seed: int, models: int
) -> None:
    # Every second model is of another kind, and so drawn apart.
    worlds = tuple(WorldPolicy(f"m{i}", outcome=OUTCOMES[-(i % 2)]) for i in range(models))
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


@pytest.mark.parametrize("out_of_order_ms", [0, 40, 3_000])
def test_records_are_out_of_order_by_less_than_was_allowed(out_of_order_ms: int) -> None:
    policy = StreamPolicy(
        rate=1_000, events=3_000, out_of_order_ms=out_of_order_ms, duplicate_share=0, label_delay_ms=9
    )
    for role in ("predictions", "labels"):
        sent = [each for each in everything(policy) if each.role == role]
        newest = np.maximum.accumulate([each.event_ms for each in sent])
        behind = newest - [each.event_ms for each in sent]
        assert behind.max() <= out_of_order_ms
        assert behind.max() >= 0.8 * out_of_order_ms
        assert all(0 <= each.at_ms - each.event_ms <= out_of_order_ms for each in sent)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_as_many_are_repeated_and_labelled_as_was_asked_for(share: float) -> None:
    policy = StreamPolicy(rate=1_000, events=4_000, duplicate_share=share, label_share=1 - share)
    sent = everything(policy)
    assert abs(sum(each.repeat for each in sent) / 4_000 - share) < 0.03
    assert abs(sum(each.role == "labels" for each in sent) / 4_000 - (1 - share)) < 0.03
    places = {each.key: each.at_ms for each in sent if each.role == "predictions" and not each.repeat}
    assert all(each.at_ms >= places[each.key] for each in sent if each.repeat)


def test_models_take_turns_and_of_each_model_its_versions() -> None:
    worlds = tuple(
        WorldPolicy(f"m{i}", outcome=OUTCOMES[0 if i in (0, 3) else 4], more_versions=("2", "3")) for i in range(5)
    )
    policy = StreamPolicy(worlds, rate=500, events=3_001, out_of_order_ms=0, duplicate_share=0, label_delay_ms=None)
    sent = everything(policy)
    assert [each.model for each in sent] == [f"m{place % 5}" for place in range(3_001)]
    events = [orjson.loads(each.value) for each in sent]
    assert [event["model_version"] for event in events] == [str(place // 5 % 3 + 1) for place in range(3_001)]
    assert [event["model_name"] for event in events] == [each.model for each in sent]
    assert ["score" in event["prediction"] for event in events] == [place % 5 in (0, 3) for place in range(3_001)]
    assert [each.event_ms for each in sent] == [START + place * 2 for place in range(3_001)]


def test_each_value_of_a_tag_is_as_frequent_as_said_whatever_other_tags_say() -> None:
    tags = (Tag.even("plan", "abcd"), Tag("kind of customer", ("new", "old"), (0.2, 0.8)))
    policy = StreamPolicy((WorldPolicy(tags=tags),), events=8_000, label_delay_ms=None, duplicate_share=0)
    pairs = Counter(tuple(orjson.loads(each.value)["tags"].items()) for each in everything(policy))
    assert len(pairs) == 8
    for ((_, _), (_, kind)), count in pairs.items():
        assert abs(count / 8_000 - 0.25 * (0.2 if kind == "new" else 0.8)) < 0.02


def test_a_model_without_tags_says_none() -> None:
    (first, *_) = everything(StreamPolicy((WorldPolicy(tags=()),), events=1))
    assert "tags" not in orjson.loads(first.value)


@pytest.mark.parametrize("outcome", OUTCOMES, ids=str)
def test_the_text_of_events_says_what_the_rows_say(outcome: OutcomePolicy) -> None:
    world = WorldPolicy("a model", "v", outcome, numeric=7, categorical=5, missing=0.1)
    events = BLOCK + 100  # the last block is cut
    sent = everything(StreamPolicy((world,), seed=4, events=events, out_of_order_ms=0, duplicate_share=0))
    said = {each.key: orjson.loads(each.value) for each in sent if each.role == "predictions"}
    truths = {each.key: orjson.loads(each.value) for each in sent if each.role == "labels"}
    assert len(said) == len(truths) == events
    times = {each.value: each.event_ms for each in sent}
    for row, (key, event) in zip(World(world, 4).calm(events), said.items(), strict=True):
        assert (event["features"], event["prediction"]) == (row.features, row.prediction)
        assert list(event["features"]) == list(world.features)
        assert truths[key]["actual"] == row.actual
        assert event["prediction_id"] == truths[key]["prediction_id"] == key.decode()
        assert (event["model_name"], event["model_version"], truths[key]["model_name"]) == ("a model", "v", "a model")
    assert all(parse_timestamp(orjson.loads(value)["timestamp"]) == moment for value, moment in times.items())


@given(st.lists(st.tuples(st.lists(st.integers(0, 50), max_size=40), st.integers(0, 50)), max_size=30))
def test_records_become_due_in_the_order_of_a_heap(steps: list[tuple[list[int], int]]) -> None:
    due, heap, number, now = Due(), [], 0, 0
    for delays, wait in steps:
        made = np.zeros(len(delays), RECORD)
        made["at"] = [now + delay for delay in delays]
        made["number"] = range(number, number + len(delays))
        number += len(delays)
        due.add(made)
        for record in made.tolist():
            heapq.heappush(heap, record)
        now += wait
        expected = []
        while heap and heap[0][0] <= now:
            expected.append(heapq.heappop(heap))
        assert due.take(now).tolist() == expected
        assert len(due) == len(heap)
    assert due.take(math.inf).tolist() == sorted(heap)


def test_what_waits_is_bounded_by_the_rate_and_the_longest_wait() -> None:
    policy = StreamPolicy(rate=2_000, events=40_000, label_delay_ms=1_000, out_of_order_ms=100)
    stream, most, texts = EventStream(policy, START), 0, 0
    for batch in stream.batches(math.inf):
        assert len(batch.keys) == len(batch.values) <= MOST_RECORDS
        most, texts = max(most, len(stream._due)), max(texts, len(stream._texts))
    assert most <= 2 * policy.rate * policy.longest_wait_ms / 1_000 + 2 * BLOCK
    assert texts <= 2 * policy.rate * policy.out_of_order_ms / 1_000 + 2 * BLOCK
    assert (len(stream._due), len(stream._texts)) == (0, 0)


@pytest.mark.parametrize("outcome", OUTCOMES, ids=str)
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


def test_a_shift_moves_the_features_named_and_by_as_much_as_named() -> None:
    world = WorldPolicy(shift_features=("age", "region"), shift_size=0.5, missing=0)
    before, after = _halves(StreamPolicy((world,), rate=100, events=8_000, shift_after_ms=40_000, label_delay_ms=0))
    assert abs(np.mean(after["age"]) - np.mean(before["age"]) - 0.5 * 12) < 1  # its deviation is 12
    assert abs(np.mean(after["debt_ratio"]) - np.mean(before["debt_ratio"])) < 0.02
    rarest = [np.mean(np.array(half["region"]) == "LATAM") for half in (before, after)]
    assert rarest == pytest.approx([0.1, 0.1 + 0.9 * (1 - 2**-0.5)], abs=0.03)
    assert np.mean(np.array(after["channel"]) == "branch") == pytest.approx(0.1, abs=0.03)


def test_a_shift_that_ramps_is_half_done_in_the_middle() -> None:
    policy = StreamPolicy(shift_after_ms=1_000, shift_ramp_ms=500, drift_after_ms=1_200)
    shift, drifted = policy.changes(np.array([0, 999, 1_000, 1_250, 1_500, 9_000]))
    assert shift.tolist() == [0, 0, 0, 0.5, 1, 1]
    assert drifted.tolist() == [False, False, False, True, True, True]


def test_half_of_a_concept_drift_leaves_nothing_of_what_a_feature_meant() -> None:
    world = WorldPolicy(drift_features=WorldPolicy().features, drift_size=0.5, noise=0)
    before, after = _halves(StreamPolicy((world,), rate=100, events=8_000, drift_after_ms=40_000, label_delay_ms=0))
    assert np.mean(before["error"]) < 0.01
    assert np.mean(after["error"]) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rate": 0}, "rate must be above 0, at most 1,000,000 a second, found 0"),
        ({"duplicate_share": 1.5}, "duplicate share is a share from 0 to 1, found 1.5"),
        ({"label_share": math.nan}, "label share is a share from 0 to 1, found nan"),
        ({"events": 0}, "at least 1 event, found 0"),
        ({"worlds": ()}, "at least one model"),
        ({"worlds": (WorldPolicy(), WorldPolicy())}, "different names"),
    ],
)
def test_a_stream_that_cannot_be_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(StreamPolicy(), **change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"numeric": 0}, "1 to 10,000 numeric features and 0 to 10,000 categorical ones, found 0 and 3"),
        ({"missing": -0.1}, "missing is a share from 0 to 1, found -0.1"),
        ({"shift_size": math.nan}, "at most 10 standard deviations, found nan"),
        ({"drift_features": ("age", "colour")}, "no feature colour; the model has income, "),
        ({"tags": (Tag.even("a", "x"), Tag.even("a", "y"))}, "different names, found a, a"),
    ],
)
def test_a_model_that_cannot_be_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(WorldPolicy(), **change)


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
    assert (sent.predictions, sent.labels, sent.records) == (400, 400, 800 + sent.repeats)
    for topic, expected in (("p", 400 + sent.repeats), ("l", 400)):
        records = _records(bootstrap, topic)
        assert len(records) == expected
        assert all(partition == partition_of(key.decode(), 4) for partition, key in records)


def test_a_stop_ends_a_stream_without_end_and_all_that_was_counted_has_arrived() -> None:
    home = Producer({"bootstrap.servers": "x", "test.mock.num.brokers": 1, "log_level": 0})
    home.list_topics("p", timeout=10)
    bootstrap = ",".join(f"{each.host}:{each.port}" for each in home.list_topics(timeout=10).brokers.values())
    # A queue this short is full again and again.
    player = Player(
        {"bootstrap.servers": bootstrap, "queue.buffering.max.messages": 100}, {"predictions": "p", "labels": "p"}
    )
    stop = threading.Event()
    player.on_step = lambda sent: stop.set() if sent.predictions > 2_000 else None
    sent = player.play(EventStream(StreamPolicy(rate=1_000), START), stop, lambda: math.inf)
    assert sent.predictions > 2_000
    assert len(_records(bootstrap, "p")) == sent.records


def test_a_stream_without_labels_needs_no_topic_for_them() -> None:
    home = Producer({"bootstrap.servers": "x", "test.mock.num.brokers": 1, "log_level": 0})
    home.list_topics("predictions", timeout=10)
    bootstrap = ",".join(f"{each.host}:{each.port}" for each in home.list_topics(timeout=10).brokers.values())
    target, policy = target_of(None, bootstrap), StreamPolicy(events=50, label_delay_ms=None)
    assert target.topics_of(StreamPolicy()) == target.topics
    assert target.topics_of(policy) == {"predictions": "predictions"}
    sent = Player(target.client, target.topics_of(policy)).play(
        EventStream(policy, START), threading.Event(), lambda: math.inf
    )
    assert (sent.predictions, sent.labels) == (50, 0)
    assert len(_records(bootstrap, "predictions")) == sent.records


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


def _halves(policy: StreamPolicy) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """Features and error of the predictions before and after half of the stream's time."""
    sent = everything(policy)
    truths = {each.key: orjson.loads(each.value)["actual"]["label"] for each in sent if each.role == "labels"}
    middle = START + int((policy.events or 0) / policy.rate * 500)
    halves: tuple[dict[str, list[Any]], dict[str, list[Any]]] = ({}, {})
    for each in sent:
        if each.role == "labels" or each.repeat:
            continue
        event = orjson.loads(each.value)
        half = halves[each.event_ms >= middle]
        for name, value in event["features"].items():
            if value is not None:
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
