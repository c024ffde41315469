"""One monitor under faults: its processes, the stream that is written meanwhile, and what each fault hit.

Everything a fault claims is asked of the broker: how much of the victim's input was unread when it landed, and which
records of its transaction stood open afterwards (see tests/acceptance/storm.py). Workers that end by themselves are
started again, as a supervisor would; an end that no fault accounts for is a finding.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from confluent_kafka import KafkaException

from stream_monitor.app.parts import DRAIN_S
from stream_monitor.kafka.transaction import Point
from tests.acceptance.site import Process, Site, free_port, site
from tests.acceptance.storm import LONG_S, Observer, Place
from tests.acceptance.stream import MODEL_CONFIG, Stream
from tests.broker.cluster import Cluster
from tests.broker.topics import TopicSpace
from tests.chaos.orders import FOLDER, SESSION, SESSION_MS, Orders
from tests.chaos.registry import Fault
from tests.chaos.writer import Writer

MODELS = ("credit", "churn")  # in different partitions of two panes partitions
PARTITIONS = 4
ROOT = Path(__file__).parents[2]
EXCUSED_S = 90.0  # how long after a fault that fences workers they may end because of it
ENDS_S = DRAIN_S + 65.0  # a worker that was told to stop has ended by then, however busy the machine is
# librdkafka, #5397 there: a group's coordinator dies in the moment in which the admin client asks it something, which a
# worker does at its start only. It aborts the process; nothing of ours can keep it from that.
CLIENT_BUG = "rd_kafka_enq_once_del_source_return: Assertion"
FRAGILE = (sys.executable, "-m", "tests.chaos.worker")
T = TypeVar("T")


@dataclass
class Strike:
    """What one fault hit. `unread`: messages of the victim's input that its group had not committed right before;
    `undone`: those of them that were still not committed after it. `left_open`: records of open transactions."""

    fault: str
    victim: str
    at_s: float
    unread: int
    undone: int = 0
    left_open: set[Place] = field(default_factory=set)
    note: str = ""


@dataclass
class Field:
    monitor: Site
    streams: list[Stream]
    writer: Writer
    rng: random.Random
    say: Callable[[str], None]
    brokers: Cluster | None = None
    workers: list[Process] = field(default_factory=list)
    strikes: list[Strike] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)  # of workers that no fault ended, by what ended them
    fault: str = ""
    _began: float = field(default_factory=time.monotonic)
    _excused_until: float = 0.0
    _attended: dict[str, float] = field(default_factory=dict)
    _down: set[str] = field(default_factory=set)
    _given_up: list[object] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.observer = Observer(self.monitor.topics)
        own = self.monitor.own
        self._input = {
            "ingest": (own("ingest"), [self.monitor.predictions, self.monitor.labels]),
            "evaluate": (own("evaluate"), [own("panes")]),
        }
        self._outputs = {"ingest": [own("panes")], "evaluate": [own("state"), own("metrics")]}

    # --- workers --------------------------------------------------------------------------------------------------

    def start(self, role: str, instance: str) -> Process:
        """Start a worker that does not run: a new one, or one that was stopped for good."""
        name = f"{role}-{instance}"
        known = next((each for each in self.workers if each.name == name), None)
        if known is not None:
            self.launch(known)
            return known
        process = self.monitor.start(role, instance, port=free_port())
        self.workers.append(process)
        return process

    def launch(self, worker: Process) -> None:
        self._down.discard(worker.name)
        self._attended[worker.name] = time.monotonic()
        if worker.code is not None:
            worker.launch()

    def kill(self, worker: Process) -> None:
        """SIGKILL; it stays down until `launch`."""
        self._down.add(worker.name)
        worker.kill()

    def terminate(self, worker: Process, within_s: float = ENDS_S) -> float:
        """SIGTERM: it must drain and end with 0 in time; while brokers are away, or were, it may give up its work and
        end with 1. Returns the seconds; it stays down until `launch`."""
        self._down.add(worker.name)
        began = time.monotonic()
        if worker.code is None:
            worker.signal(signal.SIGTERM)
            try:
                code, _ = worker.ended(within_s)
                if code == 1 and time.monotonic() < self._excused_until:
                    self.ends["told to stop, gave up its work"] += 1
                # A process that has not yet come to its signal handlers dies of the signal.
                elif code not in (0, -signal.SIGTERM):
                    self.findings.append(f"{worker.name} ended with {code} on SIGTERM: {last_line(worker)}")
            except subprocess.TimeoutExpired:
                self.findings.append(f"{worker.name} did not end within {within_s:g} s: {last_line(worker)}")
                worker.signal(signal.SIGUSR1)  # where each of its threads stands goes to its log
                time.sleep(1)
                worker.kill()
        return time.monotonic() - began

    def running(self, role: str | None = None) -> list[Process]:
        return [each for each in self.workers if each.name not in self._down and role in (None, each.role)]

    def victim(self, role: str | None = None, *, patience_s: float = 30.0) -> Process:
        """One that works: chosen from those that are ready, or from all where none is for a while."""
        deadline = time.monotonic() + patience_s
        while True:
            self.attend()
            chosen = [each for each in self.running(role) if each.code is None]
            alive = [each for each in chosen if each.is_ready()]
            if alive or (chosen and time.monotonic() > deadline):
                return self.rng.choice(alive or chosen)
            time.sleep(0.1)

    def attend(self) -> None:
        """Start again what ended by itself."""
        self.writer.check()
        for worker in self.running():
            if worker.code is None or time.monotonic() < self._attended.get(worker.name, 0.0) + 2:
                continue
            if worker.code == -signal.SIGABRT and CLIENT_BUG in last_line(worker):
                self.ends["aborted by librdkafka"] += 1
            elif worker.code == 1 and time.monotonic() < self._excused_until:
                self.ends["gave up, to be started again"] += 1
            else:
                self.findings.append(
                    f"{worker.name} ended by itself with {worker.code} in {self.fault or 'no fault'}: "
                    f"{last_line(worker)}"
                )
            self.launch(worker)

    def wait(self, condition: Callable[[], bool], timeout_s: float, what: str, *, every_s: float = 0.1) -> bool:
        """Until it holds, workers attended meanwhile; else a finding."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            self.attend()
            if self._patiently(condition):
                return True
            time.sleep(every_s)
        self.findings.append(f"{what} did not come within {timeout_s:g} s in {self.fault}")
        return False

    def wait_until_ready(self, timeout_s: float = 300.0) -> None:
        self.wait(lambda: all(each.is_ready() for each in self.running()), timeout_s, "readiness of all workers")

    # --- faults ---------------------------------------------------------------------------------------------------

    def play(self, chosen: Fault) -> None:
        self.fault = chosen.name
        if chosen.ends:
            self.excuse(float("inf"))
        chosen.play(self)
        if chosen.ends:
            self.excuse()

    def excuse(self, seconds: float = EXCUSED_S) -> None:
        """For so long workers may end by themselves with exit code 1, as one that was fenced does."""
        self._excused_until = time.monotonic() + seconds

    def strike(self, victim: Process | None = None, *, name: str = "") -> Strike:
        """The beginning of a strike on a worker, or on what `name` says: waits until input is unread."""
        role = (victim.role if victim else None) or "ingest"
        seen: list[int] = []

        def is_unread() -> bool:
            seen.append(self.unread(role))
            return seen[-1] > 0

        self.wait(is_unread, 180, f"unread input of {role}", every_s=0.01)
        return Strike(self.fault, victim.name if victim else name, time.monotonic() - self._began, seen[-1])

    def struck(self, strike: Strike, note: str = "") -> None:
        """The end of it."""
        self.strikes.append(strike)
        strike.note = note or strike.note
        opened = ", open transaction" if strike.left_open else ""
        more = f", {strike.note}" if strike.note else ""
        self.say(
            f"{strike.at_s:6.1f} s  {strike.fault:<26} {strike.victim:<12} {strike.unread:>7,} unread{opened}{more}"
        )

    def order(self, victim: Process, number: signal.Signals, point: Point, *, unmoved: bool = False) -> bool:
        """Have the victim hit itself at this point of its next transaction; False where that never came."""
        orders = self.orders(victim)
        orders.give(number, point, unmoved=unmoved)
        if number == signal.SIGKILL:
            self._down.add(victim.name)
        deadline = time.monotonic() + 30
        while not orders.carried_out():
            self.attend()
            if time.monotonic() > deadline or victim.code is not None:
                orders.withdraw()
                if not orders.carried_out():
                    self.launch(victim)
                    return False
            time.sleep(0.02)
        while victim.code is None and not stopped(victim):
            time.sleep(0.01)
        return True

    def orders(self, worker: Process) -> Orders:
        return Orders(self.monitor.folder, worker.name)

    def unread(self, role: str) -> int:
        """Messages that the role's group has not committed."""
        names = self._input[role][1]
        committed = self.committed(role)
        ends = self._patiently(lambda: self.observer.ends(names))
        return sum(max(0, end - committed.get(tp, 0)) for tp, end in ends.items())

    def committed(self, role: str) -> dict[tuple[str, int], int]:
        group, names = self._input[role]
        return self._patiently(lambda: self.observer.committed(group, names))

    def open_now(self, role: str) -> set[Place]:
        """First records of transactions that are open at this moment on what the role writes."""
        return self._patiently(lambda: self.observer.open_transactions(self._outputs[role]))

    def owners(self, role: str) -> set[str]:
        """Workers to whom the group has given partitions."""
        return {name for name, partitions in self.assignments(role).items() if partitions}

    def assignments(self, role: str) -> dict[str, set[tuple[str, int]]]:
        """Partitions of each member of the role's group, by the worker's name."""
        group = self._input[role][0]
        found = self._patiently(
            lambda: self.monitor.topics.admin.describe_consumer_groups([group], request_timeout=LONG_S)[group].result(
                20
            )
        )
        return {
            each.group_instance_id.rpartition("-p")[0]: {
                (tp.topic, tp.partition) for tp in each.assignment.topic_partitions
            }
            for each in found.members
        }

    def left_open(self, role: str) -> set[Place]:
        """Open transactions on what the role writes that last longer than those of the living, which take ms."""
        found = self.open_now(role)
        for _ in range(3):
            if not found:
                break
            time.sleep(0.15)
            found &= self.open_now(role)
        return found

    def _patiently(self, ask: Callable[[], T], timeout_s: float = 180.0) -> T:
        """Brokers may be away for a while."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return ask()
            except (KafkaException, TimeoutError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
                # One that asked a coordinator that died may wait for it for ever. It is kept: it has requests open.
                self._given_up.append(self.monitor.topics.admin)
                self.monitor.topics.admin = self.monitor.topics.new_admin()


def stopped(process: Process) -> bool:
    """Whether it is in SIGSTOP (Linux: state T)."""
    try:
        return Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"
    except FileNotFoundError:
        return False


def last_line(process: Process) -> str:
    lines = [line for line in process.text().splitlines() if line.strip()]
    return lines[-1] if lines else "no output"


@contextmanager
def playing_field(
    bootstrap: str,
    folder: Path,
    *,
    seed: int,
    say: Callable[[str], None],
    brokers: Cluster | None = None,
    per_second: int = 300,
    at_once: int = 6_000,
    ingest: Sequence[str] = ("a", "b"),
    evaluate: Sequence[str] = ("e", "f"),
    program: tuple[str, ...] = FRAGILE,
    session_ms: int = SESSION_MS,
    flush: str = "200ms",
    idle: str = "3s",
) -> Iterator[Field]:
    """A monitor of two models whose workers are all ready, and a stream that is being written."""
    topics = TopicSpace(bootstrap, "chaos")
    streams = [Stream(seed + i, model=name, drift_every_ms=120_000) for i, name in enumerate(MODELS)]
    with site(topics, folder, partitions=PARTITIONS) as monitor:
        monitor.program = program
        monitor.environ = {**os.environ, FOLDER: str(folder), SESSION: str(session_ms), "PYTHONPATH": str(ROOT)}
        monitor.write_config(
            [{**MODEL_CONFIG, "name": name} for name in MODELS],
            topics={"panes_partitions": 2},
            flush_interval=flush,
            revision_interval="500ms",
            idle_timeout=idle,
            live_horizon=None,
            rules=[{"name": "drift", "metric": "csi", "above": 0.1, "for": 2}],
        )
        monitor.command("topics", "create")
        writer = Writer(monitor, streams, per_second, at_once)
        made = Field(monitor, streams, writer, random.Random(seed), say, brokers)
        for role, names in (("ingest", ingest), ("evaluate", evaluate)):
            for name in names:
                made.start(role, name)
        writer.start()
        made.wait_until_ready()
        yield made
