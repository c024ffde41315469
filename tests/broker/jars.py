"""A Kafka broker from Maven jars, as a child process on free ports with a log directory of its own.

The jars (43 MB) are fetched once into a cache directory; after that neither Maven nor a network is needed.
The broker is stopped by its process id, and dies with the process that started it (Linux), so that a killed
test run leaves no JVM behind.
"""

from __future__ import annotations

import base64
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.broker.source import KAFKA_VERSION, Broker, SourceUnavailable, properties, wait_until_answering

HERE = Path(__file__).parent
CACHE_VARIABLE = "STREAM_MONITOR_TEST_CACHE"


@contextmanager
def jar_broker() -> Iterator[Broker]:
    java = shutil.which("java")
    if java is None:
        raise SourceUnavailable("no `java` on the PATH for Kafka from jars (apt install openjdk-17-jre-headless)")
    jars = fetched_jars()
    with tempfile.TemporaryDirectory(prefix="stream-monitor-broker-", ignore_cleanup_errors=True) as directory:
        port, controller_port = free_ports(2)
        settings = properties(port=port, controller_port=controller_port, log_dir=Path(directory) / "data")
        bootstrap = f"127.0.0.1:{port}"
        with running_node(java, jars, Path(directory), settings, {"bootstrap.servers": bootstrap}) as pid:
            yield Broker(bootstrap, f"Kafka {KAFKA_VERSION} from jars, pid {pid}")


def fetched_jars() -> Path:
    """The directory of jars, fetched if this is the first time; whole or not there at all."""
    cache = Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "stream-monitor-tests")
    jars = cache / f"kafka-{KAFKA_VERSION}"
    if jars.is_dir():
        return jars
    maven = shutil.which("mvn")
    if maven is None:
        raise SourceUnavailable(f"no `mvn` on the PATH to fetch Kafka {KAFKA_VERSION} (apt install maven)")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as directory:
        fresh = Path(directory) / "lib"
        command = [maven, "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies"]
        command += ["-DincludeScope=runtime", f"-DoutputDirectory={fresh}"]
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SourceUnavailable(f"mvn could not fetch Kafka {KAFKA_VERSION}: {last_line(done.stdout)}")
        try:
            os.rename(fresh, jars)
        except OSError:
            if not jars.is_dir():  # else another session was first, with the same jars
                raise
    return jars


@contextmanager
def running_node(
    java: str,
    jars: Path,
    directory: Path,
    settings: Mapping[str, str],
    client: Mapping[str, object],
    *,
    format_options: Sequence[str] = (),
    java_options: Sequence[str] = (),
    start_s: float = 60.0,
) -> Iterator[int]:
    """The process id of a KRaft node with these server properties, once it answers a client with those properties."""
    config = directory / "server.properties"
    config.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    log = directory / "broker.log"
    # C1 alone: the tool runs for a second, a second compiler only costs it time.
    base = [java, "-cp", f"{jars}/*", "-XX:TieredStopAtLevel=1"]
    tool = [*base, "kafka.tools.StorageTool", "format", "--standalone", f"--cluster-id={cluster}", "-c", str(config)]
    formatted = subprocess.run([*tool, *format_options], capture_output=True, text=True, check=False, cwd=directory)
    if formatted.returncode != 0:
        raise SourceUnavailable(f"Kafka's storage tool failed: {last_line(formatted.stderr or formatted.stdout)}")
    server = [java, "-cp", f"{jars}/*", "-Xms512m", "-Xmx1g", *java_options]
    server += [f"-Dlog4j2.configurationFile=file:{HERE / 'log4j2.yaml'}", "kafka.Kafka", str(config)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            server, stdout=output, stderr=subprocess.STDOUT, cwd=directory, preexec_fn=dying_with_parent()
        )
    try:
        try:
            wait_until_answering(client, timeout_s=start_s)
        except SourceUnavailable as error:
            raise SourceUnavailable(f"Kafka did not start: {last_line(log.read_text())}") from error
        yield process.pid
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.kill()  # its data go with it, so there is nothing to shut down in order
    process.wait()


def free_ports(count: int) -> list[int]:
    """Ports nothing listens on now; held open together so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def dying_with_parent() -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)  # loaded before the fork: loading is not safe after it
    set_parent_death_signal = 1
    return lambda: libc.prctl(set_parent_death_signal, signal.SIGKILL)


def last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no output"
