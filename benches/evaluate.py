"""Evaluate, without Kafka: deltas merged a second, a closed window, a restart, memory a series.

The deltas are those of the real ingest fold: 20 segments of one flush, each with the 20 features of benches/events.py
on 80 fine bins, given to 1,000 series by renaming the segment and moving the pane. A delta is what one flush adds to
one pane of one series: with labels off a pane of predictions, with labels on a pane of predictions and one of pairs in
turn (the deadlines that a flush books and settles cancel out). Windows are 5 min, and 1 h by 5 min. Seconds are of CPU.

Memory is of a process that has read two hours of event time, window by window, and holds what can still change:
`traced` by tracemalloc, `resident` by the growth of its resident set, freed memory handed back. The highest is while
windows close: the events of all series wait for their commit.
"""

from __future__ import annotations

import ctypes
import gc
import json
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import orjson

from benches.events import MODEL, START_MS, predictions
from benches.harness import Options, Result, interleaved, python, ratio, result
from stream_monitor.detectors.policy import DetectorPolicy
from stream_monitor.events.policy import DecodePolicy, Task
from stream_monitor.join.policy import JoinPolicy
from stream_monitor.join.store import MemoryStore
from stream_monitor.pipeline.book import MAX_DELTA_BYTES
from stream_monitor.pipeline.evaluate import EvaluateFold, EvaluateOutput
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS, IngestFold, Records, Span
from stream_monitor.pipeline.messages import FORMAT, Delta, PaneDelta, Progress, SourceRange, decode, encode
from stream_monitor.pipeline.policy import ModelPolicy, Policies, ReferencePolicy
from stream_monitor.pipeline.records import StateRecord
from stream_monitor.reference.build import build_profile
from stream_monitor.reference.profile import Profile, sealed
from stream_monitor.windows.watermark import SourceProgress

PANE_MS = 300_000
SEGMENTS = 20  # different ones; the others repeat their counts
HOUR_OF_PANES = 12

Found = dict[str, float]


@dataclass(frozen=True, slots=True)
class Load:
    """One case. `events`: of each series in each flush; `flushes`: of each pane."""

    series: int
    models: int
    events: int
    labels: bool
    flushes: int


def run(options: Options) -> Result:
    series = 200 if options.quick else 1_000
    few = Load(series, models=1, events=20, labels=False, flushes=6)
    merged = {
        "20 events": few,
        "2,000 events": replace(few, events=2_000),
        "20 events, 10 models": replace(few, models=10),
        "20 events, labels": replace(few, labels=True),
    }
    whole = Load(series // 5, models=1, events=500, labels=False, flushes=4)
    held = {"no labels": whole, "labels": replace(whole, labels=True)}
    stages: dict[str, Callable[[int], Found]] = {
        f"{kind}, {name}": partial(_measured, kind, load)
        for kind, loads in (("merge", merged), ("close", held))
        for name, load in loads.items()
    }
    rounds = interleaved(options, stages, rounds=min(options.rounds, 3))
    memory = {(name, kind): _measured(kind, load, 0) for name, load in held.items() for kind in ("traced", "resident")}
    figures: dict[str, float | Sequence[float]] = {
        f"{name}: {figure}": [each[figure] for each in found] for name, found in rounds.items() for figure in found[0]
    }
    for (name, kind), found in memory.items():
        figures |= {f"{kind}, {name}: {figure}": value for figure, value in found.items()}

    def of_parses(stage: str, figure: str) -> list[float]:
        return [each[figure] / each["parses/s"] for each in rounds[stage]]

    deltas = [each["deltas/s"] for each in rounds["merge, 20 events"]]
    return result(
        figures=figures,
        ratios={
            "deltas_of_5000_a_second": ratio([each / 5_000 for each in deltas], "higher", must=1, aim=4),
            "deltas_of_parses": ratio(of_parses("merge, 20 events", "deltas/s"), "higher"),
            "deltas_of_parses_labels": ratio(of_parses("merge, 20 events, labels", "deltas/s"), "higher"),
            "windows_of_parses": ratio(of_parses("close, no labels", "windows/s"), "higher"),
            "kb_a_series": ratio(memory["no labels", "resident"]["kB a series"], "lower", must=250, aim=60),
            "kb_a_series_labels": ratio(memory["labels", "resident"]["kB a series"], "lower", must=250, aim=60),
        },
        series=series,
    )


def _measured(kind: str, load: Load, _: int) -> Found:
    given = {name: getattr(load, name) for name in Load.__slots__}
    found: Found = python("-m", "benches.evaluate", json.dumps({"kind": kind, "load": given})).last
    return found


# --- the panes topic --------------------------------------------------------------------------------------------------


class Feed:
    """Messages of one panes partition, flush by flush."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.names = [MODEL if i == 0 else f"{MODEL}-{i}" for i in range(load.models)]
        profile = _profile()
        self.profiles = {name: _renamed(profile, name) for name in self.names}
        policies = {name: _policy(name, load.labels) for name in self.names}
        self.policies = Policies(models=policies, panes_partitions=1, max_series=10 * load.series, live_horizon_ms=None)
        self._templates = list(_templates(load, self.policies, self.profiles))
        sizes = [len(delta.data) for by_segment in self._templates for each in by_segment.values() for delta in each]
        self.bytes_a_delta = sum(sizes) / len(sizes)
        self._flush = 0
        self.deltas = 0  # of the last flush

    def flush(self, pane: int) -> tuple[list[bytes], bytes]:
        """The deltas of every series into its pane `pane`, and the progress that follows."""
        position = self._flush
        self._flush += 1
        roles = (PREDICTIONS, LABELS) if self.load.labels else (PREDICTIONS,)
        ranges = [SourceRange(role, 0, position, position + 1) for role in roles]
        template = self._templates[position % len(self._templates)]
        messages, self.deltas = [], 0
        for name in self.names:
            for part in _parts(list(self._spread(template, pane))):
                messages.append(encode(Delta(v=FORMAT, model=name, ranges=ranges, panes=part)))
                self.deltas += len(part)
        # 11 s behind the pane's start: with 10 s of disorder allowed, all before it is closed.
        newest = dict.fromkeys(self.names, START_MS + pane * PANE_MS + 11_000)
        sources = [SourceProgress(r.role, 0, r.start, r.end, newest, False, self.names) for r in ranges]
        progress = Progress(v=FORMAT, instance="bench", sources=sources, counts=dict.fromkeys(roles, 1))
        return messages, encode(progress)

    def _spread(self, template: dict[str, list[PaneDelta]], pane: int) -> Iterator[PaneDelta]:
        """The overall series, then segments up to the number of series."""
        each = self.load.series // self.load.models
        for number in range(each):
            segment = {} if number == 0 else {"segment": f"s{number}"}
            for delta in template["" if number == 0 else f"s{number % SEGMENTS}"]:
                yield PaneDelta(delta.version, segment, delta.basis, delta.start_ms + pane * PANE_MS, delta.data)


def _policy(name: str, labels: bool) -> ModelPolicy:
    return ModelPolicy(
        name=name,
        reference=ReferencePolicy(kind="profile"),
        segments=(("segment",),),
        join=JoinPolicy(3_600_000, 0) if labels else None,
        detectors=(DetectorPolicy("error", "adwin"),) if labels else (),
    )


def _profile() -> Profile:
    rows = [orjson.loads(value) for _, value in predictions(5_000, seed=1)]
    scores = [row["prediction"]["score"] for row in rows]
    return build_profile(
        model_name=MODEL,
        task=Task.BINARY,
        columns={name: [row["features"][name] for row in rows] for name in rows[0]["features"]},
        outputs=scores,
        actuals=[str(int(score > 0.3)) for score in scores],
        positive_class="1",
        created_at=0,
    )


def _renamed(profile: Profile, name: str) -> Profile:
    return sealed(msgspec.structs.replace(profile, model_name=name))


def _templates(
    load: Load, policies: Policies, profiles: dict[str, Profile], flushes: int = 2
) -> Iterator[dict[str, list[PaneDelta]]]:
    """Deltas by segment ("" is the overall series) of flushes that ingest made in pane 0.

    Each flush holds `events` predictions a segment and, with labels on, the labels of the predictions before.
    """
    policies = replace(policies, models={MODEL: policies.models[MODEL]})
    decoding = DecodePolicy(max_past_ms=None, max_future_ms=None)
    ingest = IngestFold(policies, decoding, {MODEL: profiles[MODEL]}, MemoryStore(), instance="bench")
    n = load.events * SEGMENTS
    events = predictions(n * (flushes + 1))
    position, waiting = 0, []
    for number in range(flushes + 1):
        rows = [orjson.loads(value) for _, (_, value) in zip(range(n), events, strict=False)]
        for i, row in enumerate(rows):
            row["timestamp"] = START_MS / 1_000 + number * 60 + i * 50 / n
            row["tags"] = {"segment": f"s{i % SEGMENTS}"}
        ingest.predictions(_records([orjson.dumps(row) for row in rows], position))
        if load.labels:
            ingest.labels(_records([_label(row) for row in waiting], max(0, position - n)))
        spans = {(PREDICTIONS, 0): Span(position, position + n, True)}
        if load.labels:
            spans[LABELS, 0] = Span(max(0, position - n), position, True)
        flush = ingest.flush(0, spans, {PREDICTIONS: 1, LABELS: 1})
        ingest.committed()
        position, waiting = position + n, rows
        if number > 0 or not load.labels:
            yield _by_segment(decode(message.value) for message in flush.messages)


def _label(row: dict[str, Any]) -> bytes:
    """A minute after the prediction."""
    label = {"label": int(row["prediction"]["score"] > 0.3)}
    event = {name: row[name] for name in ("model_name", "prediction_id")}
    return orjson.dumps({**event, "timestamp": row["timestamp"] + 60, "actual": label})


def _records(values: Sequence[bytes], first: int) -> Records:
    n = len(values)
    return Records([0] * n, range(first, first + n), [START_MS] * n, [None] * n, values)


def _by_segment(messages: Iterator[object]) -> dict[str, list[PaneDelta]]:
    found: dict[str, list[PaneDelta]] = {}
    for message in messages:
        for delta in message.panes if isinstance(message, Delta) else ():
            if delta.version is not None:
                found.setdefault(delta.segment.get("segment", ""), []).append(delta)
    return found


def _parts(panes: Sequence[PaneDelta]) -> Iterator[list[PaneDelta]]:
    """As ingest cuts them."""
    part: list[PaneDelta] = []
    size = 0
    for pane in panes:
        if part and size + len(pane.data) > MAX_DELTA_BYTES:
            yield part
            part, size = [], 0
        part.append(pane)
        size += len(pane.data)
    yield part


# --- in a process of its own ------------------------------------------------------------------------------------------


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
            for message in (*deltas, progress):
                self.apply(message)
            self.keep(self.drain())


def merge(load: Load) -> Found:
    """Deltas of the pane under way, flush by flush."""
    stage = _Stage(Feed(load))
    feed = stage.feed
    gc.collect()
    gc.freeze()  # as a run does
    clock = time.process_time
    applied = progressed = drained = 0.0
    deltas = records = size = 0
    stage.play(0, 2)
    for _ in range(load.flushes):
        messages, progress = feed.flush(0)
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
        "ms a progress message": progressed / load.flushes * 1_000,
        "state records a delta": records / deltas,
        "bytes a state record": size / records,
        "parses/s": parses(),
    }


def close(load: Load) -> Found:
    """The closing of two windows of every series, of 5 min and of an hour full of panes; and a restart then."""
    stage = _Stage(Feed(load))
    feed = stage.feed
    gc.collect()
    gc.freeze()
    clock = time.process_time
    closed = encoded = drained = 0.0
    events = size = 0
    for pane in range(HOUR_OF_PANES):
        stage.play(pane, 1)
    for pane in range(HOUR_OF_PANES, HOUR_OF_PANES + load.flushes):
        messages, progress = feed.flush(pane)
        for message in messages:
            stage.apply(message)
        began = clock()
        stage.apply(progress)
        advanced = clock()
        output = stage.drain()
        ended = clock()
        size += sum(len(event.encode()) for event in output.metrics)
        encoded += clock() - ended
        closed, drained = closed + advanced - began, drained + ended - advanced
        events += len(output.metrics)
        stage.keep(output)
    windows = 2 * load.series * (1 + load.labels) * load.flushes
    state = [StateRecord(key, value) for key, value in stage.state.items()]
    began = clock()
    restored = EvaluateFold.restore(feed.policies, feed.profiles, state, partition=0, position=1)
    seconds = clock() - began
    assert len(restored.newest_events()) == len(stage.fold.newest_events())
    return {
        "windows/s": windows / closed,
        "µs a window": closed / windows * 1e6,
        "metric events a window": events / windows,
        "µs to encode an event": encoded / events * 1e6,
        "bytes an event": size / events,
        "µs to restore a series": seconds / load.series * 1e6,
        "state kB a series": sum(len(key) + len(value) for key, value in stage.state.items()) / load.series / 1e3,
        "parses/s": parses(),
    }


def parses() -> float:
    """`orjson.loads` of the predictions behind the deltas: what ratios are against."""
    values = [value for _, value in predictions(5_000)]
    began = time.process_time()
    for value in values:
        orjson.loads(value)
    return len(values) / (time.process_time() - began)


def traced(load: Load) -> Found:
    feed = Feed(load)
    gc.collect()
    tracemalloc.start()
    stage = _Stage(feed)
    stage.keeps_state = False
    for pane in range(2 * HOUR_OF_PANES):
        stage.play(pane, load.flushes)
    gc.collect()
    held, peak = tracemalloc.get_traced_memory()
    return {"kB a series": held / load.series / 1e3, "kB a series at the highest": peak / load.series / 1e3}


def resident(load: Load) -> Found:
    feed = Feed(load)
    stage = _Stage(feed)
    stage.keeps_state = False
    before = _resident()
    Path("/proc/self/clear_refs").write_text("5")  # the highest so far, that of making the deltas, is forgotten
    for pane in range(2 * HOUR_OF_PANES):
        stage.play(pane, load.flushes)
    highest = _status("VmHWM")
    after = _resident()
    return {
        "kB a series": (after - before) / load.series / 1e3,
        "kB a series at the highest": (highest - before) / load.series / 1e3,
    }


def _resident() -> int:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return _status("VmRSS")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def main() -> None:
    given = json.loads(sys.argv[1])
    measure = {"merge": merge, "close": close, "traced": traced, "resident": resident}[given["kind"]]
    print(json.dumps(measure(Load(**given["load"]))))


if __name__ == "__main__":
    main()
