"""generate: streams to files, the options' meaning, and what is said of those that cannot be."""

from __future__ import annotations

import math
import threading
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from stream_monitor.app import generate_kafka
from stream_monitor.app.generate_options import FILES_START_MS, GenerateOptions
from stream_monitor.cli import stopping
from stream_monitor.errors import UsageError
from stream_monitor.events.times import parse_timestamp
from tests.cli.conftest import Run

OPTIONS = GenerateOptions(
    rate="100", event_rate=None, events=None, duration=None, start=None, models=None, versions=1, numeric=5,
    categorical=3, missing=0.01, segment=(), drift=True, shift_after="3m", shift_ramp="0s", shift_size=1.5,
    shift_features=None, drift_after="6m", drift_size=1.0, drift_features=None, repeat="10m", label_delay="5s",
    label_share=1.0, out_of_order="500ms", duplicates=0.01, seed=1,
)  # fmt: skip
NOW = 1_780_000_000_000


@pytest.fixture(autouse=True)
def _signals_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "stop_event", threading.Event)


def events_of(file: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in file.read_bytes().splitlines()]


def written(run: Run, folder: Path, *more: object) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    result = run("generate", "--out", folder, *more)
    assert result.exit_code == 0, result.stderr
    return events_of(folder / "predictions.ndjson"), events_of(folder / "labels.ndjson")


def test_the_same_options_give_the_same_bytes_and_another_seed_others(run: Run, tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        written(run, tmp_path / name, "--events", 1_500, "--models", 3, "--seed", seed)
    texts = {
        name: [(tmp_path / name / file).read_bytes() for file in ("predictions.ndjson", "labels.ndjson")]
        for name in "abc"
    }
    assert texts["a"] == texts["b"]
    assert texts["a"] != texts["c"]


def test_every_option_shows_in_the_files(run: Run, tmp_path: Path) -> None:
    predictions, labels = written(
        run, tmp_path / "new" / "folder", "--duration", "40s", "--rate", 100, "--models", 4, "--versions", 2,
        "--numeric", 7, "--categorical", 2, "--missing", 0, "--segment", "plan=3", "--segment", "country=DE,FR",
        "--out-of-order", "2s", "--duplicates", 0.1, "--label-delay", "1m", "--label-share", 0.5,
        "--start", "2026-03-01T00:00:00Z",
    )  # fmt: skip
    ids = Counter(event["prediction_id"] for event in predictions)
    assert len(ids) == 4_000
    assert set(ids.values()) == {1, 2}
    assert 4_300 < len(predictions) < 4_500
    assert 1_850 < len(labels) < 2_150
    assert {event["model_name"] for event in predictions} == {f"credit-{n}" for n in (1, 2, 3, 4)}
    assert {event["model_version"] for event in predictions} == {"1", "2"}
    assert {event["tags"]["plan"] for event in predictions} == {"plan-1", "plan-2", "plan-3"}
    assert {event["tags"]["country"] for event in predictions} == {"DE", "FR"}
    assert all(len(event["features"]) == 9 and None not in event["features"].values() for event in predictions)
    moments = {event["prediction_id"]: parse_timestamp(event["timestamp"]) for event in predictions}
    assert min(moments.values()) == parse_timestamp("2026-03-01T00:00:00Z")
    assert max(moments.values()) - min(moments.values()) == 39_990
    delays = [parse_timestamp(label["timestamp"]) - moments[label["prediction_id"]] for label in labels]
    assert min(delays) >= 30_000
    assert max(delays) <= 120_000


def test_files_that_are_there_stay(run: Run, tmp_path: Path) -> None:
    (tmp_path / "labels.ndjson").write_text("mine")
    result = run("generate", "--out", tmp_path, "--events", 10)
    assert result.exit_code == 2
    assert "labels.ndjson is there already" in result.stderr
    assert (tmp_path / "labels.ndjson").read_text() == "mine"
    assert not (tmp_path / "predictions.ndjson").exists()


def test_a_stream_without_labels_is_one_file(run: Run, tmp_path: Path) -> None:
    assert run("generate", "--out", tmp_path, "--events", 10, "--label-share", 0).exit_code == 0
    assert [file.name for file in tmp_path.iterdir()] == ["predictions.ndjson"]


def test_a_backtest_reads_all_of_it_and_finds_the_shift(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    model = {
        "name": "credit", "positive_class": "1", "windows": [{"size": "1m"}], "labels": {"join_window": "1h"},
        "reference": {"bootstrap": {"events": 1_000}},
    }  # fmt: skip
    rules = [{"name": "input-drift", "metric": "csi", "above": 0.2, "severity": "warning"}]
    config.write_text(yaml.safe_dump({"models": [model], "rules": rules, "state_dir": str(tmp_path / "state")}))
    predictions, labels = written(run, tmp_path / "data", "--duration", "6m", "--rate", 20, "-c", config)
    files = ("--predictions", tmp_path / "data/predictions.ndjson", "--labels", tmp_path / "data/labels.ndjson")
    result = run("backtest", "-c", config, *files, "-o", tmp_path / "out")
    assert f"{len(predictions)} predictions, {len(labels)} labels, 0 rejected" in result.stdout
    alerts = events_of(tmp_path / "out/alerts.ndjson")
    assert {alert["labels"]["feature"] for alert in alerts if alert["state"] == "firing"} == {"income"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rate", "fast"], "--rate 'fast' is not accepted: a number from 0.01 to 1,000,000 a second, or max"),
        (["--rate", "0"], "--rate '0' is not accepted"),
        (["--event-rate", "max"], "--event-rate 'max' is not accepted: a number from 0.01"),
        (["--events", "0"], "--events 0 is not accepted: a number from 1 to 1,000,000,000,000,000"),
        (["--shift-size", "-11"], "--shift-size -11.0 is not accepted: a number from -10 to 10"),
        (["--events", "5", "--duration", "5m"], "--events and --duration both say when the stream ends"),
        (["--duration", "soon"], "--duration 'soon' is not accepted: a duration such as"),
        (["--start", "yesterday"], "--start 'yesterday' is not accepted: 'yesterday' is not RFC 3339"),
        (["--start", "2999-12-31T23:59:59Z"], "within the years 1900 to 2999"),
        (["--segment", "country"], "--segment 'country' is not accepted: TAG=NUMBER of values or TAG=VALUE,VALUE"),
        (["--segment", "country=0"], "NUMBER from 1 to 100,000"),
        (["--segment", "country=DE,DE"], "each value once"),
        (["--segment", "a=2", "--segment", "a=3"], "--segment names each tag once, found a, a"),
        (["--shift-features", "colour"], "--shift-features 'colour' is not accepted: a number from 1 to 5, or names"),
        (["--drift-features", "6"], "--drift-features '6' is not accepted: a number from 1 to 5"),
        (["--missing", "2"], "--missing 2.0 is not accepted: a number from 0 to 1"),
        (["--label-delay", "-1s"], "--label-delay '-1s' is not accepted"),
        (["--duplicates", "nan"], "--duplicates nan is not accepted: a number from 0 to 1"),
        (["--bootstrap", "x:1"], "--out and --bootstrap both say where the stream goes"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_named_with_what_is_accepted(run: Run, tmp_path: Path, words: list[str], said: str) -> None:
    end = [] if {"--events", "--duration"} & set(words) else ["--events", "10"]
    result = run("generate", "--out", tmp_path / "new", *end, *words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not (tmp_path / "new").exists()


def test_files_need_an_end_and_models_have_one_source(run: Run, tmp_path: Path) -> None:
    result = run("generate", "--out", tmp_path / "new")
    assert (result.exit_code, "give --events or --duration" in result.stderr) == (2, True)
    (tmp_path / "c.yaml").write_text("models: [{name: a, positive_class: x}]")
    result = run("generate", "--out", tmp_path / "new", "--events", 5, "-c", tmp_path / "c.yaml", "--models", 2)
    assert (result.exit_code, "the config names its 1 models" in result.stderr) == (2, True)


def test_an_address_that_does_not_answer_is_named_with_what_sets_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate_kafka, "connected", partial(generate_kafka.connected, timeout_s=0.2))
    config = tmp_path / "c.yaml"
    config.write_text("{}")
    result = run("generate", "-c", config, "--bootstrap", "127.0.0.1:1")
    assert result.exit_code == 1
    assert "Error: 127.0.0.1:1: no Kafka broker answers" in result.stderr
    assert f"--bootstrap HOST:PORT, or kafka: bootstrap.servers in {config}\n" in result.stderr


def changed(**options: Any) -> GenerateOptions:
    return GenerateOptions(**{name: getattr(OPTIONS, name) for name in OPTIONS.__slots__} | options)


def test_what_is_sent_as_it_happens_starts_now_and_what_is_sent_faster_ends_now() -> None:
    plain = changed(rate="20000")
    policy = plain.stream((), labels=True)
    assert (policy.rate, plain.speed, plain.start_ms(policy, NOW)) == (20_000, 1, NOW)

    quick = changed(rate="200", event_rate="50", events=1_000)
    policy = quick.stream((), labels=True)
    assert (policy.rate, quick.speed) == (50, 4)
    assert quick.start_ms(policy, NOW) == NOW - 20_000 - 11_000  # the last label comes now

    unbounded = changed(rate="max", duration="10s", label_share=0.0)
    policy = unbounded.stream((), labels=True)
    assert (policy.rate, policy.events, unbounded.speed) == (1_000, 10_000, math.inf)
    assert unbounded.start_ms(policy, NOW) == NOW - 10_000 - 1_000

    endless = changed(rate="max")
    with pytest.raises(UsageError, match="--rate max sends faster than its event time passes"):
        endless.start_ms(endless.stream((), labels=True), NOW)
    begun = changed(rate="max", start="2026-01-01T00:00:00Z")
    assert begun.start_ms(begun.stream((), labels=True), NOW) == FILES_START_MS


def test_features_are_named_or_counted() -> None:
    policy = changed(numeric=8, shift_features="3", drift_features="region, age").stream((), labels=True)
    (world,) = policy.worlds
    assert world.shifted_features == ("income", "debt_ratio", "utilisation")
    assert world.turned_features == ("region", "age")
    assert changed(drift=False).stream((), labels=True).shift_after_ms is None
