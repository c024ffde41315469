"""One record of the state topic (key, newline, value), among those of a real state: taken up, or refused by name."""

from __future__ import annotations

from stream_monitor.errors import FormatError, ProfileError
from stream_monitor.pipeline.evaluate import EvaluateFold
from stream_monitor.pipeline.records import StateRecord
from tests.fuzz.world import NOW, POLICIES, PROFILES, published, records

REAL = records()
SEEDS = tuple(record.key + b"\n" + (record.value or b"") for record in REAL)


def check(data: bytes) -> None:
    key, _, value = data.partition(b"\n")
    among = [record for record in REAL if record.key != key] + [StateRecord(key, value)]
    try:
        fold = EvaluateFold.restore(POLICIES, PROFILES, among, partition=0, position=1)
        published(fold.drain())
        fold.tick(NOW + 100_000)
        fold.finish()
        published(fold.drain())
    except (FormatError, ProfileError):
        return
