"""The join store with 50 million pending predictions, then their labels: throughput, memory, disk.

No Kafka: the store alone, one partition, in batches as the fold uses it. Predictions: a look-up of keys that are not
there, then a write. Labels: a look-up of keys that are there, then a write; the first half in the order of the
predictions, the second half scattered over all of that half. Nothing expires. A line for each twentieth of the
predictions says what that part cost, resident memory and bytes on disk.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from benches.harness import Options, Result, ratio, result, say
from benches.join_entries import BATCH, batches, entries, keys, scattered
from stream_monitor.kafka.join_store import RocksJoinStore

LONG = True
MIB = 1 << 20


class Point(NamedTuple):
    """One part of a phase: entries so far; µs an entry of look-ups and of writes, by the wall and as CPU of the caller;
    CPU of the threads behind it; the slowest batch of look-up and write; then memory and disk."""

    phase: str
    done: int
    look_up_us: float
    write_us: float
    look_up_cpu_us: float
    write_cpu_us: float
    behind_cpu_us: float
    slowest_ms: float
    rss_mib: float
    disk_mib: float


def run(options: Options) -> Result:
    part = max(BATCH, options.count(50_000_000, quick=400_000) // (20 * BATCH) * BATCH)
    events = 20 * part
    # Beside the working directory, not in /tmp, which may be in memory.
    with tempfile.TemporaryDirectory(prefix="join-large-", dir=Path.cwd()) as folder:
        store = RocksJoinStore(Path(folder))
        began, cpu_began = time.monotonic(), time.process_time()
        say(_HEAD)
        half = events // 2
        curve = _played(store, Path(folder), "predictions", batches(0, events), part)
        curve += _played(store, Path(folder), "labels in order", batches(0, half), part)
        curve += _played(store, Path(folder), "labels scattered", scattered(half, events), part)
        seconds, cpu_seconds = time.monotonic() - began, time.process_time() - cpu_began
        assert store.entries(0) == events
        store.close()
    phases = list(dict.fromkeys(point.phase for point in curve))
    return result(
        figures={
            **{f"{phase}: µs an entry": _mean(curve, phase, _cost) for phase in phases},
            **{f"{phase}: CPU µs an entry": _mean(curve, phase, _cpu) for phase in phases},
            "slowest batch, ms": max(point.slowest_ms for point in curve),
            "highest RSS, MiB": max(point.rss_mib for point in curve),
            "most on disk, MiB": max(point.disk_mib for point in curve),
            "entries/s, making them included": 2 * events / seconds,
            "CPU µs an entry, making them and compaction included": cpu_seconds / (2 * events) * 1e6,
        },
        ratios={
            "highest_rss_of_1_gib": ratio(max(point.rss_mib for point in curve) / 1024, "lower", must=1.0),
            # By CPU of the caller: what else the machine does in half an hour is no part of it.
            "last_predictions_of_first": ratio(_cpu(curve[19]) / _cpu(curve[0]), "lower"),
        },
        events=events,
        curve=[point._asdict() for point in curve],
    )


def _played(
    store: RocksJoinStore, folder: Path, phase: str, numbers: Iterable[range | list[int]], part: int
) -> list[Point]:
    labelled = phase != "predictions"
    found: list[Point] = []
    done, spent = 0, _Spent()
    for batch in numbers:
        asked = keys(batch)
        made, floors = entries(asked, batch[0], labelled=labelled)
        before = _Clocks.now()
        answers = store.get_many(0, asked)
        between = _Clocks.now()
        store.write(0, made, floors, {"labels" if labelled else "predictions": batch[-1] + 1}, None)
        spent.add(before, between, _Clocks.now())
        assert (None in answers) != labelled
        done += len(batch)
        if done % part == 0:
            point = spent.point(phase, done, part, _resident() / MIB, _on_disk(folder) / MIB)
            say(_line(point))
            found.append(point)
            spent = _Spent()
    return found


class _Clocks(NamedTuple):
    wall: float
    thread: float

    @staticmethod
    def now() -> _Clocks:
        return _Clocks(time.perf_counter(), time.thread_time())


class _Spent:
    """Seconds in one part of a phase."""

    def __init__(self) -> None:
        self.look_up, self.write = [0.0, 0.0], [0.0, 0.0]
        self.slowest_ms = 0.0
        self._began = time.process_time() - time.thread_time()

    def add(self, before: _Clocks, between: _Clocks, after: _Clocks) -> None:
        for i in range(2):
            self.look_up[i] += between[i] - before[i]
            self.write[i] += after[i] - between[i]
        self.slowest_ms = max(self.slowest_ms, (after.wall - before.wall) * 1_000)

    def point(self, phase: str, done: int, entries: int, rss_mib: float, disk_mib: float) -> Point:
        behind = time.process_time() - time.thread_time() - self._began
        us = 1e6 / entries
        return Point(
            phase,
            done,
            look_up_us=self.look_up[0] * us,
            write_us=self.write[0] * us,
            look_up_cpu_us=self.look_up[1] * us,
            write_cpu_us=self.write[1] * us,
            behind_cpu_us=behind * us,
            slowest_ms=self.slowest_ms,
            rss_mib=rss_mib,
            disk_mib=disk_mib,
        )


_HEAD = (
    f"{'phase':<18}{'entries':>12}{'look-up µs':>12}{'write µs':>10}{'look-up CPU':>13}{'write CPU':>11}"
    f"{'behind CPU':>12}{'slowest ms':>12}{'RSS MiB':>9}{'disk MiB':>10}"
)


def _line(point: Point) -> str:
    return (
        f"{point.phase:<18}{point.done:>12,}{point.look_up_us:>12.2f}{point.write_us:>10.2f}{point.look_up_cpu_us:>13.2f}"
        f"{point.write_cpu_us:>11.2f}{point.behind_cpu_us:>12.2f}{point.slowest_ms:>12.0f}{point.rss_mib:>9.0f}"
        f"{point.disk_mib:>10.0f}"
    )


def _mean(curve: list[Point], phase: str, of: Callable[[Point], float]) -> float:
    return fmean(of(point) for point in curve if point.phase == phase)


def _cost(point: Point) -> float:
    return point.look_up_us + point.write_us


def _cpu(point: Point) -> float:
    return point.look_up_cpu_us + point.write_cpu_us


def _resident() -> int:
    """Bytes resident now (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def _on_disk(folder: Path) -> int:
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.stat().st_size
        except FileNotFoundError:  # removed by a compaction meanwhile
            continue
    return total
