"""Exact counts: SIGKILL at least ten times, at random moments, and every window still counts to the last event.

Two ingest processes and one evaluate process, each the real command, read a stream that is being written. Each kill
lands with input unread: right before it the group had source events left that it had not committed. At least three
kills hit an open transaction; storm.py says how that is seen from outside. Then what a read_committed consumer sees,
highest revision + too_late, is compared with the recount of stream.py, window by window.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.published import Document, Reader, counts, newest, read_all, segment_of
from tests.acceptance.site import Process, Site, free_port, site, wait_for
from tests.acceptance.storm import Kill, Observer, Storm, aborted
from tests.acceptance.stream import MODEL_CONFIG, Recount, Stream, recount
from tests.broker.topics import TopicSpace

pytestmark = [pytest.mark.broker, pytest.mark.timeout(240)]

KILLS = 12
IN_TRANSACTION = 4  # one more than must be proved
MOST_KILLS = 30
STEPS_A_TICK = 12
TICK_S = 0.01  # without pauses in which everything could be read and committed


class Writer(threading.Thread):
    """Sends the stream at about 1,200 predictions a second and their labels, until told to stop; then the rest."""

    def __init__(self, monitor: Site, stream: Stream) -> None:
        super().__init__(daemon=True)
        self._monitor, self._stream = monitor, stream
        self._names = {"predictions": monitor.predictions, "labels": monitor.labels}
        self._halt = threading.Event()

    def run(self) -> None:
        self._send(self._stream.take(6_000))
        while not self._halt.wait(TICK_S):
            self._send(self._stream.take(STEPS_A_TICK))
        self._send(self._stream.rest())

    def stop(self) -> None:
        self._halt.set()
        self.join(60)

    def _send(self, events: list[tuple[str, str, bytes]]) -> None:
        self._monitor.play((self._names[topic], key, value) for topic, key, value in events)


def three_processes(monitor: Site) -> list[Process]:
    monitor.write_config(
        [MODEL_CONFIG],
        flush_interval="200ms",
        revision_interval="500ms",
        idle_timeout="3s",
        live_horizon=None,
        rules=[{"name": "drift", "metric": "csi", "above": 0.1, "for": 2}],
    )
    monitor.command("topics", "create")
    roles = [("ingest", "a"), ("ingest", "b"), ("evaluate", "c")]
    return [monitor.start(role, name, port=free_port()) for role, name in roles]


def test_what_is_published_equals_the_recount_though_processes_are_killed(topics: TopicSpace, tmp_path: Path) -> None:
    seed = int(os.environ.get("STREAM_MONITOR_TEST_SEED") or 0) or random.SystemRandom().randrange(10**6)
    rng = random.Random(seed)
    stream = Stream(seed)
    with site(topics, tmp_path) as monitor:
        processes = three_processes(monitor)
        writer = Writer(monitor, stream)
        writer.start()
        for process in processes:
            wait_for(process.is_ready, 60, *processes, what="the first start")
        observer = Observer(topics)
        storm = Storm(
            observer,
            rng,
            sources=(monitor.predictions, monitor.labels),
            group=monitor.own("ingest"),
            outputs={
                "ingest": [monitor.own("panes")],
                "evaluate": [monitor.own("state"), monitor.own("metrics")],
            },
        )
        kills = rage(storm, processes, rng)
        writer.stop()
        truth = recount(stream)
        metrics = Reader(topics, monitor.own("metrics"))
        wait_for(
            lambda: differences(metrics.poll(), truth) == [], 60, *processes, what=_Difference(metrics.documents, truth)
        )
        time.sleep(1.5)  # what came after equality would be counted twice
        for process in processes:
            process.stop()
        metrics.close()

        events = read_all(topics, monitor.own("metrics"))
        assert differences(events, truth) == [], f"seed {seed}"
        assert_confusion(events, truth)
        ids = Counter(event["id"] for event in events)
        assert max(ids.values()) == 1, "no metric id twice"
        alerts = Counter(alert["id"] for alert in read_all(topics, monitor.own("alerts")))
        assert max(alerts.values(), default=1) == 1, "no alert id twice"
        letters = read_all(topics, monitor.own("dead-letters"))
        assert len({(each["topic"], each["partition"], each["offset"]) for each in letters}) == len(letters)
        assert len(letters) == stream.malformed
        in_transaction = proved(topics, kills)
    report(seed, stream, kills, in_transaction, events)
    assert len(kills) >= 10
    assert all(kill.unread > 0 for kill in kills), kills
    assert sum(kill.undone > 0 for kill in kills) >= 10, kills
    assert in_transaction >= 3
    assert any(event["metric"] == "too_late" for event in events), "the stream must have hit lateness"
    assert any(event["revision"] > 0 for event in events), "and corrections"


def rage(storm: Storm, processes: list[Process], rng: random.Random) -> list[Kill]:
    """Kill whichever is ready; the dead is started again at once, and others may die before it is back."""
    kills: list[Kill] = []
    deadline = time.monotonic() + 100
    while len(kills) < KILLS or sum(bool(kill.left_open) for kill in kills) < IN_TRANSACTION:
        assert len(kills) < MOST_KILLS, kills
        assert time.monotonic() < deadline, kills
        for process in processes:
            process.assert_running()
        alive = [process for process in processes if process.is_ready()]
        if alive:
            victim = rng.choice(alive)
            kills.append(storm.kill(victim, aimed=len(kills) % 2 == 1))
            victim.launch()
        time.sleep(rng.uniform(0.1, 0.6))
    return kills


def proved(topics: TopicSpace, kills: list[Kill]) -> int:
    """Kills whose open transaction was aborted afterwards."""
    places = {place for kill in kills for place in kill.left_open}
    gone = aborted(topics, places)
    return sum(any(place in gone for place in kill.left_open) for kill in kills)


def differences(events: list[Document], truth: Recount) -> list[str]:
    """Where published and recounted differ, one line each."""
    found = []
    for metric, basis, expected in (
        ("predictions", "prediction", truth.predictions),
        ("labels_joined", "label", truth.joined),
    ):
        published = counts(events, metric, basis)
        found += [
            f"{metric} {key}: published {published[key]}, recounted {expected[key]}"
            for key in sorted(published.keys() | expected.keys(), key=repr)
            if published[key] != expected[key]
        ]
    return found


class _Difference:
    """Says what is missing when it is asked for, that is, after the waiting."""

    def __init__(self, events: list[Document], truth: Recount) -> None:
        self._events, self._truth = events, truth

    def __str__(self) -> str:
        lines = differences(self._events, self._truth)
        return f"equality ({len(lines)} counts differ)\n" + "\n".join(lines[:20]) + "\n"


def assert_confusion(events: list[Document], truth: Recount) -> None:
    """Cell by cell, wherever nothing was too late."""
    late = {_place(event) for event in events if event["metric"] == "too_late" and _is_label(event)}
    compared = 0
    for event in newest(events).values():
        key = _place(event)
        if event["metric"] == "confusion_matrix" and key not in late:
            cells = {(cell["actual"], cell["predicted"]): cell["count"] for cell in event["cells"]}
            assert cells == truth.cells[key], key
            compared += 1
    assert compared > 20


def _place(event: Document) -> tuple[Any, ...]:
    window = event["window"]
    series = event["model_name"], event["model_version"], segment_of(event)
    return (*series, window["start"], window["size_seconds"], window["slide_seconds"])


def _is_label(event: Document) -> bool:
    return bool(event["window"]["time_basis"] == "label")


def report(seed: int, stream: Stream, kills: list[Kill], in_transaction: int, events: list[Document]) -> None:
    late = sum(int(event["value"]) for event in events if event["metric"] == "too_late")
    corrections = sum(event["revision"] > 0 for event in events)
    victims = ", ".join(f"{name} {n}" for name, n in sorted(Counter(kill.victim for kill in kills).items()))
    print(
        f"\nseed {seed} (STREAM_MONITOR_TEST_SEED): {len(stream.predictions)} predictions and {len(stream.labels)} "
        f"labels sent, {stream.malformed} malformed; {len(kills)} kills ({victims}), {in_transaction} of them in an "
        f"open transaction, {min(kill.unread for kill in kills)} or more events unread at each, "
        f"{min(kill.undone for kill in kills)} or more of them still after it; {len(events)} metric events, "
        f"{corrections} corrections, {late} too late"
    )
