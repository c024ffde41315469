"""Files of the join store that are cut, changed or lost, and a disk without room: the store is as it was after some
write, or it is given up; it never holds anything else."""

from __future__ import annotations

import random
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stream_monitor.errors import StoreError
from stream_monitor.join.store import Floors, stamp
from stream_monitor.kafka.join_store import RocksJoinStore
from stream_monitor.kafka.write_marks import dropped, kept

WRITES, EACH = 40, 50
KEYS = [f"id-{i}".encode() for i in range(300)]
Content = dict[bytes, bytes]


def played(store: RocksJoinStore, first: int = 0, upto: int = WRITES) -> dict[int, Content]:
    """What the store holds after each write, by the position written with it."""
    held: Content = {}
    after = {}
    for number in range(upto):
        rng = random.Random(number)
        entries = {key: stamp(10**6) + rng.randbytes(rng.randrange(20, 200)) for key in rng.sample(KEYS, EACH)}
        if number >= first:
            store.write(0, entries, {10**6: Floors(number, number)}, {"predictions": number, "labels": number}, None)
        held |= entries
        after[number] = dict(held)
    return after


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, Content]]:
    """A closed store with tables on disk and a log."""
    folder = tmp_path_factory.mktemp("whole")
    store = RocksJoinStore(folder)
    after = played(store, upto=WRITES // 2)
    store._table(0)._db.flush()
    after |= played(store, first=WRITES // 2)
    store._table(0)._db.flush_wal(True)
    # A copy of the open store is what a killed process leaves: nothing of its log is in a table.
    shutil.copytree(folder / "0", folder / "killed")
    store.close()
    return folder / "killed", after


@pytest.mark.parametrize("seed", range(30))
def test_a_store_with_a_broken_file_is_as_it_was_after_some_write_or_is_given_up(
    seed: int, whole: tuple[Path, dict[int, Content]], tmp_path: Path
) -> None:
    origin, after = whole
    shutil.copytree(origin, tmp_path / "0")
    rng = random.Random(seed)
    broken = rng.choice(sorted(path for path in (tmp_path / "0").iterdir() if path.stat().st_size))
    how = rng.choice(["cut", "changed", "lost"])
    data = bytearray(broken.read_bytes())
    if how == "cut":
        broken.write_bytes(data[: rng.randrange(len(data))])
    elif how == "changed":
        for _ in range(8):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        broken.write_bytes(data)
    else:
        broken.unlink()
    seen = f"{broken.name} {how}"
    store = RocksJoinStore(tmp_path)
    try:
        positions = store.positions(0)
        held = dict(zip(KEYS, store.get_many(0, KEYS), strict=True))
    except StoreError:
        store.close()
        store = RocksJoinStore(tmp_path)
        positions = store.positions(0)
        assert positions == {}, seen
        held = dict(zip(KEYS, store.get_many(0, KEYS), strict=True))
    expected = after[positions["predictions"]] if positions else {}
    assert {key: data for key, data in held.items() if data is not None} == expected, seen
    assert store.entries(0) == len(expected), seen
    store.close()


def test_marks_that_are_kept_are_those_that_were_not_dropped_and_show_every_long_stretch() -> None:
    marks: set[int] = set()
    for number in range(1, 3_000):
        marks = (marks | {number}) - set(dropped(number))
        assert marks == kept(number)
    assert len(marks) < 100
    for ago in range(1, 2_000):
        missing = range(3_000 - ago - ago // 3 - 1, 3_000 - ago)
        assert marks.intersection(missing), f"from {ago} writes ago on"


def test_a_disk_without_room_ends_in_a_sentence_and_what_was_written_is_there_when_there_is_room(
    tmp_path: Path,
) -> None:
    store = RocksJoinStore(tmp_path)
    with files_up_to(60_000), pytest.raises(StoreError, match="make room on that disk") as caught:
        played(store)
    assert "File too large" in str(caught.value)
    store.close()
    with files_up_to(1_000), pytest.raises(StoreError, match="make room on that disk"):
        RocksJoinStore(tmp_path).positions(0)
    store = RocksJoinStore(tmp_path)
    reached = store.positions(0)["predictions"]
    assert 0 < reached < WRITES
    after = played(store, first=reached + 1)
    found = dict(zip(KEYS, store.get_many(0, KEYS), strict=True))
    assert {key: data for key, data in found.items() if data is not None} == after[WRITES - 1]
    store.close()


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """The operating system refuses to let any file of this process grow past `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
