"""The panes topic of the bench of evaluate: deltas that the real ingest fold made, spread over many series."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import orjson

from benches.events import MODEL, START_MS, predictions
from stream_monitor.detectors.policy import DetectorPolicy
from stream_monitor.events.policy import DecodePolicy, Task
from stream_monitor.join.policy import JoinPolicy
from stream_monitor.join.store import MemoryStore
from stream_monitor.pipeline.book import MAX_DELTA_BYTES
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS, IngestFold, Records, Span
from stream_monitor.pipeline.messages import FORMAT, Delta, PaneDelta, Progress, SourceRange, decode, encode
from stream_monitor.pipeline.policy import ModelPolicy, Policies, ReferencePolicy
from stream_monitor.reference.build import build_profile
from stream_monitor.reference.profile import Profile, sealed
from stream_monitor.windows.grid import WindowSpec
from stream_monitor.windows.watermark import SourceProgress

PANE_MS = 300_000
HOUR = WindowSpec(12 * PANE_MS, PANE_MS)
TUMBLING = WindowSpec(PANE_MS, PANE_MS)
SEGMENTS = 20  # different ones; the others repeat their counts


@dataclass(frozen=True, slots=True)
class Load:
    """One case. `events`: of each series in each flush; `flushes`: of each pane; `tumbling`: windows of 5 min too."""

    series: int
    models: int
    events: int
    labels: bool
    flushes: int
    tumbling: bool = True


class Feed:
    """Messages of one panes partition, flush by flush."""

    def __init__(self, load: Load, deltas: Path) -> None:
        self.load = load
        self.names = [MODEL if i == 0 else f"{MODEL}-{i}" for i in range(load.models)]
        made = msgspec.msgpack.decode(deltas.read_bytes(), type=_Made)
        profile = Profile.from_json(made.profile)
        self.profiles = {name: sealed(msgspec.structs.replace(profile, model_name=name)) for name in self.names}
        policies = {name: _policy(name, load) for name in self.names}
        self.policies = Policies(models=policies, panes_partitions=1, max_series=10 * load.series, live_horizon_ms=None)
        self._templates = made.flushes
        sizes = [len(delta.data) for by_segment in self._templates for each in by_segment.values() for delta in each]
        self.bytes_a_delta = sum(sizes) / len(sizes)
        self._flush = 0
        self.deltas = 0  # of the last flush

    def flush(self, pane: int) -> tuple[Iterator[bytes], bytes]:
        """The deltas of every series into its pane `pane`, message by message, and the progress that follows."""
        position = self._flush
        self._flush += 1
        roles = (PREDICTIONS, LABELS) if self.load.labels else (PREDICTIONS,)
        ranges = [SourceRange(role, 0, position, position + 1) for role in roles]
        # 11 s behind the pane's start: with 10 s of disorder allowed, all before it is closed.
        newest = dict.fromkeys(self.names, START_MS + pane * PANE_MS + 11_000)
        sources = [SourceProgress(r.role, 0, r.start, r.end, newest, False, self.names) for r in ranges]
        progress = Progress(v=FORMAT, instance="bench", sources=sources, counts=dict.fromkeys(roles, 1))
        return self._deltas(self._templates[position % len(self._templates)], pane, ranges), encode(progress)

    def _deltas(self, template: dict[str, list[PaneDelta]], pane: int, ranges: list[SourceRange]) -> Iterator[bytes]:
        self.deltas = 0
        for name in self.names:
            for part in _parts(self._spread(template, pane)):
                self.deltas += len(part)
                yield encode(Delta(v=FORMAT, model=name, ranges=ranges, panes=part))

    def _spread(self, template: dict[str, list[PaneDelta]], pane: int) -> Iterator[PaneDelta]:
        """The overall series, then segments up to the number of series."""
        each = self.load.series // self.load.models
        for number in range(each):
            segment = {} if number == 0 else {"segment": f"s{number}"}
            for delta in template["" if number == 0 else f"s{number % SEGMENTS}"]:
                yield PaneDelta(delta.version, segment, delta.basis, delta.start_ms + pane * PANE_MS, delta.data)


def _policy(name: str, load: Load) -> ModelPolicy:
    return ModelPolicy(
        name=name,
        reference=ReferencePolicy(kind="profile"),
        windows=(HOUR, *((TUMBLING,) if load.tumbling else ())),
        segments=(("segment",),),
        join=JoinPolicy(3_600_000, 0) if load.labels else None,
        detectors=(DetectorPolicy("error", "adwin"),) if load.labels else (),
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


class _Made(msgspec.Struct):
    """What ingest made: the profile in JSON, and by flush and segment ("" is the overall series) deltas to pane 0."""

    profile: bytes
    flushes: list[dict[str, list[PaneDelta]]]


def prepare(load: Load, deltas: Path) -> None:
    """Make the deltas of a load and write them down."""
    profile = _profile()
    made = _Made(profile.to_json(), list(_templates(load, profile)))
    deltas.write_bytes(msgspec.msgpack.encode(made))


def _templates(load: Load, profile: Profile, flushes: int = 2) -> Iterator[dict[str, list[PaneDelta]]]:
    """Each flush holds `events` predictions a segment and, with labels on, the labels of the predictions before."""
    policies = Policies(models={MODEL: _policy(MODEL, load)}, panes_partitions=1)
    decoding = DecodePolicy(max_past_ms=None, max_future_ms=None)
    ingest = IngestFold(policies, decoding, {MODEL: profile}, MemoryStore(), instance="bench")
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


def _parts(panes: Iterable[PaneDelta]) -> Iterator[list[PaneDelta]]:
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
