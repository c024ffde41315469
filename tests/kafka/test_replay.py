"""The join store is brought to where the group stands: replayed, rebuilt, or refused."""

from __future__ import annotations

import itertools
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from stream_monitor.errors import FormatError, RestoreError
from stream_monitor.join.store import Floors, MemoryStore, stamp
from stream_monitor.kafka.ingest import IngestCommit, IngestSettings, IngestStage, ingest_policy
from stream_monitor.kafka.join_store import RocksJoinStore
from stream_monitor.kafka.loop import Loop
from stream_monitor.kafka.replay import Gap, bind, gaps, metadata
from stream_monitor.kafka.stage import Start
from stream_monitor.kafka.topics import create_topics, require, topic_specs
from stream_monitor.pipeline.horizon import Span
from tests.broker.topics import TopicSpace
from tests.kafka.stage_worker import names_of
from tests.kafka.test_loop import running, wait_for
from tests.pipeline.test_exact_counts import policies
from tests.pipeline.world import DECODE, label, prediction


def store_at(predictions: int, labels: int) -> MemoryStore:
    store = MemoryStore()
    store.write(
        0, {b"k": stamp(10) + b"v"}, {10: Floors(predictions=5)}, {"predictions": predictions, "labels": labels}, None
    )
    return store


def starts(predictions: tuple[int, str], labels: tuple[int, str]) -> dict[str, Start]:
    return {"predictions": Start(*predictions), "labels": Start(*labels)}


def test_a_store_where_the_group_stands_lacks_nothing() -> None:
    assert gaps(0, starts((20, "5"), (7, "3")), store_at(20, 7)) == []


def test_a_store_behind_lacks_what_was_committed_since() -> None:
    assert gaps(0, starts((25, "5"), (7, "3")), store_at(20, 7)) == [Gap("predictions", 20, 25)]


def test_a_store_ahead_is_emptied_and_lacks_all_from_the_lowest_live_offset() -> None:
    store = store_at(30, 7)
    assert gaps(0, starts((25, "5"), (7, "3")), store) == [Gap("predictions", 5, 25), Gap("labels", 3, 7)]
    assert store.entries(0) == 0


def test_a_store_that_was_emptied_still_knows_a_topic_made_anew_later() -> None:
    store = store_at(30, 7)
    of_a, of_b = ({"predictions": Start(25, "5", "a")}, {"predictions": Start(0, "", "b")})
    bind(0, of_a, store)
    assert gaps(0, of_a, store) == [Gap("predictions", 5, 25)], "it was ahead"
    store.write(0, {}, {}, {"predictions": 25}, None)
    bind(0, of_b, store)
    assert gaps(0, of_b, store) == []


def test_a_missing_store_lacks_all_from_the_lowest_live_offset_and_at_the_first_start_nothing() -> None:
    assert gaps(0, starts((25, "5"), (7, "7")), MemoryStore()) == [Gap("predictions", 5, 25)]
    assert gaps(0, starts((25, ""), (7, "")), MemoryStore()) == []


def test_a_store_without_the_groups_offsets_is_refused_since_counts_would_double() -> None:
    with pytest.raises(RestoreError, match="going on would count twice"):
        gaps(0, starts((0, ""), (0, "")), store_at(20, 7))


def test_offsets_moved_on_by_hand_skip_records_for_the_store_too() -> None:
    store = store_at(20, 7)
    assert gaps(0, starts((25, ""), (9, "3")), store) == [Gap("labels", 7, 9)]
    assert store.entries(0) == 1


def test_a_role_that_is_read_for_the_first_time_is_nothing_lost() -> None:
    store = MemoryStore()
    store.write(0, {b"k": stamp(10) + b"v"}, {10: Floors(predictions=5)}, {"predictions": 20}, None)
    assert gaps(0, starts((25, "5"), (0, "")), store) == [Gap("predictions", 20, 25)]


def test_a_store_of_a_topic_that_is_no_more_is_emptied_and_rebuilt_from_the_one_that_stayed() -> None:
    store = store_at(20, 7)
    begin = {"predictions": Start(25, "5", "p1"), "labels": Start(7, "3", "l1")}
    bind(0, begin, store)
    assert store.positions(0) == {"predictions": 20, "labels": 7}, "nobody had said which topics it was made from"
    begin["labels"] = Start(0, "", "l2")
    bind(0, begin, store)
    assert (store.positions(0), store.entries(0)) == ({}, 0)
    assert gaps(0, begin, store) == [Gap("predictions", 5, 25)]
    store.write(0, {}, {}, {"predictions": 25, "labels": 4}, None)
    bind(0, begin | {"labels": Start(4, "0", "l2")}, store)
    assert store.positions(0) == {"predictions": 25, "labels": 4}


def test_metadata_that_are_not_a_number_are_refused() -> None:
    with pytest.raises(FormatError, match="found 'x'"):
        gaps(0, starts((25, "x"), (7, "3")), MemoryStore())


def test_the_metadata_name_the_lowest_offset_that_old_entries_or_this_flush_need() -> None:
    assert metadata(None, Span(40, 50, False), 4) == "40/4"
    assert metadata(12, Span(40, 50, False), 4) == "12/4"


@pytest.mark.broker
def test_a_lost_store_is_rebuilt_from_kafka_and_labels_still_find_their_predictions(
    topics: TopicSpace, tmp_path: Path
) -> None:
    names = names_of(topics.prefix)
    create_topics(topics.admin, topic_specs(names, source_partitions=1, panes_partitions=1))
    counts = require(topics.admin, [names.predictions, names.labels or "", names.panes, names.profiles])
    client = {"bootstrap.servers": topics.bootstrap}
    commits: list[IngestCommit] = []

    def worker() -> Loop:
        store = RocksJoinStore(tmp_path / "join")
        settings = IngestSettings(names, client, counts, "0")
        stage = IngestStage(policies(), DECODE, {}, settings, store=store, on_commit=commits.append)
        return Loop(stage, ingest_policy(names, client, "0", flush_interval_ms=100))

    def joined() -> int:
        return sum(commit.counters.joined["m", "new"] for commit in commits)

    ids = [f"p{i}" for i in range(200)]
    topics.produce(names.predictions, [(i.encode(), prediction(i, 100.0)) for i in ids])
    topics.produce(names.labels or "", [(i.encode(), label(i, 101.0, label="1")) for i in ids[:50]])
    with running(worker()) as raised:
        wait_for(lambda: raised or joined() == 50)
    assert not raised
    shutil.rmtree(tmp_path / "join")
    topics.produce(names.labels or "", [(i.encode(), label(i, 102.0, label="1")) for i in ids])
    with running(worker()) as raised:
        wait_for(lambda: raised or sum(commit.counters.consumed["labels"] for commit in commits) == 250)
    assert not raised
    assert joined() == 200
    assert sum(commit.counters.joined["m", "duplicate"] for commit in commits) == 50
    assert sum(commit.counters.consumed["predictions"] for commit in commits) == 200
    assert commits[-1].join_entries == 200


@pytest.mark.broker
def test_a_rebuild_stops_when_told_to_and_the_next_one_goes_on_where_it_stopped(
    topics: TopicSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM amid a rebuild, which may take minutes, must not wait for its end."""
    names = names_of(topics.prefix)
    create_topics(topics.admin, topic_specs(names, source_partitions=1, panes_partitions=1))
    counts = require(topics.admin, [names.predictions, names.labels or "", names.panes, names.profiles])
    client = {"bootstrap.servers": topics.bootstrap}
    commits: list[IngestCommit] = []
    monkeypatch.setattr("stream_monitor.kafka.replay.CHUNK", 20)

    def worker(store: RocksJoinStore, stopping: Callable[[], bool] = lambda: False) -> Loop:
        settings = IngestSettings(names, client, counts, "0")
        stage = IngestStage(policies(), DECODE, {}, settings, store=store, on_commit=commits.append, stopping=stopping)
        return Loop(stage, ingest_policy(names, client, "0", flush_interval_ms=100))

    def run_until(consumed: int, store: RocksJoinStore) -> None:
        with running(worker(store)) as raised:
            wait_for(lambda: raised or sum(each.counters.consumed["predictions"] for each in commits) == consumed)
        assert not raised
        store.close()

    events = [(f"p{i}".encode(), prediction(f"p{i}", 100.0)) for i in range(200)]
    topics.produce(names.predictions, events)
    run_until(200, RocksJoinStore(tmp_path / "lost"))
    store = RocksJoinStore(tmp_path / "join")
    asked = itertools.count(1)
    thread = threading.Thread(
        target=worker(store, lambda: next(asked) >= 3).run, args=(threading.Event(),), daemon=True
    )
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "it went on though it was told to stop"
    assert 0 < store.positions(0)["predictions"] < 200, "amid the rebuild, and what it had is kept"
    store.close()
    topics.produce(names.predictions, events)
    run_until(400, RocksJoinStore(tmp_path / "join"))
    assert sum(each.counters.predictions.total() for each in commits) == 200, "each repeat was known for one"
    assert commits[-1].join_entries == 200
