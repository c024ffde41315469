"""One ingest or evaluate worker in a process of its own, for tests that kill it.

`python -m tests.kafka.stage_worker '{"role": "ingest", "instance": "0", …, "faults": [["kill", "produced", 1]]}'`
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path

from confluent_kafka.admin import AdminClient

from stream_monitor.kafka.evaluate import EvaluateSettings, EvaluateStage, evaluate_policy
from stream_monitor.kafka.ingest import IngestSettings, IngestStage, ingest_policy
from stream_monitor.kafka.join_store import RocksJoinStore
from stream_monitor.kafka.loop import Loop
from stream_monitor.kafka.topics import TopicNames, require
from tests.kafka.counting import faults
from tests.pipeline.test_exact_counts import policies
from tests.pipeline.world import DECODE

IDLE_TIMEOUT_MS = 3_000
TIMES = {"flush_interval_ms": 200, "session_timeout_ms": 6_000, "transaction_timeout_ms": 10_000}


def names_of(prefix: str) -> TopicNames:
    return TopicNames(prefix + "predictions", prefix + "labels", prefix)


def main() -> None:
    given = json.loads(sys.argv[1])
    names = names_of(given["prefix"])
    client = {"bootstrap.servers": given["bootstrap"]}
    topics = (names.predictions, names.labels or "", names.panes, names.state, names.profiles)
    counts = require(AdminClient(client), topics)
    # So few bytes that the windows of one progress message fill several transactions.
    told = policies(idle_timeout_ms=IDLE_TIMEOUT_MS, transaction_bytes=60_000)
    if given["role"] == "ingest":
        store = RocksJoinStore(Path(given["state_dir"]) / given["instance"] / "join")
        settings = IngestSettings(names, client, counts, given["instance"])
        stage = IngestStage(told, DECODE, {}, settings, store=store)
        policy = ingest_policy(names, client, given["instance"], idle_timeout_ms=IDLE_TIMEOUT_MS, **TIMES)
    else:
        stage = EvaluateStage(told, {}, EvaluateSettings(names, client, counts))
        policy = evaluate_policy(names, client, given["instance"], **TIMES)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    Loop(stage, policy, hook=faults(given["faults"])).run(stop)


if __name__ == "__main__":
    main()
