"""One monitor on one broker as its user has it: a config file, topics, and processes of the real command line.

Nothing of the project is called here but `python -m stream_monitor.cli.main`, unless a test names another program.
Processes are ended by their own id.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from confluent_kafka import KafkaException, Producer

from tests.broker.topics import TopicSpace

COMMAND = (sys.executable, "-m", "stream_monitor.cli.main")
MURMUR2 = {"partitioner": "murmur2_random"}

Record = tuple[str, str | bytes | None, bytes | None]  # topic, key, value


@dataclass
class Site:
    """Full topic names, the config file, and every process started for it."""

    topics: TopicSpace
    folder: Path
    predictions: str = ""
    labels: str = ""
    program: tuple[str, ...] = COMMAND  # what `start` runs
    environ: Mapping[str, str] | None = None
    running: list[Process] = field(default_factory=list)
    _producer: Producer | None = None

    @property
    def config(self) -> Path:
        return self.folder / "monitor.yaml"

    @property
    def prefix(self) -> str:
        return self.topics.name("sm.")

    def own(self, name: str) -> str:
        """A topic of the monitor: metrics, alerts, panes, …"""
        return self.prefix + name

    def write_config(self, models: list[dict[str, Any]], **settings: Any) -> Path:
        document = {
            "kafka": {"bootstrap.servers": self.topics.bootstrap},
            "topics": {"predictions": self.predictions, "labels": self.labels, "prefix": self.prefix},
            "state_dir": "state",
            "models": models,
            "react": {"log": False},
        }
        for name, value in settings.items():
            document[name] = {**document[name], **value} if isinstance(document.get(name), dict) else value
        self.config.write_text(yaml.safe_dump(document, sort_keys=False))
        return self.config

    def command(self, *arguments: str, code: int = 0, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; its exit code must be `code`."""
        done = subprocess.run(
            [*COMMAND, *arguments, "-c", str(self.config)],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            cwd=self.folder,
            check=False,
        )
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def start(self, role: str | None = None, instance: str = "main", *, port: int = 0) -> Process:
        """A `stream-monitor run` process; all roles where `role` is null."""
        process = Process(self, role, instance, port)
        self.running.append(process)
        return process

    def play(self, records: Iterable[Record]) -> int:
        """Produce in this order, keys placed as Java's clients do; wait for all."""
        if self._producer is None:
            settings = {"bootstrap.servers": self.topics.bootstrap, "linger.ms": 5, "enable.idempotence": True}
            self._producer = Producer({**settings, **MURMUR2})
        failures: list[Any] = []
        count = 0
        for topic, key, value in records:
            while True:
                try:
                    self._producer.produce(topic, value, key, on_delivery=lambda e, _: e and failures.append(e))
                    break
                except BufferError:
                    self._producer.poll(0.1)
            count += 1
            if count % 100 == 0:
                self._producer.poll(0)
        if self._producer.flush(60) or failures:
            raise KafkaException(failures[0] if failures else "not all was delivered within 60 s")
        return count


@contextmanager
def site(topics: TopicSpace, folder: Path, *, partitions: int = 4) -> Iterator[Site]:
    """Source topics that keep records of any age, and nothing left running afterwards."""
    made = Site(topics, folder)
    made.predictions = topics.create("predictions", partitions)
    made.labels = topics.create("labels", partitions)
    try:
        yield made
    finally:
        for process in made.running:
            process.kill()


class Process:
    """One `stream-monitor run`, with its output in a file."""

    def __init__(self, owner: Site, role: str | None, instance: str, port: int) -> None:
        self.role, self.instance, self.port = role, instance, port
        self.log = owner.folder / f"{role or 'all'}-{instance}.log"
        arguments = ["run", "-c", str(owner.config), "--instance", instance, "--port", str(port)]
        if role is not None:
            arguments += ["--role", role]
        self._command = [*owner.program, *arguments]
        self._environ = owner.environ
        self._folder = owner.folder
        self.lives = 0
        self.launch()

    def launch(self) -> None:
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, stdout=output, stderr=output, cwd=self._folder, env=self._environ
            )
        self.lives += 1

    @property
    def code(self) -> int | None:
        return self._process.poll()

    @property
    def name(self) -> str:
        return f"{self.role or 'all'}-{self.instance}"

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_ready(self) -> bool:
        """Whether its endpoint says that every part has committed."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def signal(self, number: signal.Signals) -> None:
        os.kill(self._process.pid, number)

    def assert_running(self) -> None:
        assert self.code is None, f"{self.log.name} ended with {self.code}:\n{self.text()}"

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, committed or closed."""
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self, timeout_s: float = 60.0) -> None:
        """SIGTERM, as a supervisor sends it; it must drain and end with 0."""
        self.assert_running()
        self._process.terminate()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.log.name} did not drain within {timeout_s:g} s:\n{self.text()}") from None
        assert self.code == 0, f"{self.log.name} ended with {self.code}:\n{self.text()}"

    def ended(self, timeout_s: float = 60.0) -> tuple[int, str]:
        """Wait for it to end by itself: exit code and output."""
        return self._process.wait(timeout_s), self.text()

    def text(self) -> str:
        return self.log.read_text(errors="replace")[-6_000:]


def wait_for(condition: Any, timeout_s: float, *watched: Process, what: str = "it") -> None:
    """Until the condition holds; a watched process that ends meanwhile fails the test with its output."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        for process in watched:
            process.assert_running()
        if time.monotonic() > deadline:
            logs = "\n".join(f"--- {process.log.name}\n{process.text()}" for process in watched)
            raise AssertionError(f"{what} did not come within {timeout_s:g} s\n{logs}")
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def event(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def ndjson(path: Path, values: Iterable[bytes]) -> Path:
    path.write_bytes(b"".join(value + b"\n" for value in values))
    return path


def compact(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Without the keys whose value is null."""
    return {key: value for key, value in mapping.items() if value is not None}
