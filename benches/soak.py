"""`python -m benches.soak --seconds 1800`: whether memory stays flat at full speed, on a real broker.

A generator, ingest with labels, and evaluate, each in a process of its own; both /metrics are scraped all the time.
The generator makes as much as it can, and is stopped (SIGSTOP) while ingest is far behind, so that the path is full and
what waits on the broker bounded. Event time runs so fast that the join store has come to its full size, and expires as
much as it takes, before a third of the time is over.

All the time: resident memory of each process, and the gauges of what waits. At the end stderr has the curves,
stdout one JSON line. Exit code 1: ingest or evaluate grew in the second half by more than soak_curve.py allows (runs of
ten minutes and more), or a process ended. Topics keep little, so that the disk does not fill.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

import yaml
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from benches.harness import Space, bench_space, say, stream_monitor
from benches.rss import Sample, memory_of, slope_mib_per_minute
from benches.soak_curve import TRIAL_S, allowed_slope, grown, picture, thinned
from tests.broker.source import NoBroker

MODELS = 4
JUDGED = ("ingest", "evaluate")
EVERY_S = 0.5
MOST_WAITING, RESUMED_AT = 200_000, 100_000  # events that ingest has not read; the generator is held in between
MOST_PANES_WAITING = 300  # messages that evaluate has not read: half a minute's worth
ASSUMED_RATE = 8_000  # predictions a second; only says how fast event time runs
JOIN_WINDOW_MIN, SLACK_MIN = 10, 60  # entries are kept for both (pipeline: an hour more than the window)
GAUGES = (
    "streammonitor_consumer_lag_messages",
    "streammonitor_join_state_entries",
    "streammonitor_join_state_bytes",
    "streammonitor_unflushed_bytes",
)
COUNTERS = (
    "streammonitor_events_consumed_total",
    "streammonitor_forced_flushes_total",
    "streammonitor_transactions_aborted_total",
)
_SAMPLE = re.compile(r"^(streammonitor_\w+)(?:\{[^}]*\})? (\S+)$", re.MULTILINE)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benches.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1_800, help="at full speed (default %(default)s)")
    seconds = parser.parse_args().seconds
    try:
        with bench_space("soak") as space:
            return _Soak(space, seconds).run()
    except NoBroker as error:
        say(str(error))
        return 1


class _Soak:
    def __init__(self, space: Space, seconds: float) -> None:
        self._space = space
        self._seconds = seconds
        self._ports = dict(zip(JUDGED, _free_ports(len(JUDGED)), strict=True))
        self._config = space.folder / "soak.yaml"
        self._config.write_text(yaml.safe_dump(self._document()))
        self._samples: dict[str, list[Sample]] = {}
        self._highest: dict[str, float] = {}
        self._newest: dict[str, float] = {}
        self._held_s = 0.0

    def run(self) -> int:
        stream_monitor("topics", "create", "-c", str(self._config))
        self._keep_little()
        with ExitStack() as stack:
            processes = {
                name: stack.enter_context(self._started(name, "run", "--role", name, "--port", str(port)))
                for name, port in self._ports.items()
            }
            for name, process in processes.items():
                self._wait_until_ready(name, process)
            processes["generate"] = stack.enter_context(self._started("generate", *self._stream()))
            ended = self._watch(processes)
        return self._report(ended)

    def _stream(self) -> tuple[str, ...]:
        # A fifth of the run is as long, in event time, as a join entry lives.
        event_rate = ASSUMED_RATE * self._seconds / 5 / (60 * (JOIN_WINDOW_MIN + SLACK_MIN))
        return (
            *("generate", "--rate", "max", "--event-rate", f"{max(event_rate, 1):.0f}"),
            *("--start", "2026-01-01T00:00:00Z", "--label-delay", "4m", "--segment", "plan=5"),
            *("--numeric", "16", "--categorical", "4", "--shift-after", "30m", "--drift-after", "1h", "--repeat", "2h"),
        )

    def _document(self) -> dict[str, object]:
        names = self._space.topics
        model = {
            "task": "binary",
            "positive_class": "1",
            "reference": {"bootstrap": {"events": 5_000}},
            "windows": [{"size": "5m"}, {"size": "1h", "slide": "5m"}],
            "labels": {"join_window": f"{JOIN_WINDOW_MIN}m"},
            "segments": [["tags.plan"]],
            "max_past": None,
            "max_future": None,
        }
        return {
            "kafka": {"bootstrap.servers": names.bootstrap},
            "topics": {
                "predictions": names.name("predictions"),
                "labels": names.name("labels"),
                "prefix": names.name("m."),
            },
            "models": [{"name": f"model-{number}", **model} for number in range(MODELS)],
            "live_horizon": None,
            "state_dir": str(self._space.folder / "state"),
        }

    def _keep_little(self) -> None:
        """Every topic of the monitor: 64 MB a partition and segments of 16, so that the broker can drop and compact."""
        settings = {"retention.bytes": "67108864", "segment.bytes": "16777216", "min.cleanable.dirty.ratio": "0.1"}
        entries = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in settings.items()
        ]
        admin = self._space.topics.admin
        topics = [name for name in admin.list_topics(timeout=10).topics if name.startswith(self._space.topics.prefix)]
        resources = [ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries) for name in topics]
        for answer in admin.incremental_alter_configs(resources).values():
            answer.result(30)

    def _log(self, name: str) -> Path:
        return self._space.folder / f"{name}.log"

    def _started(self, name: str, *words: str) -> _Running:
        instance = () if name == "generate" else ("--instance", name)
        command = [sys.executable, "-m", "stream_monitor.cli.main", *words, "-c", str(self._config), *instance]
        with self._log(name).open("wb") as output:
            return _Running(subprocess.Popen(command, stdout=output, stderr=output))

    def _wait_until_ready(self, name: str, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + 120
        while not _get(self._ports[name], "/-/healthy"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} does not answer:\n{self._log(name).read_text()[-3_000:]}")
            time.sleep(0.2)

    def _watch(self, processes: Mapping[str, subprocess.Popen[bytes]]) -> str | None:
        """Sample until the time is over; returns what ended before, if anything did."""
        began = time.monotonic()
        generate, held = processes["generate"], False
        told = 0.0
        while (passed := time.monotonic() - began) < self._seconds:
            for name, process in processes.items():
                if process.poll() is not None:
                    return f"{name} ended with {process.returncode}:\n{self._log(name).read_text()[-3_000:]}"
                if (memory := memory_of(process.pid)) and "VmRSS" in memory:
                    self._samples.setdefault(name, []).append(Sample(passed, memory["VmRSS"]))
            self._scrape()
            waiting = self._waiting()
            held = self._is_behind(waiting, held=held)
            # Each time: a stopped process is continued by others too, as when its terminal goes.
            generate.send_signal(signal.SIGSTOP if held else signal.SIGCONT)
            if passed >= told:
                told = passed + max(10.0, self._seconds / 30)
                sizes = ", ".join(f"{name} {mine[-1].mib:.0f} MiB" for name, mine in self._samples.items())
                say(f"  {passed:5.0f} s: {sizes}; {self._events:,.0f} events, {waiting:,.0f} waiting")
            time.sleep(EVERY_S)
            self._held_s += EVERY_S if held else 0.0
        return None

    def _scrape(self) -> None:
        """Notes the gauges and counters of both stages."""
        for name, port in self._ports.items():
            found: dict[str, float] = {}
            for family, value in _SAMPLE.findall(_get(port, "/metrics")):
                if family in GAUGES or family in COUNTERS:
                    found[family] = found.get(family, 0.0) + float(value)
            for family, value in found.items():
                key = f"{name} {family}"
                self._newest[key] = value
                self._highest[key] = max(value, self._highest.get(key, value))

    @property
    def _events(self) -> float:
        return self._newest.get("ingest streammonitor_events_consumed_total", 0.0)

    def _waiting(self) -> float:
        """Events on the broker that ingest has not committed: what the gauge of the lag says up to 5 s later."""
        topics = self._space.topics
        ends = [topics.end_offsets(topics.name(role)) for role in ("predictions", "labels")]
        return sum(sum(each.values()) for each in ends) - self._events

    def _is_behind(self, waiting: float, *, held: bool) -> bool:
        panes = self._newest.get("evaluate streammonitor_consumer_lag_messages", 0.0)
        return waiting > (RESUMED_AT if held else MOST_WAITING) or panes > MOST_PANES_WAITING

    def _report(self, ended: str | None) -> int:
        for name, mine in self._samples.items():
            say(f"\n{picture(name, mine)}")
        is_trial = self._seconds < TRIAL_S
        sentences = [ended] if ended else [] if is_trial else grown(self._samples, JUDGED)
        for sentence in sentences:
            say(sentence)
        if is_trial:
            say(f"a trial: what takes less than {TRIAL_S:g} s is not judged, since memory is still filling")
        found = {
            "seconds": self._seconds,
            "events": round(self._events),
            "events_per_second": round(self._events / self._seconds),
            "generator_held_seconds": round(self._held_s),
            "slope_allowed_mib_per_minute": round(allowed_slope(self._seconds), 2),
            "memory": {
                name: {
                    "peak_mib": round(max(sample.mib for sample in mine), 1),
                    "slope_mib_per_minute": round(slope_mib_per_minute(mine), 2),
                    "curve": thinned(mine),
                }
                for name, mine in self._samples.items()
            },
            "gauges": {
                key: {"highest": round(self._highest[key]), "last": round(value)}
                for key, value in sorted(self._newest.items())
            },
            "flat": None if is_trial else not sentences,
        }
        print(json.dumps(found), flush=True)
        return 1 if sentences else 0


class _Running:
    """A process that is ended on the way out, also if it is stopped by a signal then."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def __enter__(self) -> subprocess.Popen[bytes]:
        return self._process

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def _get(port: int, path: str) -> str:
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return str(answer.read().decode())
    return ""


def _free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()


if __name__ == "__main__":
    sys.exit(main())
