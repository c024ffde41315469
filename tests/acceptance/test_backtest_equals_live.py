"""Backtest = live: with a profile file and nothing too late, both publish the same newest figures.

One `stream-monitor run` with all its roles reads two models from four partitions; `stream-monitor backtest` reads the
same events from two files. `steady` has labels, segments and detectors and keeps within its allowed disorder, so that
nothing comes after a window's close: its events are equal to the id. `ragged` has stragglers that come after the
close, differently in both, so only its newest revisions are equal.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.contract import rfc3339
from tests.acceptance.published import Document, Reader, newest, read_all
from tests.acceptance.site import Site, event, ndjson, site, wait_for
from tests.broker.topics import TopicSpace

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]

START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
STEP_MS = 100
EVENTS = 6_000
DRIFT_AT = 3_000
ANOTHER_EACH_RUN = {"id", "revision", "emitted_at"}

WINDOWS = [{"size": "30s"}, {"size": "2m", "slide": "30s"}]
COMMON: dict[str, Any] = {
    "task": "binary",
    "positive_class": "yes",
    "windows": WINDOWS,
    "max_past": None,
    "max_future": None,
    "allowed_lateness": "1h",
}
STEADY: dict[str, Any] = {
    **COMMON,
    "name": "steady",
    "reference": {"profile": "steady.json"},
    "max_out_of_order": "5s",
    "labels": {"join_window": "90s"},
    "segments": [["tags.country"], ["tags.country", "tags.plan"]],
    "detectors": [{"signal": "error", "kind": "adwin"}, {"signal": "score", "kind": "page_hinkley"}],
}
RAGGED: dict[str, Any] = {
    **COMMON,
    "name": "ragged",
    "reference": {"profile": "ragged.json"},
    "max_out_of_order": "1s",
    "segments": [["tags.plan"]],
}

Sent = tuple[str, str, bytes]  # predictions | labels, key, value


@dataclass
class World:
    """Both models' events in the order of sending: at most 2 s of disorder, but for the stragglers of `ragged`."""

    seed: int

    def __post_init__(self) -> None:
        rng = random.Random(self.seed)
        timed: list[tuple[float, Sent]] = []
        for i in range(EVENTS):
            at = START_MS + i * STEP_MS
            timed += [(at + rng.random() * 2_000, each) for each in (self._steady(rng, i, at),)]
            if rng.random() < 0.9:
                wait = rng.uniform(500, 60_000)
                timed.append((at + wait + rng.random() * 2_000, self._label(rng, i, at + wait)))
            # Some come minutes after their time: always after the close of their windows, never too late for them.
            straggles = rng.random() < 0.02
            timed.append((at + rng.random() * 500 + (200_000 if straggles else 0), self._ragged(rng, i, at)))
        self.sent = [each for _, each in sorted(timed, key=lambda pair: pair[0])]

    def reference(self, model: str) -> list[bytes]:
        rng = random.Random(self.seed + 1)
        make = self._steady if model == "steady" else self._ragged
        values = []
        for i in range(2_000):
            _, _, value = make(rng, i - 2_000, START_MS - 1_000 * i)
            values.append(json.dumps({**json.loads(value), "actual": {"label": rng.choice(["yes", "no"])}}).encode())
        return values

    def _truth(self, i: int) -> str:
        return "yes" if i * 2_654_435_761 % 1_000 < 400 else "no"

    def _steady(self, rng: random.Random, i: int, at: float) -> Sent:
        drifted = i >= DRIFT_AT
        right = rng.random() < (0.55 if drifted else 0.9)
        high = (self._truth(i) == "yes") == right
        features = {
            "income": rng.gauss(70 if drifted else 50, 10),
            "rooms": rng.choice([1, 2, 2, 3, 3, 3, 4]) + (4 if drifted and rng.random() < 0.1 else 0),
            "region": rng.choice(["EU", "EU", "US", "ASIA"] + (["MOON"] if drifted else [])),
            "age": None if rng.random() < 0.1 else rng.uniform(18, 90),
            "constant": 7,
        }
        return self._prediction(rng, "steady", i, at, features, rng.uniform(0.5, 1) if high else rng.uniform(0, 0.5))

    def _ragged(self, rng: random.Random, i: int, at: float) -> Sent:
        features = {"x": rng.expovariate(1), "kind": rng.choice("abc")}
        return self._prediction(rng, "ragged", i, at, features, rng.random())

    def _prediction(
        self, rng: random.Random, model: str, i: int, at: float, features: dict[str, Any], score: float
    ) -> Sent:
        known = f"{model}-{i}"
        tags = {"country": rng.choice(["DE", "FR"])} | ({"plan": rng.choice("xy")} if rng.random() < 0.8 else {})
        value = event(
            model_name=model,
            model_version="7" if i < EVENTS // 2 or rng.random() < 0.5 else "8",
            prediction_id=known,
            timestamp=rfc3339(int(at)),
            features=features,
            prediction={"score": score},
            latency_seconds=rng.lognormvariate(-4, 1),
            tags=tags,
        )
        return "predictions", known, value

    def _label(self, rng: random.Random, i: int, at: float) -> Sent:
        truth = {"label": self._truth(i)}
        value = event(model_name="steady", prediction_id=f"steady-{i}", timestamp=rfc3339(int(at)), actual=truth)
        return "labels", f"steady-{i}", value


@dataclass
class Both:
    live: list[Document]
    recorded: list[Document]
    live_alerts: list[Document]
    recorded_alerts: list[Document]

    def of(self, model: str) -> tuple[dict[tuple[Any, ...], Document], dict[tuple[Any, ...], Document]]:
        """Newest figures by key: live, recorded."""
        live, recorded = (
            newest(e for e in events if e["model_name"] == model) for events in (self.live, self.recorded)
        )
        return live, recorded


@pytest.fixture(scope="module")
def both(bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Both:
    world = World(20)
    topics = TopicSpace(bootstrap, "backtest")
    with site(topics, tmp_path_factory.mktemp("backtest")) as monitor:
        settings = {"live_horizon": None, "idle_timeout": "4s", "flush_interval": "200ms", "revision_interval": "500ms"}
        monitor.write_config([STEADY, RAGGED], **settings)
        for model in ("steady", "ragged"):
            data = ndjson(monitor.folder / f"{model}.ndjson", world.reference(model))
            monitor.command(
                "profile", "build", str(data), "--model", model, "-o", str(monitor.folder / f"{model}.json")
            )
        recorded = _backtest(monitor, world)
        live = _live(monitor, world, topics, {_window(each) for each in recorded[0]})
    return Both(live[0], recorded[0], live[1], recorded[1])


def _backtest(monitor: Site, world: World) -> tuple[list[Document], list[Document]]:
    files = {
        topic: ndjson(monitor.folder / f"{topic}.ndjson", (value for name, _, value in world.sent if name == topic))
        for topic in ("predictions", "labels")
    }
    arguments = ["--predictions", str(files["predictions"]), "--labels", str(files["labels"])]
    monitor.command("backtest", *arguments, "-o", str(monitor.folder / "out"))
    return _lines(monitor.folder / "out" / "metrics.ndjson"), _lines(monitor.folder / "out" / "alerts.ndjson")


def _live(
    monitor: Site, world: World, topics: TopicSpace, wanted: set[tuple[Any, ...]]
) -> tuple[list[Document], list[Document]]:
    monitor.command("topics", "create")
    names = {"predictions": monitor.predictions, "labels": monitor.labels}
    process = monitor.start()
    metrics = Reader(topics, monitor.own("metrics"))
    sent = [(names[topic], key, value) for topic, key, value in world.sent]
    # In four parts with the close of windows between them, so that stragglers meet windows that are closed.
    for quarter in range(4):
        monitor.play(sent[quarter * len(sent) // 4 : (quarter + 1) * len(sent) // 4])
        seen = len(metrics.documents)
        wait_for(lambda seen=seen: len(metrics.poll()) > seen, 60, process, what=f"figures of part {quarter}")
    wait_for(lambda: wanted <= {_window(each) for each in metrics.poll()}, 60, process, what="the last window")
    process.stop()
    metrics.close()
    return read_all(topics, monitor.own("metrics")), read_all(topics, monitor.own("alerts"))


def _lines(file: Path) -> list[Document]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def _window(event: Document) -> tuple[Any, ...]:
    window = event["window"]
    return event["model_name"], window["time_basis"], window["start"], window["size_seconds"], event["model_version"]


def essence(event: Document) -> Document:
    return {name: value for name, value in event.items() if name not in ANOTHER_EACH_RUN}


@pytest.mark.parametrize("model", ["steady", "ragged"])
def test_the_newest_revision_of_every_figure_is_the_same(both: Both, model: str) -> None:
    live, recorded = both.of(model)
    assert not [each for each in both.live + both.recorded if each["metric"] == "too_late"]
    assert live.keys() == recorded.keys()
    for key, figure in recorded.items():
        assert essence(live[key]) == essence(figure), key
    metrics = {figure["metric"] for figure in recorded.values()}
    assert {"predictions", "psi", "csi", "latency_p99", "missing_ratio"} <= metrics


def test_where_nothing_came_after_the_close_ids_are_the_same_too(both: Both) -> None:
    live, recorded = both.of("steady")
    assert {event["revision"] for event in [*live.values(), *recorded.values()]} == {0}
    assert {key: event["id"] for key, event in live.items()} == {key: event["id"] for key, event in recorded.items()}
    metrics = {event["metric"] for event in recorded.values()}
    assert {"confusion_matrix", "auc_roc", "labels_pending", "labels_expired", "change_detected"} <= metrics


def test_what_came_after_the_close_is_a_correction_with_another_id(both: Both) -> None:
    live, recorded = both.of("ragged")
    assert any(event["revision"] > 0 for event in live.values()), "the stragglers met closed windows"
    same = [key for key, event in live.items() if event["revision"] == recorded[key]["revision"]]
    assert {live[key]["id"] for key in same} == {recorded[key]["id"] for key in same}
    others = live.keys() - set(same)
    assert all(live[key]["id"] != recorded[key]["id"] for key in others)


def test_detectors_find_the_same_change_and_rules_raise_the_same_alerts(both: Both) -> None:
    def transitions(alerts: list[Document]) -> set[tuple[Any, ...]]:
        of_steady = [each for each in alerts if each["labels"].get("model_name") == "steady"]
        return {(a["id"], a["fingerprint"], a["state"], a["reason"], a["startsAt"], a["endsAt"]) for a in of_steady}

    assert transitions(both.live_alerts) == transitions(both.recorded_alerts)
    firing = [each for each in both.live_alerts if each["state"] == "firing"]
    assert {"input-drift", "concept-drift"} <= {each["labels"]["alertname"] for each in firing}
    drift_ms = START_MS + DRIFT_AT * STEP_MS
    assert all(each["startsAt"] > rfc3339(drift_ms) for each in firing if each["labels"]["model_name"] == "steady")
