"""The first fold: predictions and labels in, pane deltas, progress and dead letters out.

It keeps no sums across commits: `flush` hands out what was folded since the last one, `committed` makes the join
entries permanent, `discarded` forgets everything since the last commit.  Pure: time comes in as an argument.
Replaying records into the join store is the same fold with the flush thrown away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from stream_monitor.events.decode import Decoded, LabelDecoder, PredictionDecoder
from stream_monitor.events.policy import DecodePolicy
from stream_monitor.events.rejects import DeadLetter, Reject, RejectReason
from stream_monitor.join.batch import Effects
from stream_monitor.join.overlay import Overlay
from stream_monitor.join.store import Dropped, JoinStore
from stream_monitor.pipeline.book import PaneBook
from stream_monitor.pipeline.fold_labels import LabelFolder
from stream_monitor.pipeline.fold_predictions import PredictionFolder
from stream_monitor.pipeline.horizon import Horizon, Span
from stream_monitor.pipeline.joining import Joining
from stream_monitor.pipeline.latency import LatencyCounts
from stream_monitor.pipeline.learning import fits
from stream_monitor.pipeline.messages import FORMAT, Progress, SourceRange, decode, encode
from stream_monitor.pipeline.partition import partition_of
from stream_monitor.pipeline.policy import ModelPolicy, Policies
from stream_monitor.pipeline.prediction_columns import ROWS_AT_ONCE, PredictionColumns
from stream_monitor.pipeline.rejected import Record, Rejected
from stream_monitor.pipeline.upstream import UpstreamHorizon
from stream_monitor.pipeline.window_ends import WindowEnds
from stream_monitor.reference.profile import Profile

PREDICTIONS = "predictions"
LABELS = "labels"
_MANY_REJECTS = 1_000  # they keep their records


class _Named(Protocol):
    @property
    def model_name(self) -> str: ...


RowT = TypeVar("RowT", bound=_Named)
ItemT = TypeVar("ItemT")


class Records(NamedTuple):
    """Records of one source topic as columns of equal length, in the order of each partition."""

    partitions: Sequence[int]
    offsets: Sequence[int]
    timestamps_ms: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]

    def row(self, place: int) -> Record:
        """One of them, which does not keep the others alive."""
        partitions, offsets, times, keys, values = self
        return Record(partitions[place], offsets[place], times[place], keys[place], values[place])


class OutMessage(NamedTuple):
    """A record for the panes topic."""

    partition: int
    key: bytes | None
    value: bytes


@dataclass(slots=True)
class IngestCounters:
    """Increments of one flush; they count only once it is committed."""

    consumed: Counter[str] = field(default_factory=Counter)  # role
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)  # role, reason
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)  # those of them without a dead letter
    predictions: Counter[tuple[str, str]] = field(default_factory=Counter)  # model, version
    joined: Counter[tuple[str, str]] = field(default_factory=Counter)  # model, outcome
    latency: dict[str, LatencyCounts] = field(default_factory=dict)  # model
    label_delay: dict[str, LatencyCounts] = field(default_factory=dict)  # model


class IngestFlush(NamedTuple):
    messages: list[OutMessage]
    dead_letters: list[DeadLetter]
    counters: IngestCounters


class _Model:
    """One model's folders under the profile in force."""

    def __init__(self, policy: ModelPolicy, profile: Profile | None, hash_key: bytes) -> None:
        self.policy = policy
        self.predictions = PredictionFolder(policy, profile, hash_key)
        self.labels = None if policy.join is None else LabelFolder(policy, profile)
        self.joining = None if policy.join is None else Joining(policy)


class IngestFold:
    """All source partitions of one worker."""

    def __init__(
        self,
        policies: Policies,
        decode: DecodePolicy,
        profiles: Mapping[str, Profile],
        store: JoinStore,
        *,
        instance: str,
    ) -> None:
        self._policies = policies
        self._store = store
        self._instance = instance
        self._overlay = Overlay(store)
        self._book = PaneBook()
        self._models: dict[str, _Model] = {}
        self._profiles: dict[str, Profile] = {}
        self._decoder = PredictionDecoder(decode)
        self._label_decoder = LabelDecoder(decode)
        self._upstream = UpstreamHorizon(policies.progress_timeout_ms) if policies.repartition else None
        self._horizon = Horizon(policies.idle_timeout_ms) if self._upstream is None else self._upstream
        self._rejected = Rejected(policies.dead_letters)
        self._rejected_before: Counter[str] = Counter()  # by repartition, as its marks say
        self._counters = IngestCounters()
        self._spans: Mapping[tuple[str, int], Span] = {}
        self._flushed_ms = 0
        self._window_ends = WindowEnds(policies)
        self.adopt(profiles.values())

    def adopt(self, profiles: Iterable[Profile]) -> None:
        """Use these profiles from now on, each for events since its `effective_from`."""
        for profile in profiles:
            if not fits(profile, self._policies.model(profile.model_name), self._policies.hash_key):
                continue
            self._profiles[profile.model_name] = profile
            self._models.pop(profile.model_name, None)
        layouts = {}
        for name in self._profiles:
            model = self._model(name)
            if model is not None and model.predictions.layout is not None:
                layouts[name] = model.predictions.layout
        self._decoder = self._decoder.with_layouts(layouts)

    def predictions(self, records: Records) -> None:
        """Fold a batch of the predictions topic."""
        records = self._without_marks(PREDICTIONS, records)
        self._counters.consumed[PREDICTIONS] += len(records.values)
        for name, rows in self._gathered(records).items():
            model = self._models[name]
            partitions = at(records.partitions, rows.places)
            self._horizon.note(PREDICTIONS, name, partitions, rows.moments)
            if model.joining is not None:
                offsets = at(records.offsets, rows.places)
                effects = model.joining.predictions(self._overlay, rows, partitions, offsets)
                self._take(model, rows.ids, effects)
                if effects.repeats:
                    rows.keep(np.setdiff1d(np.arange(len(rows)), effects.repeats))
            latencies = model.predictions.fold(rows, self._book)
            self._counters.latency.setdefault(name, LatencyCounts()).add(latencies)
            for version, count in Counter(rows.versions).items():
                self._counters.predictions[name, version] += count

    def _gathered(self, records: Records) -> dict[str, PredictionColumns]:
        """The columns of each model's predictions; the rest is rejected."""
        gathered: dict[str, PredictionColumns] = {}
        for start in range(0, len(records.values), ROWS_AT_ONCE):
            some = slice(start, start + ROWS_AT_ONCE)
            decoded = self._decoder.decode_batch(records.values[some], records.timestamps_ms[some])
            self._reject(PREDICTIONS, [(start + i, reject) for i, reject in decoded.rejects], records)
            for name, rows, moments, index in by_model(decoded):
                places = [start + i for i in index]
                columns = gathered.get(name)
                if columns is None:
                    model = self._model(name)
                    if model is None:
                        self._reject(PREDICTIONS, [(i, self._too_many_models(name)) for i in places], records)
                        continue
                    columns = gathered[name] = model.predictions.columns()
                columns.add(rows, moments, places)
        for columns in gathered.values():
            columns.finish()
        return gathered

    def labels(self, records: Records) -> None:
        """Fold a batch of the labels topic."""
        records = self._without_marks(LABELS, records)
        decoded = self._label_decoder.decode_batch(records.values, records.timestamps_ms)
        self._counters.consumed[LABELS] += len(records.values)
        self._reject(LABELS, decoded.rejects, records)
        for name, rows, moments, index in by_model(decoded):
            model = self._model(name)
            if model is None:
                self._reject(LABELS, [(i, self._too_many_models(name)) for i in index], records)
                continue
            partitions = at(records.partitions, index)
            self._horizon.note(LABELS, name, partitions, moments)
            if model.joining is None or not model.policy.joins_labels:
                self._counters.joined[name, "labels_off"] += len(rows)
                continue
            offsets = at(records.offsets, index)
            effects = model.joining.labels(self._overlay, rows, moments, partitions, offsets)
            self._take(model, [row.prediction_id for row in rows], effects)

    def is_awaited(self) -> bool:
        """True if what was read since the last flush may let a window close."""
        return self._window_ends.passed(self._horizon.newest)

    def held_bytes(self) -> int:
        """Memory of what waits for the next flush, roughly: panes and join entries."""
        return self._book.held_bytes() + self._overlay.held_bytes

    def is_full(self) -> bool:
        """True if a flush must not wait for more: what is held has reached its limit."""
        return self.held_bytes() >= self._policies.max_unflushed_bytes

    def is_decisive(self) -> bool:
        """True if a flush now may close windows or make events too late, or lets go of much; else the next one will do
        as well."""
        if len(self._rejected) >= _MANY_REJECTS or self.is_full():
            return True
        return self._window_ends.decided(self._horizon.newest)

    def flush(
        self,
        now_ms: int,
        spans: Mapping[tuple[str, int], Span],
        counts: Mapping[str, int],
        topic_ids: Mapping[str, str] = MappingProxyType({}),
    ) -> IngestFlush:
        """What was folded since the last commit. `spans`: by (role, partition), every owned one; `counts`: partitions
        of each source topic, from its metadata; `topic_ids`: their ids, where they are known."""
        ids = dict(topic_ids)
        ranges = [SourceRange(role, partition, span.start, span.end) for (role, partition), span in spans.items()]
        messages: list[OutMessage] = []
        panes_partitions = self._policies.panes_partitions
        for delta in self._book.deltas(ranges, ids):
            delta.pane_ms = self._policies.model(delta.model).pane_ms
            messages.append(
                OutMessage(partition_of(delta.model, panes_partitions), delta.model.encode(), encode(delta))
            )
        progress = Progress(
            v=FORMAT,
            instance=self._instance,
            sources=self._horizon.progress(now_ms, spans),
            counts=dict(counts),
            events=self._counters.consumed.total() + self._rejected_before.total(),
            rejects=dict(_summed_by_reason(self._counters.rejected) + self._rejected_before),
            topic_ids=ids,
            predictions=_of_models(self._counters),
        )
        messages.extend(OutMessage(partition, None, encode(progress)) for partition in range(panes_partitions))
        self._spans = dict(spans)
        self._flushed_ms = now_ms
        self._window_ends.told(self._horizon.newest)
        self._counters.left_out = self._rejected.left_out
        return IngestFlush(messages, self._rejected.letters(self._policies.topics, now_ms), self._counters)

    def committed(self) -> Dropped:
        """The flush is in Kafka: make join entries permanent with their positions. Returns entries that left."""
        dropped: list[Dropped] = []
        for partition in {partition for _, partition in self._spans}:
            positions = {role: span.end for (role, p), span in self._spans.items() if p == partition}
            entries, floors = self._overlay.changes(partition)
            before = self._horizon.expire_before(partition, self._flushed_ms, self._spans)
            dropped.append(self._store.write(partition, entries, floors, positions, before))
        self._start_anew()
        return Dropped(sum(each.expired for each in dropped), sum(each.evicted for each in dropped))

    def discarded(self) -> None:
        """Forget everything since the last commit."""
        self._horizon.discarded()
        self._start_anew()

    def released(self, partitions: Iterable[tuple[str, int]]) -> None:
        """These (role, partition) belong to somebody else now."""
        sources = list(partitions)
        self._horizon.released(sources)
        for _, partition in sources:
            self._overlay.drop(partition)

    def floor(self, role: str, partition: int) -> int | None:
        """Lowest offset that the join entries written so far need; None: none."""
        return self._store.floors(partition).get(role)

    def _without_marks(self, role: str, records: Records) -> Records:
        """Of a topic that repartition.py filled: its events; its marks, which have no key, are heard."""
        if self._upstream is None or None not in records.keys:
            return records
        kept = []
        for place, key in enumerate(records.keys):
            value = records.values[place]
            if key is not None or not value or value.startswith(b"{"):  # a stranger's record: an event, or a reject
                kept.append(place)
                continue
            mark = decode(value)
            if isinstance(mark, Progress):
                self._upstream.hear(role, records.partitions[place], mark, records.timestamps_ms[place])
                self._rejected_before.update(mark.rejects)
        partitions, offsets, times, keys, values = records
        return Records(at(partitions, kept), at(offsets, kept), at(times, kept), at(keys, kept), at(values, kept))

    def _start_anew(self) -> None:
        self._overlay.drop()
        self._book.clear()
        self._horizon.start_anew()
        self._rejected = Rejected(self._policies.dead_letters)
        self._rejected_before = Counter()
        self._counters = IngestCounters()
        self._spans = {}

    def _model(self, name: str) -> _Model | None:
        model = self._models.get(name)
        if model is None:
            listed = name in self._policies.models
            if not listed and self._unlisted() >= self._policies.max_models:
                return None
            policy = self._policies.model(name)
            model = self._models[name] = _Model(policy, self._profiles.get(name), self._policies.hash_key)
        return model

    def _unlisted(self) -> int:
        return sum(name not in self._policies.models for name in self._models)

    def _too_many_models(self, name: str) -> Reject:
        return Reject(
            RejectReason.MODEL_LIMIT,
            f"model {name!r} is not in the config, and limits.max_models ({self._policies.max_models}) models have "
            "registered themselves already; add it under models or raise the limit",
        )

    def _take(self, model: _Model, ids: Sequence[str], effects: Effects) -> None:
        labels, name = model.labels, model.policy.name
        assert labels is not None
        labels.expect(effects.awaited, +1, self._book)
        labels.expect(effects.settled, -1, self._book)
        labels.labels(effects.moments(), self._book)
        for outcome, count in effects.outcomes.items():
            self._counters.joined[name, outcome] += count
        pairs = effects.pairs()
        if pairs is not None:
            unknown = labels.pairs([ids[place] for place in pairs.places], pairs, self._book)
            if unknown:
                self._counters.joined[name, "unknown_class"] += unknown
            delays = (pairs.labels["ms"] - pairs.predictions["ms"]) / 1000
            self._counters.label_delay.setdefault(name, LatencyCounts()).add(delays)

    def _reject(self, role: str, rejects: Iterable[tuple[int, Reject]], records: Records) -> None:
        for place, reject in rejects:
            self._counters.rejected[role, str(reject.reason)] += 1
            self._rejected.add(role, reject, records.row(place))


def by_model(decoded: Decoded[RowT]) -> Iterator[tuple[str, list[RowT], NDArray[np.int64], Sequence[int]]]:
    """Rows of each model with their times and places in the batch; nothing is copied where there is one model."""
    names = [row.model_name for row in decoded.rows]
    if len(set(names)) <= 1:
        if names:
            yield names[0], decoded.rows, decoded.timestamps, decoded.index
        return
    places: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        places.setdefault(name, []).append(i)
    for name, mine in places.items():
        yield name, at(decoded.rows, mine), decoded.timestamps[mine], at(decoded.index, mine)


def at(column: Sequence[ItemT], places: Sequence[int]) -> list[ItemT]:
    """Items at ascending places; the column itself where that is all of it."""
    if len(places) == len(column) and isinstance(column, list):
        return column
    return [column[i] for i in places]


def _of_models(counters: IngestCounters) -> dict[str, tuple[int, int]]:
    """By model: predictions, repeats included, and how many of them are repeats."""
    counted: Counter[str] = Counter()
    for (model, _), count in counters.predictions.items():
        counted[model] += count
    repeats = {model: count for (model, outcome), count in counters.joined.items() if outcome == "duplicate_prediction"}
    return {model: (counted[model] + (n := repeats.get(model, 0)), n) for model in counted.keys() | repeats}


def _summed_by_reason(rejected: Mapping[tuple[str, str], int]) -> Counter[str]:
    total: Counter[str] = Counter()
    for (_, reason), count in rejected.items():
        total[reason] += count
    return total
