"""A flood of rejects: what is kept of it is bounded, what is not is counted, and it can be told to be one."""

from __future__ import annotations

import json
from dataclasses import replace

from stream_monitor.events.rejects import RejectReason
from stream_monitor.join.store import MemoryStore
from stream_monitor.pipeline import flood
from stream_monitor.pipeline.ingest import IngestFlush, IngestFold, Records
from stream_monitor.pipeline.policy import DeadLetterPolicy, Policies
from tests.pipeline.world import DECODE, prediction

GOOD = prediction("id", 60, score=0.5)


def flush_of(values: list[bytes], policy: DeadLetterPolicy) -> IngestFlush:
    fold = IngestFold(replace(Policies({}), dead_letters=policy), DECODE, {}, MemoryStore(), instance="0")
    n = len(values)
    fold.predictions(Records([0] * n, range(n), [0] * n, [None] * n, values))
    return fold.flush(0, {}, {})


def test_beyond_the_limit_rejects_are_counted_and_one_letter_says_how_many() -> None:
    values = [b"{", GOOD, *[b"[]"] * 500, b"", GOOD, *[b"{"] * 100]
    found = flush_of(values, DeadLetterPolicy(max_per_flush=10))
    *letters, summary = found.dead_letters
    assert found.counters.rejected == {
        ("predictions", "malformed_json"): 101,
        ("predictions", "wrong_type"): 500,
        ("predictions", "empty"): 1,
    }
    assert len(letters) == 11, "ten, and the first of a reason that came later"
    assert {letter.reason for letter in letters} == {"malformed_json", "wrong_type", "empty"}
    assert (summary.reason, summary.left_out, summary.value, summary.offset) == ("left_out", 591, None, 603)
    assert "predictions malformed_json 100, predictions wrong_type 491" in summary.detail
    assert found.counters.left_out == {("predictions", "malformed_json"): 100, ("predictions", "wrong_type"): 491}
    assert len(letters) + summary.left_out == found.counters.rejected.total()


def test_their_bytes_are_limited_too() -> None:
    large = json.dumps({"model_name": "x" * 1_000}).encode()
    found = flush_of([large] * 100, DeadLetterPolicy(max_bytes_per_flush=20_000))
    *letters, summary = found.dead_letters
    assert sum(letter.value_bytes for letter in letters) <= 20_000
    assert len(letters) + summary.left_out == 100
    assert len(letters) > 10


def test_below_the_limit_nothing_is_left_out() -> None:
    found = flush_of([b"{"] * 10, DeadLetterPolicy(max_per_flush=10))
    assert [letter.reason for letter in found.dead_letters] == [RejectReason.MALFORMED_JSON] * 10
    assert not found.counters.left_out


def test_the_next_flush_begins_anew() -> None:
    policies = replace(Policies({}), dead_letters=DeadLetterPolicy(max_per_flush=1))
    fold = IngestFold(policies, DECODE, {}, MemoryStore(), instance="0")
    for _ in range(3):
        fold.predictions(Records([0] * 4, range(4), [0] * 4, [None] * 4, [b"{"] * 4))
        assert [letter.left_out for letter in fold.flush(0, {}, {}).dead_letters] == [0, 3]
        fold.committed()


def test_a_flood_is_a_share_of_what_was_read_in_the_last_minutes_and_at_least_twenty() -> None:
    spans = flood.no_spans()
    assert not flood.count(spans, 19, 19, 1_000).is_flood(0.1)
    assert flood.count(spans, 1, 1, 2_000).is_flood(0.1)
    assert not flood.count(spans, 981, 79, 3_000).is_flood(0.1)  # 99 of 1,001
    assert flood.count(spans, 0, 2, 4_000).is_flood(0.1)
    assert str(flood.count(spans, 0, 0, 5_000)) == "101 of the last 1001 events (10%)"
    flood.count(spans, 10, 0, 70_000)
    assert flood.count(spans, 10, 0, 140_000) == (20, 0)
