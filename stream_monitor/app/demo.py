"""The demo: a broker in the process, the real monitor on it, and a stream that changes on purpose.

Promises: ingest, evaluate and react are those of `run`, on threads of one process, from a config and a reference
profile made as a user makes them; all that they publish arrives as `news`, read from the topics as any reader would;
nothing is written outside the folder. Costs about half a core. Leaves to others: what is played (demo_plan.py), what
the news mean (demo_story.py) and how it looks (cli/).
"""

from __future__ import annotations

import queue
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from stream_monitor import __version__
from stream_monitor.agents.reaction import Reaction
from stream_monitor.agents.worker import ReactWorker
from stream_monitor.app.broker import topic_names
from stream_monitor.app.config import load_config
from stream_monitor.app.demo_broker import LOOP_CHANGES, EmbeddedBroker
from stream_monitor.app.demo_plan import MODEL, DemoPlan
from stream_monitor.app.demo_quiet import logs_to, without_overrides
from stream_monitor.app.exporting import export_policy, http_policy, react_policy
from stream_monitor.app.generate import EventStream
from stream_monitor.app.generate_kafka import Player
from stream_monitor.app.generate_world import World
from stream_monitor.app.instance import Instance
from stream_monitor.app.parts import Part, run_parts
from stream_monitor.app.policies import decode_policy, model_policy
from stream_monitor.app.preflight import checked_setup
from stream_monitor.app.profile_build import build_from_rows
from stream_monitor.app.profile_data import read_ndjson
from stream_monitor.app.run import compose
from stream_monitor.app.setup import Setup, load_setup
from stream_monitor.errors import StreamMonitorError
from stream_monitor.events.alert import AlertEvent
from stream_monitor.events.metric import MetricEvent
from stream_monitor.export.board import Board
from stream_monitor.export.collector import registry_of
from stream_monitor.export.garbage import GarbageWatch
from stream_monitor.export.http import MonitoringServer
from stream_monitor.kafka.topics import TopicNames, topic_specs

REFERENCE_ROWS = 5_000
LOG = "monitor.log"
_REFERENCE_SEED = 1_000_003  # not that of the stream: the training data are other people
_STOP_S = 20.0


@dataclass(frozen=True, slots=True)
class Reacted:
    """The react stage has dealt with this alert."""

    alert: AlertEvent


@dataclass(frozen=True, slots=True)
class Failed:
    """A part of the demo ended with this error."""

    error: StreamMonitorError


News = MetricEvent | AlertEvent | Reacted | Failed


class Demo:
    """A running demo. `start_ms`: wall clock of the stream's first event; `url`: of the Prometheus endpoint."""

    def __init__(self, plan: DemoPlan, url: str, player: Player, ready: Callable[[], bool]) -> None:
        self.start_ms = time.time_ns() // 1_000_000
        self.stream = plan.stream(self.start_ms)
        self.url = url
        self.news: queue.Queue[News] = queue.Queue()
        self.ready = ready
        self.playing = True
        self._player = player
        self.sent = player.sent

    def play(self, stop: threading.Event) -> None:
        self._player.play(EventStream(self.stream, self.start_ms), stop)
        self.playing = False

    def scrape(self) -> list[str]:
        """The samples of /metrics now, one a line; none if it does not answer."""
        try:
            with urllib.request.urlopen(f"{self.url}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return []
        return [line for line in lines if not line.startswith("#")]


@contextmanager
def running_demo(plan: DemoPlan, folder: Path) -> Iterator[Demo]:
    """Everything started; at the end everything is stopped, the stream first and the broker last."""
    with ExitStack() as stack:
        stack.enter_context(without_overrides())
        stack.enter_context(logs_to(folder / LOG))
        file = folder / "stream-monitor.yaml"
        file.write_text(plan.config())
        _build_profile(file, folder / "profile.json")
        setup = load_setup(file)
        names = topic_names(setup)
        broker = EmbeddedBroker(spec.name for spec in topic_specs(names))
        stack.callback(broker.close)
        client = {"bootstrap.servers": broker.bootstrap, "log_level": 0}
        setup = checked_setup(replace(setup, client=client), ask_rights=False)
        owned = stack.enter_context(Instance(setup.config.state_dir, "demo"))
        board = Board(export_policy(setup))
        garbage = stack.enter_context(GarbageWatch())
        server = MonitoringServer(http_policy(setup), registry_of(board, garbage, version=__version__))
        server.start()
        stack.callback(server.stop)
        player = Player(
            setup.client, {"predictions": setup.config.topics.predictions, "labels": setup.config.topics.labels}
        )
        parts: list[Part] = []
        demo = Demo(plan, server.url, player, lambda: all(part.ready() for part in parts))
        parts += _parts(setup, names, owned, board, lambda alert: demo.news.put(Reacted(alert)))
        _thread(stack, demo, "the reader of metrics and alerts", lambda stop: _tail(setup.client, names, demo, stop))
        _thread(stack, demo, "the monitor", lambda stop: run_parts(parts, stop, drain_s=_STOP_S))
        _thread(stack, demo, "the stream", demo.play)
        yield demo


def _build_profile(config: Path, file: Path) -> None:
    """As `profile build` does: from prediction events with their truth, one a line."""
    data = file.with_suffix(".ndjson")
    with data.open("wb") as out:
        for number, row in enumerate(World(MODEL, _REFERENCE_SEED).calm(REFERENCE_ROWS)):
            event = {
                "model_name": MODEL.model_name,
                "prediction_id": str(number),
                "timestamp": 0,
                "features": row.features,
                "prediction": row.prediction,
                "actual": row.actual,
            }
            out.write(orjson.dumps(event) + b"\n")
    settings = load_config(config)
    policy = model_policy(settings.models[0])
    rows = read_ndjson(data, policy.name, decode_policy(settings), policy.outcome)
    file.write_bytes(build_from_rows(rows, policy, {}, settings.privacy.hash_key.encode()).to_json())


def _parts(
    setup: Setup, names: TopicNames, owned: Instance, board: Board, notice: Callable[[AlertEvent], None]
) -> list[Part]:
    """The three stages as `run` composes them; react has one reaction of the demo's own, as a user would write it."""

    async def to_screen(alert: AlertEvent) -> None:
        notice(alert)

    policy = replace(react_policy(setup, names, owned.directory), reactions=(Reaction.on_alert("screen", to_screen),))
    worker = ReactWorker(policy, on_outcome=board.count_reaction)
    return [
        *compose(setup, owned, board, ["ingest", "evaluate"], LOOP_CHANGES),
        Part("react", worker.run, worker.ready),
    ]


def _tail(client: Mapping[str, object], names: TopicNames, demo: Demo, stop: threading.Event) -> None:
    """Reads metrics and alerts from their topics."""
    consumer = Consumer({**client, "group.id": "demo-screen", "enable.auto.commit": False, "fetch.wait.max.ms": 100})
    try:
        topics = (names.metrics, names.alerts)
        found = {topic: consumer.list_topics(topic, timeout=10).topics[topic].partitions for topic in topics}
        consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for topic in topics for p in found[topic]])
        while not stop.is_set():
            for message in consumer.consume(1_000, 0.1):
                if message.error() is None:
                    decode = MetricEvent.decode if message.topic() == names.metrics else AlertEvent.decode
                    demo.news.put(decode(message.value()))
    finally:
        consumer.close()


def _thread(stack: ExitStack, demo: Demo, name: str, work: Callable[[threading.Event], None]) -> None:
    """Work that ends with the stack; its error becomes news."""
    stop = threading.Event()

    def run() -> None:
        try:
            work(stop)
        except StreamMonitorError as error:
            demo.news.put(Failed(error))
        except BaseException as error:
            demo.news.put(Failed(StreamMonitorError(f"{name} failed unexpectedly: {error!r}")))

    thread = threading.Thread(target=run, name=f"demo {name}", daemon=True)

    def end() -> None:
        stop.set()
        thread.join(_STOP_S)

    thread.start()
    stack.callback(end)
