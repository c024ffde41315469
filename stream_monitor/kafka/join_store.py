"""The join store on disk: RocksDB, one database a source partition pair, under `directory/<partition>`.

Same observable behaviour as `MemoryStore`, except that expired entries are removed some thousands a write; they are
hidden at once. Positions, entries and expiry index change in one
write batch. The log is not synced: a killed process loses nothing, a killed machine at most the tail, which is read
again from Kafka because the positions are lost with it.

Costs about 4 µs a change and 2 µs a look-up, and per store one block cache and two write buffers, whatever its size.
"""

from __future__ import annotations

import itertools
import shutil
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog
from rocksdict import BlockBasedOptions, Cache, DBCompressionType, Options, Rdict, WriteBatch

from stream_monitor.errors import FormatError, StateLockedError
from stream_monitor.join.store import NO_FLOORS, STAMP, Floors, Role, add_floors, expires_ms, lowest, stamp

log = structlog.get_logger("stream_monitor.kafka.join_store")

FORMAT_VERSION = 1
SWEEP_LIMIT = 20_000  # expired entries removed per write: bounds how long one flush may take
BLOCK_CACHE_BYTES = 64 * 1024 * 1024
WRITE_BUFFER_BYTES = 16 * 1024 * 1024

# Kinds of keys. Numbers are big endian, so that they sort.
_META = b"m"
_ENTRY = b"k"  # + key                  → the entry, which begins with its stamp
_EXPIRY = b"x"  # + stamp + key         → nothing; stale where the entry's own stamp differs
_GRANULE = b"g"  # + stamp              → lowest offsets its entries need
_FLOORS = struct.Struct(">qq")


class _Meta(msgspec.Struct, array_like=True):
    v: int
    positions: dict[str, int]
    entries: int
    expired_before_ms: int | None


class RocksJoinStore:
    """A JoinStore under `directory`. One process at a time: RocksDB holds a lock on each open database."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._cache = Cache(BLOCK_CACHE_BYTES)
        self._tables: dict[int, _Table] = {}

    def positions(self, partition: int) -> dict[Role, int]:
        return dict(self._table(partition).meta.positions)

    def get_many(self, partition: int, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        return self._table(partition).get_many(keys)

    def write(
        self,
        partition: int,
        entries: Mapping[bytes, bytes],
        floors: Mapping[int, Floors],
        positions: Mapping[Role, int],
        expire_before_ms: int | None,
    ) -> int:
        return self._table(partition).write(entries, floors, positions, expire_before_ms)

    def floors(self, partition: int) -> dict[Role, int]:
        return self._table(partition).floors()

    def entries(self, partition: int) -> int:
        return self._table(partition).meta.entries

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

    def _path(self, partition: int) -> Path:
        return self._directory / str(partition)

    def _table(self, partition: int) -> _Table:
        table = self._tables.get(partition)
        if table is None:
            table = self._tables[partition] = self._open(partition)
        return table

    def _open(self, partition: int) -> _Table:
        path = self._path(partition)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _Table(path, self._cache)
        except FormatError:
            raise
        except Exception as error:  # rocksdict raises bare Exception, with RocksDB's sentence
            if "lock" in str(error).lower():
                raise StateLockedError(
                    f"another process uses the join store {path}", mend="give each process its own --instance"
                ) from error
            # Kafka has everything; a store that cannot be read is worth no more than none.
            log.warning("join store unreadable, it will be rebuilt", path=str(path), error=str(error))
            shutil.rmtree(path, ignore_errors=True)
            return _Table(path, self._cache)


class _Table:
    """One partition's database. `_seen` is what look-ups since the last write told about their keys."""

    def __init__(self, path: Path, cache: Any) -> None:
        self._db = Rdict(str(path), _options(cache))
        try:
            self.meta = self._read_meta()
            self._granules = self._read_granules()
        except BaseException:
            self._db.close()
            raise
        self._seen: dict[bytes, bool] = {}

    def close(self) -> None:
        self._db.close()

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        before = self.meta.expired_before_ms
        answers: list[bytes | None] = []
        for key, found in zip(keys, self._db.get([_ENTRY + key for key in keys]), strict=True):
            self._seen[key] = found is not None
            hidden = found is None or (before is not None and expires_ms(found) < before)
            answers.append(None if hidden else found)
        return answers

    def write(
        self,
        entries: Mapping[bytes, bytes],
        floors: Mapping[int, Floors],
        positions: Mapping[Role, int],
        expire_before_ms: int | None,
    ) -> int:
        unknown = [key for key in entries if key not in self._seen]
        if unknown:
            self.get_many(unknown)
        batch = WriteBatch(raw_mode=True)
        added = 0
        for key, data in entries.items():
            batch.put(_ENTRY + key, data)
            batch.put(_EXPIRY + data[: STAMP.size] + key, b"")
            added += not self._seen[key]
        touched = {moment: self._granules.get(moment, NO_FLOORS) for moment in floors}
        add_floors(touched, floors)
        for moment, each in touched.items():
            batch.put(_GRANULE + stamp(moment), _FLOORS.pack(*each))
        meta = self.meta
        if expire_before_ms is None or meta.expired_before_ms is None:
            expired_before = expire_before_ms if meta.expired_before_ms is None else meta.expired_before_ms
        else:
            expired_before = max(meta.expired_before_ms, expire_before_ms)
        meta = _Meta(FORMAT_VERSION, meta.positions | dict(positions), meta.entries + added, expired_before)
        batch.put(_META, msgspec.msgpack.encode(meta))
        self._db.write(batch)
        self._granules |= touched
        self.meta = meta
        self._seen.clear()
        return 0 if expired_before is None else self._sweep(expired_before)

    def _sweep(self, before_ms: int) -> int:
        """Remove up to SWEEP_LIMIT expired entries; a batch of its own, since hiding them has been written already."""
        end = _EXPIRY + stamp(before_ms)
        index = list(
            itertools.islice(itertools.takewhile(lambda key: key < end, self._db.keys(from_key=_EXPIRY)), SWEEP_LIMIT)
        )
        gone = [moment for moment in self._granules if moment < before_ms]
        if not index and not gone:
            return 0
        batch = WriteBatch(raw_mode=True)
        at = len(_EXPIRY)
        keys = [_ENTRY + key[at + STAMP.size :] for key in index]
        dropped: set[bytes] = set()
        for pointer, key, found in zip(index, keys, self._db.get(keys), strict=True):
            if found is not None and found[: STAMP.size] == pointer[at : at + STAMP.size]:
                batch.delete(key)
                dropped.add(key)
        if index:
            batch.delete_range(index[0], index[-1] + b"\0")
        if len(index) < SWEEP_LIMIT:
            for moment in gone:
                batch.delete(_GRANULE + stamp(moment))
                del self._granules[moment]
        self.meta.entries -= len(dropped)
        batch.put(_META, msgspec.msgpack.encode(self.meta))
        self._db.write(batch)
        return len(dropped)

    def floors(self) -> dict[Role, int]:
        before = self.meta.expired_before_ms
        return lowest({at: each for at, each in self._granules.items() if before is None or at >= before})

    def _read_meta(self) -> _Meta:
        data = self._db.get(_META)
        if data is None:
            return _Meta(FORMAT_VERSION, {}, 0, None)
        try:
            meta = msgspec.msgpack.decode(data, type=_Meta)
        except msgspec.DecodeError as error:
            raise FormatError(f"the join store's positions cannot be read ({error})") from error
        if meta.v != FORMAT_VERSION:
            raise FormatError(
                f"the join store has format version {meta.v}; accepted: {FORMAT_VERSION}",
                mend="delete the instance's join folder: it is rebuilt from Kafka",
            )
        return meta

    def _read_granules(self) -> dict[int, Floors]:
        granules: dict[int, Floors] = {}
        for key, value in self._db.items(from_key=_GRANULE):
            if not key.startswith(_GRANULE):
                break
            granules[expires_ms(key[len(_GRANULE) :])] = Floors(*_FLOORS.unpack(value))
        return granules


def _options(cache: Any) -> Any:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(WRITE_BUFFER_BYTES)
    options.set_max_write_buffer_number(2)
    options.set_max_total_wal_size(4 * WRITE_BUFFER_BYTES)
    options.set_max_background_jobs(2)
    options.set_max_open_files(256)
    options.set_keep_log_file_num(2)
    options.set_compression_type(DBCompressionType.lz4())
    blocks = BlockBasedOptions()
    blocks.set_block_cache(cache)
    # Filters and indexes inside the cache's bound: else they would grow with the store.
    blocks.set_cache_index_and_filter_blocks(True)
    blocks.set_bloom_filter(10, False)  # most look-ups are of ids not seen before
    options.set_block_based_table_factory(blocks)
    return options
