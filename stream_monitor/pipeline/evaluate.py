"""The second fold: panes messages of one partition in; metric events, alerts, profiles and changed state out.

All state lives here and, record by record, in the compacted state topic; `restore` reads it back.  After an aborted
transaction the fold is thrown away and restored: there is no second way back.  Pure: time comes in as an argument.
What one transaction holds is bounded: a round that makes more due goes on in the next (round.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from stream_monitor.alerts.judge import ActiveAlert
from stream_monitor.errors import FormatError, StreamMonitorError
from stream_monitor.events.alert import AlertEvent
from stream_monitor.events.metric import MetricEvent
from stream_monitor.events.names import TimeBasis
from stream_monitor.events.unreadable import UNREADABLE
from stream_monitor.pipeline.admission import OTHER_SERIES, Limit
from stream_monitor.pipeline.health import Health
from stream_monitor.pipeline.learning import fits
from stream_monitor.pipeline.messages import Delta, Message, Progress, decode
from stream_monitor.pipeline.metric_events import MetricEvents
from stream_monitor.pipeline.model import ROLES, ModelFold
from stream_monitor.pipeline.outbox import Outbox
from stream_monitor.pipeline.policy import Policies
from stream_monitor.pipeline.publishing import NewestKey
from stream_monitor.pipeline.records import StateRecord, parse_key, record_key
from stream_monitor.pipeline.round import Cause, Round
from stream_monitor.pipeline.series import ModelMeta, Series, SeriesMeta
from stream_monitor.reference.profile import Profile
from stream_monitor.sketches.packed import PackedPredictions
from stream_monitor.windows.watermark import SourceProgress, Sources, read_watermark


@dataclass(frozen=True, slots=True)
class EvaluateSummary:
    """For the endpoint: watermarks in ms by (model, time basis), models of this partition, counters so far.

    `limited`: by (model, limit) increments booked as `__other__`, or events of models that are not kept.
    `held`: models at whose panes the fold stopped, since it does not know their schema.
    """

    watermarks_ms: Mapping[tuple[str, str], int]
    models: tuple[str, ...]
    limited: Mapping[tuple[str, str], int]
    repeats: int
    held: tuple[str, ...] = ()


class EvaluateOutput(NamedTuple):
    metrics: MetricEvents
    alerts: list[AlertEvent]
    profiles: list[Profile]
    state: list[StateRecord]
    summary: EvaluateSummary


class EvaluateFold:
    """One panes partition. `profiles`: those given by files, by model name."""

    def __init__(self, policies: Policies, profiles: Mapping[str, Profile], *, partition: int) -> None:
        self._policies = policies
        self._given = dict(profiles)
        self._partition = partition
        self._outbox = Outbox(policies.transaction_bytes)
        self._sources = Sources()
        self._health = Health(policies)
        self._models: dict[str, ModelFold] = {}
        self._position: int | None = None
        self._now_ms = 0
        self._repeats = 0
        self._held: str | None = None
        self._round: Round | None = None
        self._rest: Iterator[None] = iter(())  # of the round
        self._round_is_written = False

    # -- in ----------------------------------------------------------------------------------------------------

    def apply(self, value: bytes, offset: int, record_ms: int) -> bool:
        """Fold one panes message, or not, see `fold`. FormatError if it is none of ours."""
        return self.fold(decode(value), offset, record_ms)

    def fold(self, message: Message, offset: int, record_ms: int) -> bool:
        """Fold one decoded message; `record_ms` is its record's time and serves as the clock.

        False for the first one with a schema that is not known, and all that come after it: they are to be read again
        by a fold that knows it.  While the fold is not ready, this ends the round under way first, whatever its size.
        """
        for _ in self._rest:
            pass
        is_kept = self._is_kept(message)
        if self._held is not None or (is_kept and self._hold(message, offset, record_ms)):
            return False
        self._position = offset + 1
        self._now_ms = max(self._now_ms, record_ms)
        if isinstance(message, Delta):
            if self._is_repeat(message):
                self._repeats += 1
                return True
            if not is_kept:
                self._health.surplus(message.model, _events_in(message), record_ms)
                return True
            self._health.schema_known(message.model, self._now_ms)
            model = self._model(message.model)
            for pane in message.panes:
                model.apply(pane, offset, message.pane_ms)
        else:
            self._progress(message, record_ms)
        return True

    def tick(self, now_ms: int) -> None:
        """Let the wall clock close windows of models whose sources are all idle, and publish due revisions; or go on
        with the round under way."""
        self._now_ms = max(self._now_ms, now_ms)
        if self.is_behind:
            self.go_on()
        else:
            self._begin(Round(Cause.CLOCK, self._now_ms, list(self._models)))

    def finish(self) -> None:
        """The input has ended (backtest): close every window that has begun, publish every correction."""
        for _ in self._rest:
            pass
        self._begin(Round(Cause.END, self._now_ms, list(self._models)))

    @property
    def is_behind(self) -> bool:
        """True if a round is under way: it goes on once the outbox is drained."""
        return self._round is not None

    @property
    def is_ready(self) -> bool:
        """True if the next message can be folded into the transaction under way."""
        return self._round is None and not self._outbox.is_full

    def go_on(self) -> None:
        """Go on with the round under way, if there is one, for as long as the transaction has room."""
        if not self._outbox.is_full:
            for _ in self._rest:
                if self._outbox.is_full:
                    return

    # -- out ---------------------------------------------------------------------------------------------------

    def drain(self) -> EvaluateOutput:
        """What the transaction must hold: events, and the state records that changed."""
        outbox = self._outbox
        for alert in self._health.take():
            outbox.alert(alert)
        metrics = outbox.take_metrics(self._now_ms, lambda end: self._policies.is_historical(end, self._now_ms))
        state = sorted(StateRecord(record_key(*parts), self._record(parts)) for parts in outbox.touched)
        if self._position is not None:
            state.append(StateRecord(record_key("sources"), msgspec.msgpack.encode(self._sources)))
            state.append(StateRecord(record_key("health"), self._health.to_bytes()))
        if self._round is not None or self._round_is_written:
            value = None if self._round is None else msgspec.msgpack.encode(self._round)
            state.append(StateRecord(record_key("round"), value))
            self._round_is_written = self._round is not None
        output = EvaluateOutput(metrics, outbox.take_alerts(), outbox.profiles, state, self._summary())
        outbox.profiles, outbox.touched = [], set()
        return output

    def is_awaited(self) -> bool:
        """True if there is something that a reader of metrics or alerts waits for."""
        return self._outbox.is_awaited()

    def active_alerts(self) -> dict[str, ActiveAlert]:
        """Alerts that are not quiet, by fingerprint."""
        of_models = {f: alert for model in self._models.values() for f, alert in model.judge.active.items()}
        return of_models | self._health.active(self._now_ms)

    def newest_events(self) -> list[MetricEvent]:
        """Figures of the newest closed windows of all overall series, without bins: what gauges show."""
        return [event for model in self._models.values() for events in model.newest.values() for event in events]

    @classmethod
    def restore(
        cls,
        policies: Policies,
        profiles: Mapping[str, Profile],
        records: Iterable[StateRecord],
        *,
        partition: int,
        position: int | None = None,
    ) -> EvaluateFold:
        """The fold that wrote these records, newest value of each key, tombstones left out."""
        fold = cls(policies, profiles, partition=partition)
        fold._position = position
        for record in sorted(records, key=lambda record: _rank(record.key)):
            if record.value is not None:
                fold._restored(record.key, record.value)
        for model in fold._models.values():
            model.resume()
        if fold._round is not None:
            fold._round_is_written = True
            fold._rest = fold._turns(fold._round)
        return fold

    # -- inside ------------------------------------------------------------------------------------------------

    def _begin(self, new: Round) -> None:
        self._round = new
        self._rest = self._turns(new)
        self.go_on()

    def _turns(self, now: Round) -> Iterator[None]:
        """The models' turns; stops where a transaction may end."""
        while now.left:
            model = self._model(now.left[0])
            yield from model.advance(self._sources, now)
            if now.cause is Cause.PROGRESS:
                self._health.held(model.name, self._holding(model), now.now_ms)
            del now.left[0]
            now.closing = None
        self._round = None

    def _model(self, name: str) -> ModelFold:
        model = self._models.get(name)
        if model is None:
            policy = self._policies.model(name)
            model = self._models[name] = ModelFold(policy, self._policies, self._given.get(name), self._outbox)
        return model

    def _is_kept(self, message: Message) -> bool:
        """False for a model that registers itself beyond the limit: each ingest worker lets as many pass, in each of
        its lives."""
        if not isinstance(message, Delta) or message.model in self._models or message.model in self._policies.models:
            return True
        unlisted = sum(name not in self._policies.models for name in self._models)
        return unlisted < self._policies.max_models

    def _hold(self, message: Message, offset: int, record_ms: int) -> bool:
        """Whether the fold has to stop at this message."""
        if not isinstance(message, Delta):
            return False
        unknown = self._model(message.model).unknown_schemas(message.panes)
        if not unknown or self._is_repeat(message):
            return False
        self._held = message.model
        self._position = offset
        self._now_ms = max(self._now_ms, record_ms)
        self._health.schema_unknown(message.model, unknown, record_ms)
        return True

    def _is_repeat(self, delta: Delta) -> bool:
        return any(
            (known := self._known(delta, r.role, r.partition)) is not None and r.start < known for r in delta.ranges
        )

    def _known(self, message: Message, role: str, partition: int) -> int | None:
        return self._sources.position(role, partition, message.topic_ids.get(role, ""))

    def _progress(self, progress: Progress, record_ms: int) -> None:
        for source in progress.sources:
            known = self._known(progress, source.role, source.partition)
            if known is not None and source.start < known:
                self._repeats += 1
                return
        for source in progress.sources:
            known = self._known(progress, source.role, source.partition)
            topic_id = progress.topic_ids.get(source.role, "")
            state = self._sources.state(source.role, source.partition)
            if self._partition == 0 and state is not None and state.is_of_another(topic_id):
                self._health.made_anew(source.role, record_ms)
            if known is not None and source.start > known:
                self._health.gap(source.role, source.partition, known, source.start, record_ms)
            self._sources.observe(self._ours(source), record_ms, topic_id)
        for role, count in progress.counts.items():
            before = self._sources.count(role, count, progress.topic_ids.get(role, ""))
            if self._partition == 0 and before:
                self._health.partitions_added(role, before, count, record_ms)
        self._health.end_notices(record_ms)
        if self._partition == 0:
            self._health.progress(progress.events, sum(progress.rejects.values()), record_ms)
        for name, model in self._models.items():
            predictions, repeats = progress.predictions.get(name, (0, 0))
            self._health.repeated(name, repeats, predictions, record_ms)
            self._health.late(name, *model.take_arrivals(), record_ms)
        self._begin(Round(Cause.PROGRESS, record_ms, list(self._models)))

    def _ours(self, source: SourceProgress) -> SourceProgress:
        """What it says of the models there are here: of others nothing is kept. A flush writes its deltas first."""
        newest = {name: moment for name, moment in source.newest_ms.items() if name in self._models}
        active = [name for name in source.active if name in self._models]
        return msgspec.structs.replace(source, newest_ms=newest, active=active)

    def _holding(self, model: ModelFold) -> tuple[tuple[str, int], ...]:
        policy = model.policy
        return read_watermark(
            self._sources,
            policy.name,
            ROLES[TimeBasis.LABEL if policy.joins_labels else TimeBasis.PREDICTION],
            max_out_of_order_ms=policy.max_out_of_order_ms,
            silent_after_ms=self._policies.progress_timeout_ms,
        ).holding

    def _record(self, parts: tuple[str | int | None, ...]) -> bytes | None:
        kind, name = str(parts[0]), str(parts[1])
        model = self._models[name]
        if kind == "model":
            return msgspec.msgpack.encode(model.meta)
        if kind == "profile":
            return None if model.learner.profile is None else model.learner.profile.to_json()
        if kind == "reference":
            reference = model.references.get(str(parts[2]))
            return None if reference is None else reference.to_json()
        if kind == "bootstrap":
            return model.learner.to_bytes()
        if kind == "alert":
            alert = model.judge.active.get(str(parts[2]))
            return None if alert is None else alert.to_bytes()
        if kind == "detector":
            return model.detectors.to_bytes(str(parts[2]), int(parts[3] or 0))
        if kind == "newest":
            events = model.newest.get(_newest_key(parts[2:]))
            return None if events is None else msgspec.json.encode(events)
        series = model.find(parts[2], parts[3])
        if series is None:
            return None
        if kind == "series":
            return msgspec.msgpack.encode(series.meta)
        return series.panes(TimeBasis(str(parts[4]))).record(int(parts[5] or 0))

    def _restored(self, key: bytes, value: bytes) -> None:
        """FormatError for a record that no fold wrote."""
        try:
            self._take_up(parse_key(key), value)
        except FormatError as error:
            raise FormatError(
                f"the state record {key[:80]!r} cannot be taken up: {error.message}",
                mend=error.mend or "check that nothing else writes to the state topic",
            ) from error
        except StreamMonitorError:
            raise
        except (*UNREADABLE, ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
            raise FormatError(
                f"the state record {key[:80]!r} of {len(value)} bytes cannot be read ({type(error).__name__}: {error})",
                mend="check that nothing else writes to the state topic",
            ) from error

    def _take_up(self, parts: list[str | int | None], value: bytes) -> None:
        kind = parts[0]
        if kind == "sources":
            self._sources = msgspec.msgpack.decode(value, type=Sources)
            self._now_ms = self._sources.heard_ms
            return
        if kind == "health":
            self._health.restore(value)
            return
        if kind == "round":
            self._round = msgspec.msgpack.decode(value, type=Round)
            return
        model = self._model(str(parts[1]))
        if kind == "model":
            model.meta = ModelMeta.from_bytes(value)
            self._outbox.touched.discard(tuple(parts))
        elif kind == "profile":
            profile = Profile.from_json(value)
            model.refer_to(profile)
            if model.learner.profile is None and fits(profile, model.policy, self._policies.hash_key):
                model.learner.profile = profile
        elif kind == "reference":
            model.refer_to(Profile.from_json(value))
            if model.references.get(str(parts[2])) is not None:
                self._outbox.touched.discard(tuple(parts))
        elif kind == "bootstrap":
            model.learner.restore(value)
        elif kind == "alert":
            model.judge.active[str(parts[2])] = ActiveAlert.from_bytes(value)
        elif kind == "detector":
            model.detectors.restore(str(parts[2]), int(parts[3] or 0), value)
        elif kind == "newest":
            model.newest[_newest_key(parts[2:])] = msgspec.json.decode(value, type=list[MetricEvent])
        elif kind == "series":
            model.add(Series(msgspec.msgpack.decode(value, type=SeriesMeta)))
        elif kind == "pane":
            series = model.find(parts[2], parts[3])
            assert series is not None, "series records are read before panes"
            if parts[4] not in model.bases:
                self._outbox.touch(*parts)
                return
            start = model.restore_pane(series, TimeBasis(str(parts[4])), int(parts[5] or 0), value)
            if start != parts[5]:
                # Written under other windows: it goes into the pane that now holds its start.
                self._outbox.touch(*parts)
                self._outbox.touch(*parts[:5], start)

    def _summary(self) -> EvaluateSummary:
        return EvaluateSummary(
            watermarks_ms={
                (name, basis): mark for name, model in self._models.items() for basis, mark in model.meta.marks.items()
            },
            models=tuple(self._models),
            limited={
                **{(name, each): n for name, model in self._models.items() for each, n in model.meta.limited.items()},
                (OTHER_SERIES, Limit.MODELS): self._health.surplus_events,
            },
            repeats=self._repeats,
            held=() if self._held is None else (self._held,),
        )


def _events_in(message: Delta) -> int:
    """Predictions that a delta counts."""
    predicted = (p.data for p in message.panes if p.basis is TimeBasis.PREDICTION and not p.segment)
    return sum(PackedPredictions.read(data).n for data in predicted)


def _newest_key(parts: Sequence[str | int | None]) -> NewestKey:
    version, basis, size, slide = parts
    return (None if version is None else str(version), str(basis), int(size or 0), int(slide or 0))


def _rank(key: bytes) -> int:
    """Series before their panes; all else anyhow."""
    return 1 if key.startswith(b'["pane"') else 0
