"""Bad input through the real broker: each kind has a counted outcome, and costs its neighbours nothing.

All of it stands in one partition between good events, read by one `stream-monitor run`. Below, what a monitor says
that cannot start: one sentence with the mending command, exit code 1.
"""

from __future__ import annotations

import base64
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.bad import MAX_EVENT_BYTES, MAX_FEATURES, MODEL, Bad, Maker, bad_labels, bad_predictions, text
from tests.acceptance.contract import rfc3339
from tests.acceptance.published import Document, Reader, newest, read_all
from tests.acceptance.site import Process, Site, free_port, ndjson, site, wait_for
from tests.broker.topics import TopicSpace

pytestmark = [pytest.mark.broker, pytest.mark.timeout(120)]

HOUR_MS = 3_600_000
CREDIT: dict[str, Any] = {
    "name": MODEL,
    "task": "binary",
    "positive_class": "1",
    "reference": {"profile": "credit.json"},
    "windows": [{"size": "1h"}],
    "labels": {"join_window": "12h"},
}


@dataclass
class Sent:
    """What went to one topic, in the order of its offsets: each bad message between good ones."""

    values: list[bytes | None] = field(default_factory=list)
    bad: dict[int, Bad] = field(default_factory=dict)

    def add(self, value: bytes | None, bad: Bad | None = None) -> None:
        if bad is not None:
            self.bad[len(self.values)] = bad
        self.values.append(value)


@dataclass
class Outcome:
    predictions: Sent
    labels: Sent
    names: dict[str, str]
    letters: list[Document]
    events: list[Document]
    alerts: list[Document]
    counters: dict[tuple[str, tuple[str, ...]], float]
    hour: str
    unaffected: int  # predictions of the model that are good but for one feature at most

    def figure(
        self, metric: str, feature: str | None = None, model: str = MODEL, version: str | None = "7"
    ) -> Document:
        (found,) = [
            event
            for event in newest(self.events).values()
            if (event["metric"], event["feature"], event["model_name"]) == (metric, feature, model)
            and event["model_version"] == version
            and (event["window"]["start"], event["window"]["size_seconds"]) == (self.hour, 3_600)
        ]
        return found

    def rows(self, ratio: str, feature: str) -> int:
        """The count behind a ratio."""
        event = self.figure(ratio, feature)
        return round(event["value"] * event["n"])


@pytest.fixture(scope="module")
def outcome(bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    topics = TopicSpace(bootstrap, "bad-input")
    with site(topics, tmp_path_factory.mktemp("bad"), partitions=1) as monitor:
        # The hour before this one: over for the clock, and well within max_past.
        hour_ms = time.time_ns() // 1_000_000 // HOUR_MS * HOUR_MS - HOUR_MS
        make = Maker(hour_ms)
        limits = {"max_event_bytes": MAX_EVENT_BYTES, "max_features": MAX_FEATURES, "max_models": 1}
        monitor.write_config([CREDIT], limits=limits, idle_timeout="2s", flush_interval="200ms")
        reference = (text(make.prediction(timestamp=rfc3339(hour_ms - 1_000 * i))) for i in range(1_000))
        data = ndjson(monitor.folder / "reference.ndjson", reference)
        monitor.command("profile", "build", str(data), "--model", MODEL, "-o", str(monitor.folder / "credit.json"))
        monitor.command("topics", "create")
        predictions, labels, unaffected = _stream(make)
        names = {"predictions": monitor.predictions, "labels": monitor.labels}
        for topic, sent in ((monitor.predictions, predictions), (monitor.labels, labels)):
            monitor.play((topic, _key(value), value) for value in sent.values)
        process = monitor.start(port=free_port())
        metrics = Reader(topics, monitor.own("metrics"))

        def all_came() -> bool:
            closed = {(e["metric"], e["model_name"], e["window"]["start"]) for e in metrics.poll()}
            wanted = {("predictions", MODEL), ("labels_joined", MODEL), ("predictions", "newcomer")}
            return {(*each, rfc3339(hour_ms)) for each in wanted} <= closed

        wait_for(all_came, 60, process, what="the window")
        counters = _scraped(process)
        process.stop()
        metrics.close()
        return Outcome(
            predictions,
            labels,
            names,
            read_all(topics, monitor.own("dead-letters")),
            read_all(topics, monitor.own("metrics")),
            read_all(topics, monitor.own("alerts")),
            counters,
            rfc3339(hour_ms),
            unaffected,
        )


def _key(value: bytes | None) -> bytes | None:
    """The prediction_id where there is one to be found."""
    _, _, rest = (value or b"").partition(b'"prediction_id": "')
    return rest.partition(b'"')[0] or None


def _stream(make: Maker) -> tuple[Sent, Sent, int]:
    predictions, labels = Sent(), Sent()
    good = 0

    def add_good(event: dict[str, Any], truth: object = ...) -> None:
        nonlocal good
        good += 1
        predictions.add(text(event))
        if truth is not ...:
            labels.add(text(make.label(event["prediction_id"], truth)))

    for bad in bad_predictions(make):
        add_good(make.prediction(), good % 2)
        predictions.add(bad.value, bad)
    for bad in bad_labels(make):
        add_good(make.prediction(), 0)
        labels.add(bad.value, bad)
    for value in (float("nan"), float("inf"), -float("inf"), 10**400, "fifty", [50], {"amount": 50}):
        add_good(make.features(income=value))  # 7 invalid incomes
    add_good(make.features(income=10**30))  # a number as any other, beyond the reference's range
    for value in ("MOON", "MARS", 5):
        add_good(make.features(region=value))  # 3 unseen regions, one of another type
    add_good(make.features(region=["EU"]))  # invalid
    add_good(make.features(region=None))  # missing
    add_good(make.prediction(features=...))  # all three missing
    for value in (8, 9):
        add_good(make.features(constant=value))  # what never varied does
    add_good(make.prediction(latency_seconds=-1))  # without a latency
    add_good(make.prediction(latency_seconds="fast"))
    for _ in range(3):
        add_good(make.prediction(), "maybe")  # an unknown class
    for i in range(4):
        labels.add(text(make.label(f"nobody-{i}", "1")))
    for _ in range(5):
        predictions.add(text(make.prediction(model_name="newcomer")))
    for i in range(2):
        over = make.prediction(model_name=f"crowd-{i}")
        predictions.add(text(over), Bad("a model beyond the limit", text(over), "model_limit", ("max_models",)))
    add_good(make.prediction())
    return predictions, labels, good


def _scraped(process: Process) -> dict[tuple[str, tuple[str, ...]], float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{process.port}/metrics", timeout=5) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_each_refused_message_is_one_dead_letter_with_its_reason_and_a_sentence(outcome: Outcome) -> None:
    for role, sent in (("predictions", outcome.predictions), ("labels", outcome.labels)):
        letters = {each["offset"]: each for each in outcome.letters if each["topic"] == outcome.names[role]}
        assert letters.keys() == sent.bad.keys()
        for offset, bad in sent.bad.items():
            letter = letters[offset]
            assert letter["reason"] == bad.reason, bad.what
            assert all(word in letter["detail"] for word in bad.words), (bad.what, letter["detail"])
            assert len(letter["detail"]) < 400, bad.what
            kept = None if letter["value"] is None else base64.b64decode(letter["value"])
            assert kept == bad.value, bad.what
            assert (letter["partition"], letter["truncated"]) == (0, False)


def test_what_was_refused_is_counted_by_topic_and_reason(outcome: Outcome) -> None:
    for role, sent in (("predictions", outcome.predictions), ("labels", outcome.labels)):
        topic = outcome.names[role]
        expected = Counter(bad.reason for bad in sent.bad.values())
        found = {
            labels[0]: value
            for (name, labels), value in outcome.counters.items()
            if name == "streammonitor_events_rejected_total" and labels[1] == topic
        }
        assert found == expected
        assert outcome.counters["streammonitor_events_consumed_total", (topic,)] == len(sent.values)
    flood = [alert for alert in outcome.alerts if alert["labels"]["alertname"] == "reject-flood"]
    assert [alert["state"] for alert in flood] == ["firing"]


def test_no_neighbour_is_lost(outcome: Outcome) -> None:
    assert outcome.figure("predictions")["value"] == outcome.unaffected
    assert outcome.counters["streammonitor_predictions_total", (MODEL, "7")] == outcome.unaffected
    for feature in ("income", "region", "constant"):
        assert outcome.figure("missing_ratio", feature)["n"] == outcome.unaffected


def test_a_bad_feature_costs_only_itself(outcome: Outcome) -> None:
    """NaN, infinity, huge integers, changed types, unseen categories, a constant that varies."""
    assert outcome.rows("invalid_ratio", "income") == 7
    assert outcome.rows("out_of_range_ratio", "income") == 1
    assert outcome.rows("unseen_ratio", "region") == 3
    assert outcome.rows("invalid_ratio", "region") == 1
    assert outcome.rows("missing_ratio", "region") == 2
    assert outcome.rows("missing_ratio", "income") == outcome.rows("missing_ratio", "constant") == 1
    constant = outcome.figure("csi", "constant")
    (novel,) = [each for each in constant["bins"] if each["bin"] == "novel"]
    assert round(novel["actual"] * constant["n"]) == 2
    assert "MOON" not in str(outcome.events), "unseen categories leave as counts only"
    latencies = outcome.figure("latency_p50")
    assert latencies["n"] == outcome.unaffected - 2


def test_labels_without_prediction_and_unknown_classes_are_counted(outcome: Outcome) -> None:
    orphans = outcome.figure("labels_orphaned", version=None)
    assert orphans["value"] == 4
    joined = outcome.figure("labels_joined")["value"]
    labelled = sum(
        b'"label"' in (value or b"") for i, value in enumerate(outcome.labels.values) if i not in outcome.labels.bad
    )
    assert joined == labelled - 4
    assert joined - outcome.figure("confusion_matrix")["n"] == 3, "pairs of a class nobody knows are in no cell"
    assert outcome.counters["streammonitor_labels_joined_total", (MODEL, "unknown_class")] == 3


def test_an_unknown_model_registers_itself_up_to_the_limit(outcome: Outcome) -> None:
    assert outcome.figure("predictions", model="newcomer")["value"] == 5
    assert outcome.figure("psi", model="newcomer")["status"] == "no_reference"
    assert {event["model_name"] for event in outcome.events} == {MODEL, "newcomer"}


# --- a monitor that cannot start -------------------------------------------------------------------------------------


@pytest.fixture
def monitor(topics: TopicSpace, tmp_path: Path) -> Iterator[Site]:
    with site(topics, tmp_path) as made:
        yield made


def write_simple_config(monitor: Site, **settings: Any) -> None:
    monitor.write_config([{"name": MODEL, "labels": {"join_window": "1h"}}], flush_interval="100ms", **settings)


def sentence(monitor: Site, timeout_s: float = 60.0) -> str:
    """The one line that a `run` which cannot go on ends with; exit code 1."""
    code, output = monitor.start(port=0).ended(timeout_s)
    assert code == 1, output
    assert "Traceback" not in output
    (line,) = [line for line in output.splitlines() if line.startswith("Error: ")]
    return line


def test_a_broker_that_is_not_there_is_said_in_one_sentence(monitor: Site) -> None:
    write_simple_config(monitor, kafka={"bootstrap.servers": "127.0.0.1:1"})
    said = sentence(monitor)
    assert "no Kafka broker answers" in said
    assert "bootstrap.servers" in said
    assert "stream-monitor doctor" in said


def test_missing_topics_are_named_with_the_command_that_makes_them(monitor: Site) -> None:
    write_simple_config(monitor)
    said = sentence(monitor)
    assert monitor.own("panes") in said
    assert "stream-monitor topics create" in said
    monitor.command("topics", "create")
    process = monitor.start(port=0)
    time.sleep(3)
    process.stop()


def test_topics_that_are_not_co_partitioned_are_named_with_both_counts(monitor: Site) -> None:
    monitor.labels = monitor.topics.create("fewer-labels", 2)
    write_simple_config(monitor)
    monitor.command("topics", "create")
    said = sentence(monitor)
    assert f"{monitor.predictions} has 4" in said
    assert f"{monitor.labels} has 2" in said
    assert f"kafka-topics --alter --topic {monitor.labels} --partitions 4" in said


def test_keys_that_are_not_the_prediction_id_are_shown_beside_it(monitor: Site) -> None:
    write_simple_config(monitor)
    monitor.command("topics", "create")
    make = Maker(time.time_ns() // 1_000_000 - 60_000)
    monitor.play((monitor.predictions, f"customer-{i}", text(make.prediction())) for i in range(400))
    said = sentence(monitor)
    assert "customer-" in said
    assert "set the producer's key to the prediction_id" in said
    doctor = monitor.command("doctor", code=1)
    assert "customer-" in doctor.stdout


def test_two_partitioners_are_named_with_the_property_to_set(monitor: Site) -> None:
    """What librdkafka's default beside Java's does: keys are right, and labels still never meet predictions."""
    write_simple_config(monitor)
    monitor.command("topics", "create")
    make = Maker(time.time_ns() // 1_000_000 - 60_000)
    events = [make.prediction() for _ in range(400)]
    ids = [event["prediction_id"] for event in events]
    monitor.play((monitor.predictions, key, text(event)) for key, event in zip(ids, events, strict=True))
    labels = ((key.encode(), text(make.label(key, "1"))) for key in ids)
    monitor.topics.produce(monitor.labels, labels, settings={"partitioner": "consistent_random"})
    said = sentence(monitor)
    assert f"{monitor.predictions} is placed by murmur2" in said
    assert f"{monitor.labels} is placed by crc32" in said
    assert "partitioner=murmur2_random" in said
