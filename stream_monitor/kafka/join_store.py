"""The join store on disk: RocksDB, one database a source partition pair, under `directory/<partition>`.

Same observable behaviour as `MemoryStore`. Entries are counted by granule (the moment at which they expire), so an
expired granule leaves the counts, the floors and all answers at once and exactly, without a look at its entries; they
leave the disk later, by passes over the whole table which go on some ten thousand entries a write (`_sweep`).

Whatever the disk does, a table is as it was after some write, or it is given up: what fails RocksDB's checksums, or
lacks marks of former writes (write_marks.py), is deleted and rebuilt from Kafka; where there is no room the process
ends (StoreError). Its last commit is in Kafka then, and the next start replays what the table lacks.

Entries, granules and positions change in one write batch. The log is not synced: a killed process loses nothing, a
killed machine at most the tail, which is read again from Kafka because the positions are lost with it.

Costs about 0.9 µs a put, 0.6 a look-up of an absent key, 1 to 3 of a present one (9 among 50 million); and memory: one
block cache and one budget of write buffers for all partitions, and 2 bytes an entry.
"""

from __future__ import annotations

import itertools
import shutil
import struct
from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import structlog
from rocksdict import Rdict, WriteBatch

from stream_monitor.errors import FormatError, StateLockedError, StoreError
from stream_monitor.join.store import NO_FLOORS, STAMP, Dropped, Floors, Role, expired_before, expires_ms, lowest, stamp
from stream_monitor.kafka.join_store_options import WRITE_BUFFER_BYTES, SharedOptions, in_order
from stream_monitor.kafka.write_marks import dropped, kept

log = structlog.get_logger("stream_monitor.kafka.join_store")

FORMAT_VERSION = 2
_MANY_TABLES = 8  # partitions open at once beyond which each gets little memory
# A pass over the table begins when its hidden entries are this many, and this share of the visible ones. All in all an
# entry then costs 2 to 3 µs for its removal.
SWEEP_FROM = 100_000
SWEEP_SHARE = 0.5
# A pass looks at this many entries a write, and this many more a change, so that it outruns what expires meanwhile;
# a step takes only so many of them, which bounds how long a flush may take.
SWEEP_A_WRITE = 10_000
SWEEP_A_CHANGE = 3
SWEEP_STEP = 200_000
# A step has to sort what is in memory, 1 µs an entry: if that is more than this, it goes to disk first. But a step
# does not wait for ever.
SWEEP_IN_MEMORY_BYTES = WRITE_BUFFER_BYTES
SWEEP_OWED = 1_000_000

# Keys are text, in UTF-8, where the byte 0xff does not occur: what begins with it is the store's own.
_OWN = b"\xff"
_META = _OWN + b"m"
_TOPICS = _OWN + b"t"  # → ids by role
_GRANULE = _OWN + b"g"  # + stamp → _Granule
# What RocksDB says of a disk that may be as it should be again, its files being whole.
_NO_ROOM = ("no space left", "file too large", "quota exceeded", "permission denied", "read-only file system")
_MARK = _OWN + b"w"  # + number of a write
_MARK_FORMAT = struct.Struct(">Q")
_GRANULE_FORMAT = struct.Struct(">qqq")
_stamp_of = itemgetter(slice(STAMP.size))
_IN_ORDER = in_order()


class _Meta(msgspec.Struct, array_like=True, frozen=True):
    """`hidden`: entries on disk whose granule expired. `swept_to`: where the pass that removes them is, if one is.
    `writes`: how many there were, of those that left marks."""

    v: int
    positions: dict[str, int]
    expired_before_ms: int | None
    hidden: int
    swept_to: bytes | None
    writes: int = 0


class _Granule(NamedTuple):
    """Lowest offsets that the entries of one expiry need, and how many entries these are."""

    floors: Floors
    entries: int


_NO_GRANULE = _Granule(NO_FLOORS, 0)


class _OlderFormatError(Exception):
    """The database is of a format that came before this one."""


class RocksJoinStore:
    """A JoinStore under `directory`. One process at a time: RocksDB holds a lock on each open database."""

    def __init__(self, directory: Path, max_entries: int | None = None) -> None:
        """`max_entries`: of a partition."""
        self._directory = directory
        self._max_entries = max_entries
        self._options = SharedOptions()
        self._tables: dict[int, _Table] = {}

    def positions(self, partition: int) -> dict[Role, int]:
        return dict(self._table(partition).meta.positions)

    def topic_ids(self, partition: int) -> dict[Role, str]:
        return self._table(partition).topic_ids()

    def bind(self, partition: int, topic_ids: Mapping[Role, str]) -> None:
        with self._guarded(partition):
            self._table(partition).bind(topic_ids)

    def get_many(self, partition: int, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        with self._guarded(partition):
            return self._table(partition).get_many(keys)

    def write(
        self,
        partition: int,
        entries: Mapping[bytes, bytes],
        floors: Mapping[int, Floors],
        positions: Mapping[Role, int],
        expire_before_ms: int | None,
    ) -> Dropped:
        with self._guarded(partition):
            return self._table(partition).write(entries, floors, positions, expire_before_ms)

    def floors(self, partition: int) -> dict[Role, int]:
        return self._table(partition).floors()

    def entries(self, partition: int) -> int:
        return self._table(partition).entries

    def disk_bytes(self, partition: int) -> int:
        return self._table(partition).disk_bytes()

    def reset(self, partition: int) -> None:
        self.release(partition)
        shutil.rmtree(self._path(partition), ignore_errors=True)

    def release(self, partition: int) -> None:
        table = self._tables.pop(partition, None)
        if table is not None:
            table.close()

    def close(self) -> None:
        for partition in list(self._tables):
            self.release(partition)

    @contextmanager
    def _guarded(self, partition: int) -> Generator[None]:
        """StoreError for what RocksDB says of its files; rocksdict raises bare Exception, with RocksDB's sentence."""
        try:
            yield
        except Exception as error:
            if type(error) is not Exception:
                raise
            path = self._path(partition)
            if _no_room(error):
                raise _cannot_write(path, error) from error
            self.reset(partition)
            raise StoreError(
                f"the join store {path} is damaged and was deleted ({error})",
                mend="start it again: the store is rebuilt from Kafka, and counting goes on exactly",
            ) from error

    def _path(self, partition: int) -> Path:
        return self._directory / str(partition)

    def _table(self, partition: int) -> _Table:
        table = self._tables.get(partition)
        if table is None:
            table = self._tables[partition] = self._open(partition)
        return table

    def _open(self, partition: int) -> _Table:
        """Kafka has everything, so a store that cannot be used is worth no more than none, and is rebuilt. Not one
        that a newer program wrote: going back was perhaps not meant."""
        path = self._path(partition)
        path.parent.mkdir(parents=True, exist_ok=True)
        options = self._options.of_many(many=len(self._tables) >= _MANY_TABLES)
        try:
            return _Table(path, options, self._max_entries)
        except FormatError:
            raise
        except _OlderFormatError:
            log.warning("join store of an older format, it will be rebuilt", path=str(path), accepted=FORMAT_VERSION)
        except Exception as error:  # rocksdict raises bare Exception, with RocksDB's sentence
            # Not any "lock": RocksDB speaks of blocks, too.
            if any(sign in str(error).lower() for sign in ("lock file", "lock hold")):
                raise StateLockedError(
                    f"another process uses the join store {path}", mend="give each process its own --instance"
                ) from error
            if _no_room(error):
                raise _cannot_write(path, error) from error
            log.warning("join store unreadable, it will be rebuilt", path=str(path), error=str(error))
        shutil.rmtree(path, ignore_errors=True)
        return _Table(path, options, self._max_entries)


def _mark(number: int) -> bytes:
    return _MARK + _MARK_FORMAT.pack(number)


def _no_room(error: Exception) -> bool:
    return any(sign in str(error).lower() for sign in _NO_ROOM)


def _cannot_write(path: Path, error: Exception) -> StoreError:
    return StoreError(
        f"the join store {path} cannot be written ({error})",
        mend="make room on that disk, and start again: counting goes on exactly",
    )


class _Table:
    """One partition's database. `_seen` is what look-ups since the last write found, hidden entries included."""

    def __init__(self, path: Path, chosen: Any, max_entries: int | None) -> None:
        self._max_entries = max_entries
        self._db = Rdict(str(path), chosen)
        try:
            self.meta = self._read_meta()
            self._granules = self._read_granules()
            self._check_marks()
        except BaseException:
            self._db.close()
            raise
        self.entries = sum(granule.entries for granule in self._granules.values())
        self._below = self._hides_below()
        self._seen: dict[bytes, bytes | None] = {}
        self._owed = 0  # entries that the pass under way should have looked at by now

    def close(self) -> None:
        try:
            self._db.close()
        except Exception as error:  # what it could not write is read again from Kafka
            log.warning("join store not closed in order", error=str(error))

    def topic_ids(self) -> dict[Role, str]:
        data = self._db.get(_TOPICS)
        return {} if data is None else msgspec.msgpack.decode(data, type=dict[str, str])

    def bind(self, topic_ids: Mapping[Role, str]) -> None:
        if self.topic_ids() != topic_ids:
            batch = WriteBatch(raw_mode=True)
            batch[_TOPICS] = msgspec.msgpack.encode(dict(topic_ids))
            self._commit(batch, self.meta)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        found = self._look_up(list(keys))
        below = self._below
        # An entry begins with its stamp, so bytes compare as moments do.
        return [None if data is None or data < below else data for data in found] if below else found

    def write(
        self,
        entries: Mapping[bytes, bytes],
        floors: Mapping[int, Floors],
        positions: Mapping[Role, int],
        expire_before_ms: int | None,
    ) -> Dropped:
        seen = self._seen
        if unknown := [key for key in entries if key not in seen]:
            self._look_up(unknown)
        batch = WriteBatch(raw_mode=True)
        for key, data in entries.items():
            batch[key] = data
        replaced = [data for data in map(seen.__getitem__, entries) if data is not None]
        visible = [data for data in replaced if data >= self._below] if self._below else replaced
        granules = self._changed(entries.values(), visible, floors)
        moments = (self.meta.expired_before_ms, expire_before_ms)
        asked = max((moment for moment in moments if moment is not None), default=None)
        before = asked
        if self._max_entries is not None and self.entries + len(entries) - len(visible) > self._max_entries:
            counts = {moment: granule.entries for moment, granule in (self._granules | granules).items()}
            before = expired_before(counts, asked, self._max_entries)
        gone: list[int] = []
        if before is not None:
            gone = [moment for moment in self._granules.keys() | granules if moment < before]
        left = {moment: granules.get(moment, self._granules.get(moment, _NO_GRANULE)).entries for moment in gone}
        expired = sum(left.values())
        for moment in gone:
            granules.pop(moment, None)
            batch.delete(_GRANULE + stamp(moment))
        number = self.meta.writes + 1
        batch[_mark(number)] = b""
        for old in dropped(number):
            batch.delete(_mark(old))
        for moment, granule in granules.items():
            batch[_GRANULE + stamp(moment)] = _GRANULE_FORMAT.pack(*granule.floors, granule.entries)
        uncovered = len(replaced) - len(visible)
        meta = _Meta(
            FORMAT_VERSION,
            self.meta.positions | dict(positions),
            before,
            self.meta.hidden - uncovered + expired,
            self.meta.swept_to,
            number,
        )
        self._commit(batch, meta)
        self._granules |= granules
        for moment in gone:
            self._granules.pop(moment, None)
        self.entries += len(entries) - len(visible) - expired
        self._below = self._hides_below()
        self._seen = {}
        self._sweep(len(entries))
        return Dropped.of(left, expire_before_ms)

    def floors(self) -> dict[Role, int]:
        return lowest({moment: granule.floors for moment, granule in self._granules.items()})

    def disk_bytes(self) -> int:
        return self._db.property_int_value("rocksdb.total-sst-files-size") or 0

    def _look_up(self, keys: list[bytes]) -> list[bytes | None]:
        found: list[bytes | None] = self._db.get(keys)
        self._seen.update(zip(keys, found, strict=True))
        return found

    def _changed(
        self, put: Iterable[bytes], replaced: Iterable[bytes], floors: Mapping[int, Floors]
    ) -> dict[int, _Granule]:
        """The granules that `put` entries come to, or that the visible entries they replace leave, as they then are."""
        entered, left = Counter(map(_stamp_of, put)), Counter(map(_stamp_of, replaced))
        changes = {expires_ms(each): entered[each] - left[each] for each in entered.keys() | left}
        found = {}
        for moment in changes.keys() | floors:
            known = self._granules.get(moment, _NO_GRANULE)
            found[moment] = _Granule(
                known.floors.with_those(floors.get(moment, NO_FLOORS)), known.entries + changes.get(moment, 0)
            )
        return found

    def _sweep(self, changes: int) -> None:
        """Take the pass over the table a step on; a write of its own, since hiding has been written already."""
        meta = self.meta
        if meta.swept_to is None and meta.hidden <= max(SWEEP_FROM, SWEEP_SHARE * self.entries):
            self._owed = 0
            return
        self._owed += SWEEP_A_WRITE + SWEEP_A_CHANGE * changes
        in_memory = self._db.property_int_value("rocksdb.cur-size-all-mem-tables") or 0
        if in_memory > SWEEP_IN_MEMORY_BYTES and self._owed < SWEEP_OWED:
            self._db.flush(wait=False)
            return
        step = min(self._owed, SWEEP_STEP)
        batch = WriteBatch(raw_mode=True)
        below, removed, last = self._below, 0, _OWN
        for key, data in itertools.islice(self._db.items(from_key=meta.swept_to or b"", read_opt=_IN_ORDER), step):
            last = key
            if key >= _OWN:
                break
            if data < below:
                batch.delete(key)
                removed += 1
        swept_to = None if last >= _OWN else last + b"\0"
        self._commit(batch, msgspec.structs.replace(meta, hidden=meta.hidden - removed, swept_to=swept_to))
        self._owed -= step

    def _commit(self, batch: Any, meta: _Meta) -> None:
        batch[_META] = msgspec.msgpack.encode(meta)
        self._db.write(batch)
        self.meta = meta

    def _hides_below(self) -> bytes:
        """Entries below these bytes are hidden; empty: none."""
        before = self.meta.expired_before_ms
        return b"" if before is None else stamp(before)

    def _read_meta(self) -> _Meta:
        data = self._db.get(_META)
        if data is None:
            if next(self._db.keys(read_opt=_IN_ORDER), None) is not None:
                raise _OlderFormatError
            return _Meta(FORMAT_VERSION, {}, None, 0, None)
        found = msgspec.msgpack.decode(data, type=list)[0]
        if found > FORMAT_VERSION:
            raise FormatError(
                f"the join store has format version {found}; accepted: {FORMAT_VERSION}",
                mend="run the newer program, or delete the instance's join folder: it is rebuilt from Kafka",
            )
        if found < FORMAT_VERSION:
            raise _OlderFormatError
        return msgspec.msgpack.decode(data, type=_Meta)

    def _check_marks(self) -> None:
        """Raises as RocksDB does where a table is damaged."""
        found = set()
        for key in self._db.keys(from_key=_MARK, read_opt=_IN_ORDER):
            if not key.startswith(_MARK):
                break
            found.add(_MARK_FORMAT.unpack(key[len(_MARK) :])[0])
        if found != kept(self.meta.writes):
            raise Exception(f"Corruption: a stretch of the {self.meta.writes} writes is missing")

    def _read_granules(self) -> dict[int, _Granule]:
        granules: dict[int, _Granule] = {}
        for key, value in self._db.items(from_key=_GRANULE, read_opt=_IN_ORDER):
            if not key.startswith(_GRANULE):
                break
            *offsets, entries = _GRANULE_FORMAT.unpack(value)
            granules[expires_ms(key[len(_GRANULE) :])] = _Granule(Floors(*offsets), entries)
        return granules
