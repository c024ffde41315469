"""Ingest beside the same job on bytewax, Quix Streams (exactly-once) and Faust, on the same topic.

The job: decode, and a histogram of 16 numeric features a minute. Ours is the whole of ingest (validation, latency,
score, a transaction a second); each peer's is in peer_jobs/, written as its documentation has it, in an environment of
its own. Rates are from the first event to the last one counted; the slower peers stop after fewer events of the topic.
What a peer counted is compared with a recount, bin by bin.

Kind to the peers: a partition has one key, and a record's timestamp is the event's, which spares them a repartition by
key, a grace period and the parsing of times. Ingest makes no use of either.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

import orjson
from confluent_kafka import Producer

from benches.events import START_MS, STEP_MS, Shape, predictions
from benches.harness import Options, Result, Space, bench_space, command, interleaved, over, ratio, result, say
from benches.monitored import PARTITIONS, Measured, Monitored
from benches.peer_env import JOBS, python_of
from benches.peer_jobs.job import MINUTE_MS, SIZE, Task, add

SHAPE = Shape(16, 0)


@dataclass(frozen=True, slots=True)
class Peer:
    """`part`: of the events, which it reads, so that a run takes a few seconds. `must`, `aim`: our rate over its."""

    LEAST = 20_000  # events: some windows must be closed after them

    name: str
    environment: str
    part: float
    must: float | None = None
    aim: float | None = None


PEERS = (
    Peer("bytewax", "bytewax", 1.0, must=1.5, aim=3.0),
    Peer("bytewax-batches", "bytewax", 1.0),
    Peer("quix", "quix", 0.4, must=2.0, aim=4.0),
    Peer("faust", "faust", 0.1, must=12.0, aim=25.0),
)


def run(options: Options) -> Result:
    events = options.count(200_000, quick=60_000)
    peers = installed()
    with bench_space("peers") as space:
        recount = Recount()
        bench = Monitored(space, events, shape=SHAPE, fill=lambda topic: recount.produce(space, topic, events))

        def runs(peer: Peer) -> Callable[[int], Measured]:
            return lambda number: measured(space, bench, peer, number, recount)

        found = interleaved(
            options,
            {"ingest": lambda number: bench.ingest(str(number)), **{peer.name: runs(peer) for peer in peers}},
        )
    rate = {name: [each["events"] / each["seconds"] for each in runs] for name, runs in found.items()}
    cpu = {name: [each["cpu_seconds"] / each["events"] * 1e6 for each in runs] for name, runs in found.items()}
    return result(
        figures={
            **{f"{name}: events/s": values for name, values in rate.items()},
            **{f"{name}: CPU µs/event": values for name, values in cpu.items()},
        },
        ratios={
            **{
                f"ingest_of_{peer.name}": ratio(
                    over(rate["ingest"], rate[peer.name]), "higher", must=peer.must, aim=peer.aim
                )
                for peer in peers
            },
            **{f"ingest_of_{peer.name}_cpu": ratio(over(cpu[peer.name], cpu["ingest"]), "higher") for peer in peers},
        },
        events=events,
    )


def installed() -> list[Peer]:
    """The peers to be had for this Python; why another is left out is said."""
    found = []
    for peer in PEERS:
        try:
            python_of(peer.environment)
            found.append(peer)
        except RuntimeError as error:
            say(f"without {peer.name}: {error}")
    return found


def measured(space: Space, bench: Monitored, peer: Peer, number: int, recount: Recount) -> Measured:
    """One run of a peer's job, in a group, with an output topic and a state folder of its own."""
    events = min(bench.events, max(Peer.LEAST, round(bench.events * peer.part)))
    run = f"{peer.name}-{number}"
    output = space.topics.create(f"out-{run}", PARTITIONS)
    folder = str(space.folder / run)
    task = Task(space.topics.bootstrap, bench.predictions, output, space.topics.name(run), events, PARTITIONS, folder)
    job = JOBS / f"{peer.name.replace('-', '_')}_job.py"
    found = command([python_of(peer.environment), str(job), json.dumps(asdict(task))]).last
    recount.check(peer.name, found.pop("windows"), whole=events == bench.events)
    return dict(found)


class Recount:
    """Produces the events, one key a partition, and counts by itself what every window must hold."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, int], list[int]] = {}

    def produce(self, space: Space, topic: str, events: int) -> int:
        """Returns the bytes of all values."""
        producer = Producer({"bootstrap.servers": space.topics.bootstrap, "linger.ms": 20})
        size = 0
        for i, (_, event) in enumerate(predictions(events, shape=SHAPE)):
            partition, moment = i % PARTITIONS, START_MS + i * STEP_MS
            key = f"key-{partition}"
            while True:
                try:
                    producer.produce(topic, event, key, partition, timestamp=moment)
                    break
                except BufferError:
                    producer.poll(0.1)
            counts = self._windows.setdefault((key, moment // MINUTE_MS * MINUTE_MS), [0] * SIZE)
            add(counts, orjson.loads(event)["features"])
            size += len(event)
        if producer.flush(60):
            raise RuntimeError(f"not all events reached {topic}")
        return size

    def check(self, peer: str, windows: Iterable[tuple[str, int, list[int]]], *, whole: bool) -> None:
        """Every window that the peer closed must be right, and there must be some; all of them after a `whole` run."""
        found = {(key, start): counts for key, start, counts in windows}
        wrong = [window for window, counts in found.items() if self._windows.get(window) != counts]
        if wrong or not found or (whole and found.keys() != self._windows.keys()):
            raise RuntimeError(f"{peer}: {len(found)} windows of {len(self._windows)}, {len(wrong)} of them wrong")
