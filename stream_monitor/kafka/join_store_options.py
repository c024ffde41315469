"""How RocksDB is set up for the join store: point look-ups of random keys, most of them absent, under steady writes."""

from __future__ import annotations

from typing import Any

from rocksdict import (
    BlockBasedOptions,
    Cache,
    DBCompactionStyle,
    DBCompressionType,
    MemtableFactory,
    Options,
    ReadOptions,
    SliceTransform,
    WriteBufferManager,
)

MIB = 1 << 20
# Blocks of entries, of all partitions together. Keys come at random, so more would seldom serve: what matters is the
# operating system's page cache.
CACHE_BYTES = 32 * MIB
# A small hash table stays in the processor's cache; written to disk are several at once, so that files are few.
WRITE_BUFFER_BYTES = 16 * MIB
_MERGED_BUFFERS = 4
_BUFFERS = 6  # of a partition; those that are being written to disk included
ALL_WRITE_BUFFERS_BYTES = 48 * MIB  # of all partitions together: beyond it they are flushed sooner
_BUCKETS = 1 << 17  # about one for each entry that a write buffer holds
# Buckets are there before entries are, 1 MiB a buffer, and so is its arena. Of many partitions each holds few entries
# at a time: with the above 100 of them would take 500 MiB, so they get small tables (200 MiB).
_FEW_BUCKETS = 1 << 14
_SMALL_ARENA_BYTES = 64 << 10
_LONGEST_PREFIX = 128  # the most that rocksdict takes


class SharedOptions:
    """For all databases of a process, which so share cache and buffers."""

    def __init__(self) -> None:
        self._buffers = WriteBufferManager(ALL_WRITE_BUFFERS_BYTES, False)
        self._cache = Cache(CACHE_BYTES)

    def of_many(self, *, many: bool) -> Any:
        """`many`: the database is one of so many that its tables in memory had better be small."""
        chosen = _options(self._buffers, self._cache)
        chosen.set_memtable_factory(MemtableFactory.hash_link_list(_FEW_BUCKETS if many else _BUCKETS))
        if many:
            chosen.set_arena_block_size(_SMALL_ARENA_BYTES)
        return chosen


def _options(buffers: Any, cache: Any) -> Any:
    chosen = Options(raw_mode=True)
    chosen.create_if_missing(True)
    chosen.set_write_buffer_size(WRITE_BUFFER_BYTES)
    chosen.set_max_write_buffer_number(_BUFFERS)
    chosen.set_min_write_buffer_number_to_merge(_MERGED_BUFFERS)
    chosen.set_write_buffer_manager(buffers)
    # Hash tables in memory (SharedOptions) instead of sorted lists: a put and a look-up touch one bucket, and sorting
    # is left to the flush, which is in the background. The "prefix" which chooses the bucket is the whole key, or the
    # start of a long one. Whoever iterates must ask for total order (`in_order`), and pays for sorting what is there.
    chosen.set_prefix_extractor(SliceTransform.create_max_len_prefix(_LONGEST_PREFIX))
    chosen.set_allow_concurrent_memtable_write(False)  # the table cannot; there is one writer anyway
    chosen.set_memtable_prefix_bloom_ratio(0.02)  # most look-ups are of ids not seen before
    chosen.set_max_total_wal_size(3 * _BUFFERS * WRITE_BUFFER_BYTES)
    # Files of like size are merged, instead of each with the whole next level: half the work of the compaction, for
    # up to twice the space on disk.
    chosen.set_compaction_style(DBCompactionStyle.universal())
    chosen.set_max_background_jobs(4)  # a merge of everything takes minutes; flushes and small merges go on meanwhile
    # Filters and indexes of open files stay in memory, 2 bytes an entry: look-ups are twice as fast as with them in the
    # cache. The number of open files bounds them.
    chosen.set_max_open_files(256)
    chosen.set_keep_log_file_num(2)
    chosen.set_compression_type(DBCompressionType.lz4())
    blocks = BlockBasedOptions()
    blocks.set_block_cache(cache)
    blocks.set_bloom_filter(10, False)
    chosen.set_block_based_table_factory(blocks)
    return chosen


def in_order() -> Any:
    """For passes over a table: sorted, and without pushing out of the cache what look-ups need."""
    chosen = ReadOptions()
    chosen.set_total_order_seek(True)
    chosen.fill_cache(False)
    return chosen
