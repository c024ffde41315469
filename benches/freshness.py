"""How long after a window's end plus its allowed disorder the figures are on the metrics topic and on /metrics.

20,000 events a second of current time, four models, windows of 9.9 s every 3.3 s, `stream-monitor run` with all roles
in one process, as a user starts it. The clock begins when the wall clock passes window end + max_out_of_order, which is
when the producer hands over an event of that time. Per window and model, seconds until
  announced   ingest's word that the window is complete can be read on the panes topic
  topic       its metric events of revision 0 can be read (read_committed) on the metrics topic
  endpoint    a scrape shows the window's end; scraped every 50 ms while one is awaited
Rounds do not matter: there is one run of `events` / 20,000 seconds.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import yaml
from confluent_kafka import Consumer, TopicPartition

from benches.events import MODEL, predictions
from benches.harness import Options, Result, Space, bench_space, ratio, result, stream_monitor
from stream_monitor.kafka.policy import reader_properties
from stream_monitor.pipeline.messages import Progress, decode
from stream_monitor.windows.watermark import Sources, read_watermark

RATE = 20_000
PARTITIONS = 4
MODELS = tuple(f"{MODEL}-{number}" for number in range(4))
# No multiple of a second: ends meet the flush clocks at all phases.
SIZE_MS, SLIDE_MS, DISORDER_MS = 9_900, 3_300, 1_000
WARM_S = 15.0  # the first windows are not measured
STEPS = ("announced", "topic", "endpoint")
SCRAPE_S = 0.05

Key = tuple[str, int]  # model, window end in ms


def run(options: Options) -> Result:
    seconds = options.count(100 * RATE, quick=20 * RATE) / RATE
    with bench_space("freshness") as space:
        setting = _Setting(space)
        metrics = _Metrics(setting)
        watchers: list[_Watcher] = [_Panes(setting), metrics, _Endpoint(setting)]
        with _running(setting) as monitor:
            producer = _producer(setting, WARM_S + seconds)
            for watcher in watchers:
                watcher.start()
            time.sleep(WARM_S)
            used = {"monitor": -_cpu_s(monitor.pid), "all": -_busy_s()}
            first_ms = _now_ms()
            sent = json.loads(producer.communicate()[0])
            last_ms = _now_ms() - 1_000
            used["monitor"] += _cpu_s(monitor.pid)
            used["all"] += _busy_s()
            time.sleep(3)
            for watcher in watchers:
                watcher.stop()
            for watcher in watchers:
                watcher.join()
    delays = {watcher.step: watcher.delays(first_ms, last_ms) for watcher in watchers}
    return _report(delays, used, sent, (last_ms - first_ms) / 1_000, _wrong(metrics, sent["by_pane"], delays))


def _report(
    delays: dict[str, dict[Key, float]], used: dict[str, float], sent: dict[str, Any], seconds: float, wrong: int
) -> Result:
    found = {step: np.array(list(delays[step].values())) for step in STEPS}
    figures: dict[str, float] = {}
    for step, values in found.items():
        for name, share in (("p50", 50), ("p90", 90), ("p99", 99), ("max", 100)):
            figures[f"{step} {name}, s"] = round(float(np.percentile(values, share)), 3)
    figures |= {f"CPUs used, {who}": round(spent / seconds, 3) for who, spent in used.items()}
    figures["producer's CPU seconds"] = sent["cpu_seconds"]
    figures["latest step of the producer, ms"] = sent["late_ms"]
    figures["events/s"] = round(sent["sent"] / sent["seconds"])
    return result(
        figures=figures,
        ratios={
            f"{step}_p99_seconds": ratio(figures[f"{step} p99, s"], "lower", must=3.0, aim=1.0)
            for step in ("topic", "endpoint")
        },
        windows={step: len(values) for step, values in found.items()},
        wrong_first_counts=wrong,
    )


def _wrong(metrics: _Metrics, by_pane: dict[str, int], delays: dict[str, dict[Key, float]]) -> int:
    """Windows whose first published counts, over all models, are not what was sent."""
    ends = {end for _, end in delays["topic"]}
    expected = {
        end: sum(by_pane[str(end - SIZE_MS + i * SLIDE_MS)] for i in range(SIZE_MS // SLIDE_MS)) for end in ends
    }
    return sum(metrics.counts.get(end) != expected[end] for end in ends)


class _Setting:
    """Topics, profiles and the config."""

    def __init__(self, space: Space) -> None:
        self.folder = space.folder
        self.topics = space.topics
        self.predictions = space.topics.create("predictions", PARTITIONS)
        self.prefix = space.topics.name("m.")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.config = self.folder / "config.yaml"
        self.config.write_text(yaml.safe_dump(self._document()))
        rows = self.folder / "reference.ndjson"
        for name in MODELS:
            lines = (value.replace(MODEL.encode(), name.encode(), 1) for _, value in predictions(3_000, seed=1))
            rows.write_bytes(b"\n".join(lines))
            stream_monitor(
                "profile", "build", str(rows), "--model", name, "-o", self._profile(name), "-c", str(self.config)
            )
        stream_monitor("topics", "create", "-c", str(self.config))

    def _document(self) -> dict[str, object]:
        return {
            "kafka": {"bootstrap.servers": self.topics.bootstrap},
            "topics": {"predictions": self.predictions, "labels": self.topics.name("none"), "prefix": self.prefix},
            "models": [
                {
                    "name": name,
                    "reference": {"profile": self._profile(name)},
                    "windows": [{"size": f"{SIZE_MS}ms", "slide": f"{SLIDE_MS}ms"}],
                    "max_out_of_order": f"{DISORDER_MS}ms",
                }
                for name in MODELS
            ],
            "prometheus": {"port": self.port},
            "state_dir": str(self.folder / "state"),
        }

    def _profile(self, name: str) -> str:
        return str(self.folder / f"{name}.json")


@contextmanager
def _running(setting: _Setting) -> Iterator[subprocess.Popen[bytes]]:
    log = setting.folder / "run.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "stream_monitor.cli.main", "run", "-c", str(setting.config)]
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 60
        while not _get(setting.port, "/-/healthy"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"stream-monitor run does not answer:\n{log.read_text()[-3_000:]}")
            time.sleep(0.2)
        yield process
        if process.poll() is not None:
            raise RuntimeError(f"stream-monitor run ended with {process.returncode}:\n{log.read_text()[-3_000:]}")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _producer(setting: _Setting, seconds: float) -> subprocess.Popen[bytes]:
    given = {
        "bootstrap": setting.topics.bootstrap,
        "topic": setting.predictions,
        "rate": RATE,
        "seconds": seconds,
        "models": MODELS,
        "pane_ms": SLIDE_MS,
    }
    return subprocess.Popen([sys.executable, "-m", "benches.steady", json.dumps(given)], stdout=subprocess.PIPE)


class _Watcher(threading.Thread):
    """Notes when each window was first seen at one step."""

    step = ""

    def __init__(self, setting: _Setting) -> None:
        super().__init__(daemon=True)
        self._setting = setting
        self._over = threading.Event()
        self.seen: dict[Key, float] = {}

    def stop(self) -> None:
        self._over.set()

    def delays(self, first_ms: int, last_ms: int) -> dict[Key, float]:
        """Seconds, of the windows that were due between these moments; one that was never seen is an error."""
        first_end = -((DISORDER_MS - first_ms) // SLIDE_MS) * SLIDE_MS
        ends = range(first_end, last_ms - DISORDER_MS + 1, SLIDE_MS)
        return {(model, end): self.seen[model, end] - (end + DISORDER_MS) / 1_000 for model in MODELS for end in ends}


class _Topic(_Watcher):
    """Reads partitions of a topic from now on, as a reader of committed records does."""

    topic = ""
    partitions: Sequence[int] | None = None

    def run(self) -> None:
        consumer = Consumer(reader_properties({"bootstrap.servers": self._setting.topics.bootstrap}))
        topic = self._setting.prefix + self.topic
        partitions = self.partitions or consumer.list_topics(topic, 10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        while not self._over.is_set():
            message = consumer.poll(0.1)
            if message is not None and message.error() is None:
                self.see(message, time.time())
        consumer.close()

    def see(self, message: Any, now: float) -> None:
        raise NotImplementedError


class _Panes(_Topic):
    step, topic, partitions = "announced", "panes", (0,)  # progress goes to every partition

    def __init__(self, setting: _Setting) -> None:
        super().__init__(setting)
        self._sources = Sources()
        self._marks: dict[str, int] = {}

    def see(self, message: Any, now: float) -> None:
        progress = decode(message.value())
        if not isinstance(progress, Progress):
            return
        for source in progress.sources:
            self._sources.observe(source, message.timestamp()[1])
        self._sources.counts.update(progress.counts)
        for model in MODELS:
            mark = read_watermark(
                self._sources, model, ("predictions",), max_out_of_order_ms=DISORDER_MS, silent_after_ms=15_000
            ).watermark_ms
            if mark is None:
                continue
            before = self._marks.setdefault(model, mark)
            for end in range(before - before % SLIDE_MS + SLIDE_MS, mark + 1, SLIDE_MS):
                self.seen[model, end] = now
            self._marks[model] = max(mark, before)


class _Metrics(_Topic):
    step, topic = "topic", "metrics"

    def __init__(self, setting: _Setting) -> None:
        super().__init__(setting)
        self.counts: dict[int, int] = {}  # window end in ms → predictions over all models

    def see(self, message: Any, now: float) -> None:
        event = orjson.loads(message.value())
        if event["revision"] or event["metric"] == "too_late":
            return
        end_ms = int(np.datetime64(event["window"]["end"].rstrip("Z"), "ms").astype(int))
        key = (event["model_name"], end_ms)
        self.seen[key] = max(now, self.seen.get(key, now))
        if event["metric"] == "predictions" and not event["segment"]:
            self.counts[end_ms] = self.counts.get(end_ms, 0) + int(event["value"])


class _Endpoint(_Watcher):
    step = "endpoint"

    def run(self) -> None:
        awaited_ms = 0
        while not self._over.is_set():
            now_ms = _now_ms()
            newest = (now_ms - DISORDER_MS) // SLIDE_MS * SLIDE_MS
            if newest <= awaited_ms:
                time.sleep(SCRAPE_S)
                continue
            ends = self._scrape()
            for model, end in ends.items():
                self.seen.setdefault((model, end), time.time())
            if ends and min(ends.values()) >= newest:
                awaited_ms = newest
            time.sleep(SCRAPE_S)

    def _scrape(self) -> dict[str, int]:
        """model → end of its newest window."""
        found: dict[str, int] = {}
        for line in _get(self._setting.port, "/metrics").splitlines():
            if line.startswith("streammonitor_window_end_timestamp_seconds{"):
                model = line.split('model_name="')[1].split('"')[0]
                found[model] = max(round(float(line.split()[-1]) * 1_000), found.get(model, 0))
        return found


def _get(port: int, path: str) -> str:
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return str(answer.read().decode())
    return ""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _cpu_s(pid: int) -> float:
    """CPU seconds of a process so far; NaN where there is no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _busy_s() -> float:
    """CPU seconds of the whole machine so far, the broker's among them; NaN where there is no /proc."""
    try:
        fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    except OSError:
        return float("nan")
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")
