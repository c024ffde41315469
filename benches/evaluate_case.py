"""One measurement of the bench of evaluate, in a process of its own: `python -m benches.evaluate_case JSON`.

Prints one JSON object: figures by name.
"""

from __future__ import annotations

import ctypes
import gc
import json
import sys
import time
import tracemalloc
from itertools import chain
from pathlib import Path

import orjson

from benches.evaluate_feed import Feed, Load, prepare
from benches.events import START_MS, predictions
from stream_monitor.app.garbage import collect_seldom
from stream_monitor.pipeline.evaluate import EvaluateFold, EvaluateOutput
from stream_monitor.pipeline.records import StateRecord

HOUR_OF_PANES = 12

Found = dict[str, float]


class _Stage:
    """The fold as the stage drives it: apply, drain, keep the state records."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.fold = EvaluateFold(feed.policies, feed.profiles, partition=0)
        self.state: dict[bytes, bytes] = {}
        self.keeps_state = True
        self._offset = 0

    def apply(self, message: bytes) -> None:
        self.fold.apply(message, self._offset, START_MS)
        self._offset += 1

    def drain(self) -> EvaluateOutput:
        return self.fold.drain()

    def keep(self, output: EvaluateOutput) -> None:
        if self.keeps_state:
            for key, value in output.state:
                if value is None:
                    self.state.pop(key, None)
                else:
                    self.state[key] = value

    def play(self, pane: int, flushes: int) -> None:
        for _ in range(flushes):
            deltas, progress = self.feed.flush(pane)
            for message in chain(deltas, [progress]):
                self.apply(message)
            self.keep(self.drain())
            while not self.fold.is_ready:
                self.fold.go_on()
                self.keep(self.drain())


def merge(feed: Feed) -> Found:
    """Deltas of the pane under way, flush by flush."""
    stage = _Stage(feed)
    collect_seldom()
    clock = time.process_time
    applied = progressed = drained = 0.0
    deltas = records = size = 0
    stage.play(0, 2)
    for _ in range(feed.load.flushes):
        deltas_in, progress = feed.flush(0)
        messages = list(deltas_in)
        began = clock()
        for message in messages:
            stage.apply(message)
        merged = clock()
        stage.apply(progress)
        advanced = clock()
        output = stage.drain()
        drained += clock() - advanced
        applied, progressed = applied + merged - began, progressed + advanced - merged
        deltas += feed.deltas
        records += len(output.state)
        size += sum(len(record.value or b"") for record in output.state)
    return {
        "deltas/s": deltas / applied,
        "deltas/s with their state records": deltas / (applied + progressed + drained),
        "bytes a delta": feed.bytes_a_delta,
        "ms a progress message": progressed / feed.load.flushes * 1_000,
        "state records a delta": records / deltas,
        "bytes a state record": size / records,
        "parses/s": parses(),
    }


def close(feed: Feed) -> Found:
    """The closing of the windows of every series, of 5 min and of an hour full of panes; and a restart then."""
    stage = _Stage(feed)
    collect_seldom()
    clock = time.process_time
    closed = encoded = 0.0
    events = size = transactions = 0
    for pane in range(HOUR_OF_PANES):
        stage.play(pane, 1)
    for pane in range(HOUR_OF_PANES, HOUR_OF_PANES + feed.load.flushes):
        messages, progress = feed.flush(pane)
        for message in messages:
            stage.apply(message)
        began = clock()
        stage.apply(progress)
        while True:
            advanced = clock()
            output = stage.drain()
            ended = clock()
            size += sum(len(event.encode()) for event in output.metrics)
            encoded += clock() - ended
            closed += advanced - began
            events += len(output.metrics)
            transactions += 1
            stage.keep(output)
            if stage.fold.is_ready:
                break
            began = clock()
            stage.fold.go_on()
    windows = (1 + feed.load.tumbling) * feed.load.series * (1 + feed.load.labels) * feed.load.flushes
    state = [StateRecord(key, value) for key, value in stage.state.items()]
    began = clock()
    restored = EvaluateFold.restore(feed.policies, feed.profiles, state, partition=0, position=1)
    seconds = clock() - began
    assert len(restored.newest_events()) == len(stage.fold.newest_events())
    return {
        "windows/s": windows / closed,
        "µs a window": closed / windows * 1e6,
        "metric events a window": events / windows,
        "µs to make and encode an event": encoded / events * 1e6,
        "bytes an event": size / events,
        "MB a transaction": size / transactions / 1e6,
        "µs to restore a series": seconds / feed.load.series * 1e6,
        "state kB a series": sum(len(key) + len(value) for key, value in stage.state.items()) / feed.load.series / 1e3,
        "parses/s": parses(),
    }


def parses() -> float:
    """`orjson.loads` of the predictions behind the deltas: what ratios are against."""
    values = [value for _, value in predictions(5_000)]
    began = time.process_time()
    for value in values:
        orjson.loads(value)
    return len(values) / (time.process_time() - began)


def traced(feed: Feed) -> Found:
    """What Python's allocators hand out."""
    collect_seldom()
    tracemalloc.start()
    stage = _read_two_hours(feed)
    gc.collect()
    held, highest = tracemalloc.get_traced_memory()
    del stage  # not before
    return _memory(held, highest)


def resident(feed: Feed) -> Found:
    """What the process holds of the machine's memory; Linux only."""
    collect_seldom()
    before = _resident()
    Path("/proc/self/clear_refs").write_text("5")  # the highest counts from here on
    stage = _read_two_hours(feed)
    highest = _status("VmHWM")
    held = _resident()
    del stage  # not before
    return _memory(held - before, highest - before)


def _read_two_hours(feed: Feed) -> _Stage:
    stage = _Stage(feed)
    stage.keeps_state = False
    for pane in range(2 * HOUR_OF_PANES):
        stage.play(pane, feed.load.flushes)
    return stage


def _memory(held: int, highest: int) -> Found:
    return {"kB": held / 1e3, "kB at the highest": highest / 1e3}


def _resident() -> int:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return _status("VmRSS")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def main() -> None:
    given = json.loads(sys.argv[1])
    load, deltas = Load(**given["load"]), Path(given["deltas"])
    if given["kind"] == "prepare":
        prepare(load, deltas)
        print("{}")
        return
    measure = {"merge": merge, "close": close, "traced": traced, "resident": resident}[given["kind"]]
    print(json.dumps(measure(Feed(load, deltas))))


if __name__ == "__main__":
    main()
