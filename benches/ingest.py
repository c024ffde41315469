"""How fast ingest is, beside what it costs merely to consume and to parse the same events on the same broker.

Stages, each in a process of its own, in interleaved rounds; the median of each counts:
  consume          consume only
  parse            consume + orjson.loads
  ingest           decode, bins, latency, score; a transaction a second; labels off
  ingest_labels    the same, and every prediction's label joined (RocksDB); events are predictions + labels
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from benches.events import MODEL, labels, predictions
from tests.broker.source import running_broker
from tests.broker.topics import TopicSpace

PARTITIONS = 4
STAGES = ("consume", "parse", "ingest", "ingest_labels")
WHAT = {
    "consume": "(a) consume only",
    "parse": "(b) consume + orjson.loads",
    "ingest": "(c) ingest, labels off",
    "ingest_labels": "(d) ingest, labels on",
}
EXPECTED_RATIO = 0.45  # ingest / parse


def run(events: int, rounds: int) -> dict[str, object]:
    """Prints the table; returns the figures."""
    with running_broker() as broker, tempfile.TemporaryDirectory(prefix="stream-monitor-bench-") as folder:
        _say(f"{broker.source}; {os.cpu_count()} CPUs; {events:,} predictions and as many labels, {rounds} rounds")
        bench = _Bench(TopicSpace(broker.bootstrap, "bench"), Path(folder), events)
        bench.prepare()
        rates: dict[str, list[float]] = {stage: [] for stage in STAGES}
        for number in range(rounds):
            for stage in STAGES:
                rates[stage].append(bench.measure(stage, number))
                _say(f"  round {number + 1}: {WHAT[stage]}: {rates[stage][-1]:,.0f} events/s")
    return report(events, rates)


def report(events: int, rates: dict[str, list[float]]) -> dict[str, object]:
    medians = {stage: statistics.median(found) for stage, found in rates.items()}
    print(f"\n{'stage':<28}{'events/s':>12}{'of (a)':>9}{'of (b)':>9}   rounds")
    for stage, median in medians.items():
        shares = f"{median / medians['consume']:>9.2f}{median / medians['parse']:>9.2f}"
        print(f"{WHAT[stage]:<28}{median:>12,.0f}{shares}   {', '.join(f'{rate:,.0f}' for rate in rates[stage])}")
    ratio = medians["ingest"] / medians["parse"]
    verdict = "as expected" if ratio >= EXPECTED_RATIO else "less than expected"
    print(f"\nc/b = {ratio:.2f}: {verdict} (at least {EXPECTED_RATIO})\n")
    return {
        "bench": "ingest",
        "events": events,
        "events_per_second": {stage: round(median) for stage, median in medians.items()},
        "rounds": {stage: [round(rate) for rate in found] for stage, found in rates.items()},
        "ratios": {
            "parse_of_consume": round(medians["parse"] / medians["consume"], 3),
            "ingest_of_parse": round(ratio, 3),
            "ingest_of_consume": round(medians["ingest"] / medians["consume"], 3),
            "ingest_labels_of_parse": round(medians["ingest_labels"] / medians["parse"], 3),
            "ingest_labels_of_ingest": round(medians["ingest_labels"] / medians["ingest"], 3),
        },
    }


class _Bench:
    """Topics with the events, a profile, and a config a run: each run is a group of its own from the beginning."""

    def __init__(self, topics: TopicSpace, folder: Path, events: int) -> None:
        self._topics, self._folder, self._events = topics, folder, events

    def prepare(self) -> None:
        self._predictions = self._topics.create("predictions", PARTITIONS)
        self._labels = self._topics.create("labels", PARTITIONS)
        size = self._produce(self._predictions, predictions(self._events)) / self._events
        self._produce(self._labels, labels(self._events))
        _say(f"{size:.0f} bytes a prediction")
        reference = self._folder / "reference.ndjson"
        reference.write_bytes(b"".join(value + b"\n" for _, value in predictions(5_000, seed=1, with_actual=True)))
        config = self._config("profile", with_labels=False)
        _command("profile", "build", str(reference), "--model", MODEL, "-o", str(self._folder / "p.json"), "-c", config)

    def measure(self, stage: str, number: int) -> float:
        """Events a second of one run."""
        with_labels = stage == "ingest_labels"
        config = self._config(f"{stage}-{number}", with_labels=with_labels)
        if stage.startswith("ingest"):
            _command("topics", "create", "-c", config)
        given = {
            "stage": "ingest" if with_labels else stage,
            "config": config,
            "predictions": self._events,
            "joined": self._events if with_labels else 0,
        }
        done = _python("-m", "benches.stage", json.dumps(given))
        found = json.loads(done.splitlines()[-1])
        expected = self._events * (2 if with_labels else 1)
        if found["events"] != expected:
            raise RuntimeError(f"{stage} read {found['events']} events, expected {expected}")
        return float(found["events"] / found["seconds"])

    def _config(self, name: str, *, with_labels: bool) -> str:
        model: dict[str, object] = {
            "name": MODEL,
            "task": "binary",
            "positive_class": "1",
            "reference": {"profile": str(self._folder / "p.json")},
            "max_past": None,
            "max_future": None,
        }
        if with_labels:
            model["labels"] = {"join_window": "1h"}
        document = {
            "kafka": {"bootstrap.servers": self._topics.bootstrap},
            "topics": {
                "predictions": self._predictions,
                "labels": self._labels,
                "prefix": self._topics.name(f"{name}."),
            },
            "models": [model],
            "state_dir": str(self._folder / f"state-{name}"),
        }
        path = self._folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(document))
        return str(path)

    def _produce(self, topic: str, messages: Iterable[tuple[str, bytes]]) -> int:
        """Keyed and placed as Java's clients do; returns the bytes of all values."""
        size = 0

        def counted() -> Iterator[tuple[bytes | None, bytes | None]]:
            nonlocal size
            for key, value in messages:
                size += len(value)
                yield key.encode(), value

        self._topics.produce(topic, counted(), settings={"partitioner": "murmur2_random", "linger.ms": 20})
        return size


def _command(*arguments: str) -> str:
    return _python("-m", "stream_monitor.cli.main", *arguments)


def _python(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments[:3])} ended with {done.returncode}:\n{done.stderr[-3_000:]}")
    return done.stdout


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
