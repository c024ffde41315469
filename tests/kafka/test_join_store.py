"""The store on disk behaves like the store in memory, through any writes, reopenings and sweeps."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rocksdict import Options, Rdict

from stream_monitor.errors import FormatError, StateLockedError
from stream_monitor.join.store import NO_OFFSET, Dropped, Floors, JoinStore, MemoryStore, stamp
from stream_monitor.kafka import join_store
from stream_monitor.kafka.join_store import RocksJoinStore
from stream_monitor.kafka.join_store_options import SharedOptions, in_order

LONG = "x" * 128  # what RocksDB takes for the prefix of a key
KEYS = [f"id-{i}".encode() for i in range(6)] + [LONG.encode(), f"{LONG}y".encode()]
offset = st.just(NO_OFFSET) | st.integers(0, 50)
change = st.tuples(st.binary(max_size=6), st.integers(-3, 12).map(lambda step: step * 60_000), offset, offset)
write = st.tuples(
    st.dictionaries(st.sampled_from(KEYS), change, max_size=5),
    st.dictionaries(st.sampled_from(["predictions", "labels"]), st.integers(0, 99)),
    st.none() | st.integers(-3, 12).map(lambda step: step * 60_000),
    st.booleans(),  # look the keys up first, as the fold does
    st.booleans(),  # reopen afterwards
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(write, max_size=8), st.integers(1, 4), st.none() | st.integers(0, 5))
def test_it_equals_the_store_in_memory_through_writes_expiry_passes_and_reopening(
    writes: list, step: int, most: int | None
) -> None:
    with tempfile.TemporaryDirectory() as directory, small_passes(step):
        disk, memory = RocksJoinStore(Path(directory), most), MemoryStore(most)
        expired = None
        for changes, positions, expire_before, look_first, reopen in writes:
            if expire_before is not None:  # event time only goes on, in the fold
                expired = expire_before if expired is None else max(expired, expire_before)
            if look_first:
                disk.get_many(3, list(changes))
            entries, floors = parts(changes)
            dropped = [store.write(3, entries, floors, positions, expired) for store in (disk, memory)]
            assert dropped[0] == dropped[1]
            if reopen:
                disk.close()
                disk = RocksJoinStore(Path(directory), most)
            assert most is None or disk.entries(3) <= most
            assert disk.positions(3) == memory.positions(3)
            assert disk.entries(3) == memory.entries(3)
            assert disk.get_many(3, KEYS) == memory.get_many(3, KEYS)
            assert disk.floors(3) == memory.floors(3)
        for _ in range(2 * (len(KEYS) // step + 1)):  # the rest of a pass, and one over all
            disk.write(3, {}, {}, {}, expired)
        disk.close()
        assert entries_on_disk(Path(directory) / "3") == memory.entries(3), "what is hidden must leave the disk"


@contextmanager
def small_passes(step: int) -> Iterator[None]:
    """Passes over the table begin at once and go on `step` entries a write."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(join_store, "SWEEP_FROM", 0)
        patch.setattr(join_store, "SWEEP_SHARE", 0)
        patch.setattr(join_store, "SWEEP_A_WRITE", step)
        patch.setattr(join_store, "SWEEP_A_CHANGE", 0)
        yield


def entries_on_disk(path: Path) -> int:
    """How many records other than its own a closed table holds."""
    database = Rdict(str(path), SharedOptions().of_many(many=False))
    found = sum(not key.startswith(b"\xff") for key in database.keys(read_opt=in_order()))
    database.close()
    return found


Change = tuple[bytes, int, int, int]


def parts(changes: dict[bytes, Change]) -> tuple[dict[bytes, bytes], dict[int, Floors]]:
    floors: dict[int, Floors] = {}
    for _, expires_ms, prediction, label in changes.values():
        floors[expires_ms] = floors.get(expires_ms, Floors()).with_those(Floors(prediction, label))
    return {key: stamp(change[1]) + change[0] for key, change in changes.items()}, floors


def put(
    store: JoinStore, partition: int, changes: dict[bytes, Change], positions: dict[str, int], before: int | None
) -> int:
    return store.write(partition, *parts(changes), positions, before).expired


def entry(text: str, expires_ms: int, prediction: int = NO_OFFSET, label: int = NO_OFFSET) -> Change:
    return text.encode(), expires_ms, prediction, label


def test_partitions_do_not_mix_and_keep_their_data_when_released(tmp_path: Path) -> None:
    store: JoinStore = RocksJoinStore(tmp_path)
    put(store, 0, {b"a": entry("zero", 10)}, {"predictions": 5}, None)
    put(store, 1, {b"a": entry("one", 10)}, {"predictions": 7}, None)
    store.release(0)
    assert store.get_many(0, [b"a", b"b"]) == [stamp(10) + b"zero", None]
    assert store.positions(0) == {"predictions": 5}
    store.reset(1)
    assert (store.get_many(1, [b"a"]), store.positions(1), store.entries(1)) == ([None], {}, 0)


def test_the_size_on_disk_is_known(tmp_path: Path) -> None:
    store, memory = RocksJoinStore(tmp_path), MemoryStore()
    assert (store.disk_bytes(1), memory.disk_bytes(1)) == (0, 0)
    put(store, 1, {f"id-{i}".encode(): entry("x" * 100, 60_000) for i in range(1_000)}, {}, None)
    store.release(1)  # what was in memory only is written when the table is opened again
    assert 10_000 < store.disk_bytes(1) < 200_000
    store.close()


def test_floors_rise_when_the_entries_that_need_them_expire(tmp_path: Path) -> None:
    store = RocksJoinStore(tmp_path)
    put(store, 0, {b"a": entry("a", 100, 5), b"b": entry("b", 200, 9, 3)}, {}, None)
    assert store.floors(0) == {"predictions": 5, "labels": 3}
    assert put(store, 0, {}, {}, 101) == 1
    assert store.floors(0) == {"predictions": 9, "labels": 3}
    assert put(store, 0, {}, {}, 201) == 1
    assert store.floors(0) == {}


def test_what_expired_is_hidden_at_once_and_leaves_the_disk_a_step_a_write(tmp_path: Path) -> None:
    with small_passes(4):
        store = RocksJoinStore(tmp_path)
        put(store, 0, {key: entry("x", 100, 1, 1) for key in KEYS}, {}, None)
        assert put(store, 0, {}, {}, 101) == 8
        assert store.get_many(0, KEYS) == [None] * 8
        assert (store.floors(0), store.entries(0)) == ({}, 0)
        store.close()
        assert entries_on_disk(tmp_path / "0") == 4
        assert put(store, 0, {KEYS[7]: entry("new", 500)}, {}, 101) == 0
        assert store.get_many(0, KEYS[6:]) == [None, stamp(500) + b"new"]
        store.close()
        assert entries_on_disk(tmp_path / "0") == 1


def test_beyond_its_limit_the_oldest_leave_all_of_one_expiry_at_a_time(tmp_path: Path) -> None:
    for store in (RocksJoinStore(tmp_path, 5), MemoryStore(5)):
        old = {b"a": entry("a", 100), b"b": entry("b", 100), b"c": entry("c", 200, prediction=7)}
        assert store.write(0, *parts(old), {}, None) == Dropped()
        assert store.write(0, *parts({b"x": entry("x", 50), b"y": entry("y", 60)}), {}, 55) == Dropped(expired=1)
        new = {f"n{i}".encode(): entry("new", 300) for i in range(3)}
        assert store.write(0, *parts(new), {}, 55) == Dropped(evicted=3)
        assert store.entries(0) == 4
        assert store.get_many(0, [b"a", b"b", b"y"]) == [None] * 3
        assert store.floors(0) == {"predictions": 7}
        assert store.write(0, *parts({b"late": entry("late", 90)}), {}, 55) == Dropped(evicted=1)
        assert store.entries(0) == 4
        store.release(0)


def test_few_hidden_entries_start_no_pass(tmp_path: Path) -> None:
    store = RocksJoinStore(tmp_path)
    put(store, 0, {key: entry("x", 100) for key in KEYS}, {}, None)
    assert put(store, 0, {}, {}, 101) == 8
    store.close()
    assert entries_on_disk(tmp_path / "0") == 8


def test_a_pass_waits_until_little_is_in_memory_but_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_passes(4):
        monkeypatch.setattr(join_store, "SWEEP_IN_MEMORY_BYTES", 0)
        monkeypatch.setattr(join_store, "SWEEP_OWED", 8)
        monkeypatch.setattr(join_store, "SWEEP_STEP", 7)
        store = RocksJoinStore(tmp_path)
        put(store, 0, {key: entry("x", 100) for key in KEYS}, {}, 101)
        assert store.entries(0) == 0
        put(store, 0, {}, {}, 101)  # eight are owed now, a step takes seven
        store.close()
        assert entries_on_disk(tmp_path / "0") == 1


def test_it_knows_the_topics_it_was_made_from_until_it_is_reset(tmp_path: Path) -> None:
    store: JoinStore = RocksJoinStore(tmp_path)
    assert store.topic_ids(0) == {}
    put(store, 0, {b"a": entry("a", 1)}, {"labels": 1}, None)
    store.bind(0, {"labels": "one"})
    store.release(0)
    assert (store.topic_ids(0), store.positions(0), store.entries(0)) == ({"labels": "one"}, {"labels": 1}, 1)
    store.reset(0)
    assert store.topic_ids(0) == {}


def test_a_second_opening_is_refused_with_the_reason(tmp_path: Path) -> None:
    store = RocksJoinStore(tmp_path)
    store.positions(0)
    with pytest.raises(StateLockedError, match="another process uses the join store"):
        RocksJoinStore(tmp_path).positions(0)


def test_an_unreadable_store_starts_empty(tmp_path: Path) -> None:
    store = RocksJoinStore(tmp_path)
    put(store, 0, {b"a": entry("a", 1)}, {"labels": 1}, None)
    store.close()
    (tmp_path / "0" / "CURRENT").write_text("nonsense")
    assert RocksJoinStore(tmp_path).positions(0) == {}


def test_a_newer_format_is_refused_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written_by(3, tmp_path, monkeypatch)
    with pytest.raises(FormatError, match="format version 3; accepted: 2"):
        RocksJoinStore(tmp_path).positions(0)


def test_an_older_format_is_rebuilt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written_by(1, tmp_path, monkeypatch)
    store = RocksJoinStore(tmp_path)
    assert (store.positions(0), store.get_many(0, [b"a"]), store.entries(0)) == ({}, [None], 0)


def test_a_store_whose_positions_are_elsewhere_is_of_an_older_format(tmp_path: Path) -> None:
    plain = Options(raw_mode=True)
    plain.create_if_missing(True)
    first = Rdict(str(tmp_path / "0"), plain)
    first[b"m"] = first[b"ka"] = b"as the first format had it"
    first.close()
    store = RocksJoinStore(tmp_path)
    assert (store.positions(0), store.get_many(0, [b"a", b"ka"])) == ({}, [None, None])


def written_by(version: int, directory: Path, patch: pytest.MonkeyPatch) -> None:
    store = RocksJoinStore(directory)
    with patch.context() as other:
        other.setattr(join_store, "FORMAT_VERSION", version)
        put(store, 0, {b"a": entry("a", 1)}, {"labels": 1}, None)
        store.close()


def test_many_partitions_at_once_take_little_memory_each(tmp_path: Path) -> None:
    store = RocksJoinStore(tmp_path)
    for partition in range(40):
        put(store, partition, {b"a": entry(str(partition), 10)}, {}, None)
    tables = [store._table(partition)._db for partition in range(40)]
    in_memory = [table.property_int_value("rocksdb.cur-size-all-mem-tables") for table in tables]
    assert sum(in_memory) < 40 * 1024 * 1024
    assert max(in_memory[8:]) < 512 * 1024
    assert [store.get_many(partition, [b"a"]) for partition in range(40)] == [
        [stamp(10) + str(partition).encode()] for partition in range(40)
    ]
    store.close()
