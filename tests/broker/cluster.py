"""Three Kafka brokers from jars, each of which can be killed and started again on the same port and data.

Every topic, the offsets and the transaction log included, has three copies, two of which must take a write: one broker
may die and nothing stops. Brokers are ended by SIGKILL, by their own ids. Costs 1.5 GB of memory and about 8 s.
"""

from __future__ import annotations

import base64
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.broker.jars import HERE, dying_with_parent, fetched_jars, free_ports, last_line
from tests.broker.source import NoBroker, SourceUnavailable, properties

COPIES = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
    # A dead broker is noticed after 9 s by default; a test has many deaths.
    "broker.session.timeout.ms": "6000",
    "broker.heartbeat.interval.ms": "1000",
    "replica.lag.time.max.ms": "6000",
}


@dataclass
class Node:
    """One broker, which is a controller too."""

    number: int
    port: int
    directory: Path
    command: list[str]
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        if self.running:
            return
        with (self.directory / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command, stdout=log, stderr=log, cwd=self.directory, preexec_fn=dying_with_parent()
            )

    def kill(self) -> None:
        """SIGKILL: nothing is flushed or handed over."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def log(self) -> str:
        return (self.directory / "broker.log").read_text(errors="replace")


@dataclass
class Cluster:
    nodes: list[Node]

    @property
    def bootstrap(self) -> str:
        return ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def is_whole(self) -> bool:
        """Whether every running broker is known, and no partition lacks a leader or a copy in step."""
        running = {node.number for node in self.nodes if node.running}
        try:
            found = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0}).list_topics(timeout=5)
        except KafkaException:
            return False
        parts = [part for topic in found.topics.values() for part in topic.partitions.values()]
        return set(found.brokers) == running and all(
            each.leader in running and set(each.isrs) >= running & set(each.replicas) for each in parts
        )

    def wait_until_whole(self, timeout_s: float = 120.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not self.is_whole():
            if time.monotonic() > deadline:
                last = "; ".join(f"broker {node.number}: {last_line(node.log())}" for node in self.nodes)
                raise SourceUnavailable(f"the brokers were not whole within {timeout_s:g} s ({last})")
            time.sleep(0.2)


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Raises NoBroker with the reason where Kafka's jars cannot be had."""
    try:
        java = shutil.which("java")
        if java is None:
            raise SourceUnavailable("no `java` on the PATH for Kafka from jars (apt install openjdk-17-jre-headless)")
        jars = fetched_jars()
    except SourceUnavailable as error:
        raise NoBroker(f"no three Kafka brokers for tests: {error}") from error
    with tempfile.TemporaryDirectory(prefix="stream-monitor-brokers-", ignore_cleanup_errors=True) as folder:
        cluster = Cluster(_nodes(java, jars, Path(folder)))
        try:
            for node in cluster.nodes:
                node.start()
            cluster.wait_until_whole()
            yield cluster
        finally:
            for node in cluster.nodes:
                node.kill()


def _nodes(java: str, jars: Path, folder: Path) -> list[Node]:
    ports = free_ports(6)
    identity = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    voters = ",".join(f"{number}@127.0.0.1:{ports[2 + number]}" for number in (1, 2, 3))
    nodes, formats = [], []
    for number in (1, 2, 3):
        port, directory = ports[number - 1], folder / str(number)
        directory.mkdir()
        settings = properties(port=port, controller_port=ports[2 + number], log_dir=directory / "data")
        config = _config(directory, {**settings, **COPIES}, number, voters)
        tool = [java, "-cp", f"{jars}/*", "-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format"]
        formats.append(
            subprocess.Popen(
                [*tool, f"--cluster-id={identity}", "-c", str(config)],
                cwd=directory,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        server = [java, "-cp", f"{jars}/*", "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC"]
        server += [f"-Dlog4j2.configurationFile=file:{HERE / 'log4j2.yaml'}", "kafka.Kafka", str(config)]
        nodes.append(Node(number, port, directory, server))
    for each in formats:
        output, _ = each.communicate()
        if each.returncode != 0:
            raise NoBroker(f"no three Kafka brokers for tests: Kafka's storage tool failed: {last_line(output)}")
    return nodes


def _config(directory: Path, settings: Mapping[str, str], number: int, voters: str) -> Path:
    # Voters named in the file: the quorum needs no first member that the others ask.
    own = {"node.id": str(number), "controller.quorum.voters": voters}
    told = {key: value for key, value in settings.items() if key != "controller.quorum.bootstrap.servers"} | own
    path = directory / "server.properties"
    path.write_text("".join(f"{key}={value}\n" for key, value in told.items()))
    return path
