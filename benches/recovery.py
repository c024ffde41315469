"""How long counting pauses after a death, a restart, a rebalance, and with much to restore or to rebuild.

Real `stream-monitor run` processes with the times that users have, on one broker, under a stream of events: two
workers of each role, two models, labels joined. Seconds until input of every partition concerned is committed again:
  kill, <role>              from SIGKILL, the dead staying dead: others take its partitions over
  kill and start, <role>    from SIGKILL, started again at once: it finds its own partitions
  drain and start, <role>   from SIGTERM, started again when it has ended
  joining, leaving          the longest that any source partition stood still when a third ingest worker came or drained
  start                     from the start of an evaluate process with one series to its first commit
  restore, <n> series       the same with so many series, all of one model, 20 features each
  rebuild, <n> predictions  from the start of an ingest process to its first commit, its join store being deleted
A kill may not take longer than the session timeout and 5 s. Of a process that is started much of the time is Python's
own start. The test broker gives up a dead worker's transaction within a second of its timeout; others take up to 10 s.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benches.events import MODEL, START_MS, Shape, predictions
from benches.harness import Options, Result, Space, bench_space, produce, ratio, result, say, stream_monitor
from stream_monitor.kafka.policy import LoopPolicy
from tests.acceptance.site import COMMAND, Process, Site, event, free_port, site, wait_for
from tests.acceptance.storm import Observer
from tests.broker.topics import TopicSpace
from tests.chaos.field import Field, playing_field

LONG = True

SERIES = (1_000, 10_000)
EVENTS_A_SERIES = 4
ENTRIES = 2_000_000
PARTITIONS = 4
ROLES = ("ingest", "evaluate")
POLL_S = 0.02
PATIENCE_S = 600.0
SESSION_S = LoopPolicy("any", "any", "any", ("any",)).session_timeout_ms / 1_000
MUST_S = SESSION_S + 5

Figures = dict[str, list[float]]


def run(options: Options) -> Result:
    rounds = 1 if options.quick else min(options.rounds, 3)
    entries = options.count(ENTRIES, quick=100_000)
    with bench_space("recovery") as space:
        found = _moves(space, rounds)
        for n in (1, *((100,) if options.quick else SERIES)):
            found["start" if n == 1 else f"restore, {n:,} series"] = _restore(space, n, rounds)
        rebuilt = found[f"rebuild, {entries:,} predictions"] = [_rebuild(space, entries)]
    return result(
        figures={
            **{f"{name} s": seconds for name, seconds in found.items()},
            "rebuild predictions/s": entries / (rebuilt[0] - min(found["start"])),
        },
        ratios={
            f"kill_{role}_of_must": ratio([s / MUST_S for s in found[f"kill, {role}"]], "lower", must=1.0)
            for role in ROLES
        },
        session_timeout_s=SESSION_S,
    )


# --- deaths and rebalances --------------------------------------------------------------------------------------------


def _moves(space: Space, rounds: int) -> Figures:
    folder = space.folder / "moves"
    folder.mkdir()
    found: Figures = {}

    def took(name: str, seconds: float) -> None:
        found.setdefault(name, []).append(seconds)
        say(f"  {name}: {seconds:.1f} s")

    bootstrap = space.topics.bootstrap
    with playing_field(bootstrap, folder, seed=1, say=say, program=COMMAND, flush="1s") as field:
        field.fault = "the bench"
        for _ in range(rounds):
            for role in ROLES:
                took(f"kill, {role}", _death(field, role, field.kill, again=False))
                took(f"kill and start, {role}", _death(field, role, field.kill, again=True))
                took(f"drain and start, {role}", _death(field, role, field.terminate, again=True))
            _settled(field, "ingest")
            joiner = field.start("ingest", "joiner")
            took("joining", _stood_still(field, lambda: len(field.owners("ingest")) == 3))
            _settled(field, "ingest")
            field.terminate(joiner)
            took("leaving", _stood_still(field, lambda: len(field.owners("ingest")) == 2))
        field.writer.finish()
    if field.findings:
        raise RuntimeError("; ".join(field.findings))
    return found


def _death(field: Field, role: str, end: Callable[[Process], object], *, again: bool) -> float:
    _settled(field, role)
    victim = field.running(role)[0]
    owned = field.assignments(role)[victim.name]
    began = time.monotonic()
    end(victim)
    before = field.committed(role)
    if again:
        field.launch(victim)
    _until(lambda: _moved(before, field.committed(role)) >= owned)
    seconds = time.monotonic() - began
    field.launch(victim)
    return seconds


def _stood_still(field: Field, is_over: Callable[[], bool]) -> float:
    """The longest that a partition of ingest stood still until then, and for 5 s after it."""
    at = field.committed("ingest")
    stood = dict.fromkeys(at, time.monotonic())
    longest, ends = 0.0, None
    while ends is None or time.monotonic() < ends:
        now, seen = time.monotonic(), field.committed("ingest")
        for tp in _moved(at, seen):
            longest, stood[tp] = max(longest, now - stood[tp]), now
        at = seen
        if ends is None and is_over():
            ends = now + 5
        time.sleep(POLL_S)
    return max(longest, *(time.monotonic() - since for since in stood.values()))


def _settled(field: Field, role: str) -> None:
    """All run, own something, and the group reads on."""
    field.wait_until_ready()
    names = {worker.name for worker in field.running(role)}
    field.wait(lambda: field.owners(role) == names, 120, "an assignment to all")
    before = field.committed(role)
    _until(lambda: len(_moved(before, field.committed(role))) == len(before))


def _moved(before: dict[tuple[str, int], int], now: dict[tuple[str, int], int]) -> set[tuple[str, int]]:
    return {tp for tp, offset in now.items() if offset > before.get(tp, 0)}


# --- state and stores -------------------------------------------------------------------------------------------------


def _restore(space: Space, series: int, rounds: int) -> list[float]:
    """Each series has one open window; ingest runs on, so that there is something to commit after each restore."""
    with _monitor(space, f"series-{series}", segments=[["tags.key"]]) as monitor:
        told = predictions(EVENTS_A_SERIES * series)
        produce(monitor.topics, monitor.predictions, ((key, _tagged(e, i % series)) for i, (key, e) in enumerate(told)))
        ingest, evaluate = (monitor.start(role, role, port=free_port()) for role in ROLES)
        _wait_until_read(monitor, "ingest", monitor.predictions, ingest, evaluate)
        _wait_until_read(monitor, "evaluate", monitor.own("panes"), ingest, evaluate)
        seconds = []
        for number in range(rounds):
            evaluate.stop()
            monitor.play([(monitor.predictions, f"one-more-{number}", _one_more(f"one-more-{number}"))])
            seconds.append(_first_commit(evaluate))
            say(f"  {series:,} series: {seconds[-1]:.1f} s")
        return seconds


def _rebuild(space: Space, entries: int) -> float:
    with _monitor(space, "rebuild", labels={"join_window": "24h"}) as monitor:
        produce(monitor.topics, monitor.predictions, predictions(entries, shape=Shape(1, 0)))
        ingest = monitor.start("ingest", "ingest", port=free_port())
        _wait_until_read(monitor, "ingest", monitor.predictions, ingest)
        ingest.stop()
        shutil.rmtree(monitor.folder / "state" / "ingest" / "join")
        monitor.play([(monitor.predictions, "one-more", _one_more("one-more"))])
        seconds = _first_commit(ingest)
        say(f"  {entries:,} predictions: {seconds:.1f} s")
        return seconds


def _tagged(prediction: bytes, number: int) -> bytes:
    return b'%s,"tags":{"key":"k%d"}}' % (prediction[:-1], number)


def _one_more(prediction_id: str) -> bytes:
    known = {"model_name": MODEL, "model_version": "2026-01", "timestamp": START_MS / 1_000}
    return event(**known, prediction_id=prediction_id, prediction={"score": 0.5})


def _first_commit(process: Process) -> float:
    """Seconds from its start until it is ready, which is after its first commit."""
    began = time.monotonic()
    process.launch()
    wait_for(process.is_ready, PATIENCE_S, process, what="the first commit")
    return time.monotonic() - began


@contextmanager
def _monitor(space: Space, name: str, **model: object) -> Iterator[Site]:
    folder = space.folder / name
    folder.mkdir()
    topics = TopicSpace(space.topics.bootstrap, name)
    with site(topics, folder, partitions=PARTITIONS) as monitor:
        told = {"name": MODEL, "task": "binary", "positive_class": "1", "windows": [{"size": "5m"}], **model}
        told |= {"max_past": None, "max_future": None}
        limits = {"max_series": 2 * max(SERIES), "memory_budget": "64GiB"}
        monitor.write_config([told], limits=limits, live_horizon=None)
        data, profile = folder / "reference.ndjson", folder / "profile.json"
        data.write_bytes(b"\n".join(value for _, value in predictions(5_000, seed=1)))
        config = str(monitor.config)
        stream_monitor("profile", "build", str(data), "--model", MODEL, "-o", str(profile), "-c", config)
        monitor.write_config([{**told, "reference": {"profile": str(profile)}}], limits=limits, live_horizon=None)
        monitor.command("topics", "create")
        yield monitor


def _wait_until_read(monitor: Site, role: str, topic: str, *running: Process) -> None:
    observer = Observer(monitor.topics)
    group = monitor.own(role)

    def all_committed() -> bool:
        ends = observer.ends([topic])
        committed = observer.committed(group, [topic])
        return all(committed[tp] >= end for tp, end in ends.items())

    wait_for(all_committed, PATIENCE_S, *running, what=f"all of {topic}")


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"counting did not go on within {PATIENCE_S:g} s")
        time.sleep(POLL_S)
