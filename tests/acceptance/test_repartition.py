"""Source topics keyed by the customer, of different sizes: counts are exact with repartition, through SIGKILLs.

Repeats of a prediction have its customer, as a producer that tries again would send them, so which is the first is
known; labels come by other keys, from a topic with another number of partitions.
"""

from __future__ import annotations

import random
import time
import zlib
from collections import Counter
from pathlib import Path

import pytest

from tests.acceptance.published import Reader, read_all
from tests.acceptance.site import Process, Site, free_port, site, wait_for
from tests.acceptance.stream import MODEL_CONFIG, Stream, recount
from tests.acceptance.test_exact_counts import _Difference, differences
from tests.broker.topics import TopicSpace

pytestmark = [pytest.mark.broker, pytest.mark.timeout(240)]


def customer(prediction_id: str, of: int) -> str:
    return f"customer-{zlib.crc32(prediction_id.encode()) % of}"


@pytest.mark.parametrize("kills", [2, pytest.param(12, marks=pytest.mark.chaos)])
def test_counts_are_exact_whatever_the_topics_are_keyed_by(topics: TopicSpace, tmp_path: Path, kills: int) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    rng, stream = random.Random(seed), Stream(seed)
    with site(topics, tmp_path, partitions=3) as monitor:
        monitor.labels = topics.create("more-labels", 5)
        processes = start(monitor)
        names = {"predictions": (monitor.predictions, 37), "labels": (monitor.labels, 1_000)}

        def send(events: list[tuple[str, str, bytes]]) -> None:
            monitor.play((names[role][0], customer(key, names[role][1]), value) for role, key, value in events)

        send(stream.take(4_000))
        wait_for(lambda: all(process.is_ready() for process in processes), 60, *processes, what="the first start")
        for _ in range(kills):
            send(stream.take(1_500))
            victim = rng.choice(processes[:2])  # repartition or ingest
            time.sleep(rng.uniform(0, 0.5))
            victim.assert_running()
            victim.kill()
            victim.launch()
            send(stream.take(500))
        send(stream.rest())
        truth = recount(stream)
        metrics = Reader(topics, monitor.own("metrics"))
        wait_for(
            lambda: differences(metrics.poll(), truth) == [], 90, *processes, what=_Difference(metrics.documents, truth)
        )
        time.sleep(1.0)  # what came after equality would be counted twice
        for process in processes:
            process.stop()
        metrics.close()
        events = read_all(topics, monitor.own("metrics"))
        assert differences(events, truth) == [], f"seed {seed}"
        assert max(Counter(event["id"] for event in events).values()) == 1, "no metric id twice"
        letters = read_all(topics, monitor.own("dead-letters"))
        assert len(letters) == stream.malformed
        assert {each["topic"] for each in letters} <= {monitor.predictions, monitor.labels}


def start(monitor: Site) -> list[Process]:
    monitor.write_config(
        [MODEL_CONFIG],
        repartition=True,
        flush_interval="200ms",
        revision_interval="500ms",
        idle_timeout="3s",
        live_horizon=None,
        rules=[],
    )
    monitor.command("topics", "create")
    assert "anything" in monitor.command("doctor").stdout
    roles = [("repartition", "a"), ("ingest", "b"), ("evaluate", "c")]
    return [monitor.start(role, name, port=free_port()) for role, name in roles]


def test_without_repartition_such_keys_are_refused(topics: TopicSpace, tmp_path: Path) -> None:
    with site(topics, tmp_path, partitions=2) as monitor:
        monitor.write_config([MODEL_CONFIG])
        monitor.command("topics", "create")
        events = [(key, value) for role, key, value in Stream(1).take(300) if role == "predictions"]
        monitor.play((monitor.predictions, customer(key, 5), value) for key, value in events)
        code, output = monitor.start("ingest").ended()
        assert code == 1
        assert "repartition: true" in output
