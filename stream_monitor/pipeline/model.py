"""One model in evaluate: deltas into panes, windows closed as the watermark passes them, corrections, expiry.

A window closes once, at watermark ≥ end; then rules and detectors see it.  Until `allowed_lateness` later it is
revised.  After that its events are `too_late`, increments that need no state.  If every source is idle, windows close
without the watermark moving, so nothing that comes afterwards is late for that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from heapq import merge

from stream_monitor.events.metric import MetricEvent
from stream_monitor.events.names import TimeBasis
from stream_monitor.metrics.figure import Figure
from stream_monitor.pipeline.admission import Admission, Limit
from stream_monitor.pipeline.detecting import Detectors
from stream_monitor.pipeline.due import due_windows, idle_end
from stream_monitor.pipeline.forgetting import Forgetting
from stream_monitor.pipeline.judging import Change, Judge
from stream_monitor.pipeline.learning import Learner
from stream_monitor.pipeline.messages import PaneDelta
from stream_monitor.pipeline.metric_events import place_of
from stream_monitor.pipeline.outbox import Outbox
from stream_monitor.pipeline.policy import ModelPolicy, Policies
from stream_monitor.pipeline.publishing import NewestKey, Publisher
from stream_monitor.pipeline.references import References
from stream_monitor.pipeline.round import Cause, Closing, Round, SpecKey
from stream_monitor.pipeline.series import (
    BASES,
    ModelMeta,
    Series,
    SeriesMeta,
    WindowKey,
    is_over,
    window_key,
)
from stream_monitor.pipeline.whole import is_whole, note_cut, take_effect
from stream_monitor.reference.profile import Profile
from stream_monitor.sketches.packed import PackedLabels, PackedPredictions
from stream_monitor.sketches.pane import PredictionPane
from stream_monitor.windows.grid import Window, WindowSpec, pane_start, windows_holding
from stream_monitor.windows.watermark import Sources, read_watermark

ROLES: dict[TimeBasis, tuple[str, ...]] = {
    TimeBasis.PREDICTION: ("predictions",),
    TimeBasis.LABEL: ("predictions", "labels"),
}
NEWEST_ROLE = {TimeBasis.PREDICTION: ("predictions",), TimeBasis.LABEL: ("labels",)}

SeriesId = tuple[str | None, tuple[tuple[str, str], ...]]


class ModelFold:
    """State of one model. Everything it publishes or changes goes to the outbox it is given."""

    def __init__(self, policy: ModelPolicy, policies: Policies, profile: Profile | None, outbox: Outbox) -> None:
        self.policy = policy
        self._policies = policies
        self._outbox = outbox
        self.meta = ModelMeta()
        self.series: dict[SeriesId, Series] = {}
        self._admission = Admission(most_versions=policies.max_versions, most_series=policies.max_series)
        self._by_parts: dict[tuple[object, object], Series] = {}
        self.learner = Learner(policy, profile, policies.hash_key)
        self.detectors = Detectors(policy)
        self.references = References()
        if profile is not None:
            self.refer_to(profile, in_force=True)
        self._publisher = Publisher(policy, policies, self.learner, self.references, outbox)
        self.judge = Judge(policy, policies)
        self._forgetting = Forgetting(policy, outbox)
        self._pane_ms = policy.pane_ms
        self._grid = WindowSpec(policy.pane_ms, policy.pane_ms)
        take_effect(self.meta, self._spec_keys(), self._pane_ms, {})
        self._touch()
        self._events = self._late = 0

    @property
    def newest(self) -> dict[NewestKey, list[MetricEvent]]:
        return self._publisher.newest

    @property
    def name(self) -> str:
        return self.policy.name

    @property
    def bases(self) -> tuple[TimeBasis, ...]:
        return BASES if self.policy.joins_labels else BASES[:1]

    # -- deltas ------------------------------------------------------------------------------------------------

    def refer_to(self, profile: Profile, *, in_force: bool = False) -> None:
        """Know a profile that panes may be counted by."""
        for profile_id in self.references.add(profile, in_force=in_force):
            self._outbox.touch("reference", self.name, profile_id)

    def unknown_schemas(self, panes: Iterable[PaneDelta]) -> list[str]:
        """Schemas of these panes that no profile describes that the model has or had."""
        found: set[str] = set()
        for pane in panes:
            if pane.basis in self.bases:
                found.update(schemas_of(pane.basis, pane.data))
        return self.references.unknown(found, self.learner.profile)

    def apply(self, delta: PaneDelta, offset: int, width_ms: int = 0) -> None:
        """Merge one pane's increments, or count them as too late, window by window. `width_ms`: of the pane as ingest
        cut it, which may have been by another config; 0: as this one."""
        if delta.basis not in self.bases:
            return
        start = pane_start(delta.start_ms, self._pane_ms)
        series = self._series(delta.version, delta.segment)
        if delta.basis is TimeBasis.PREDICTION:
            predictions = series.prediction_panes.read(delta.data)
            self._note_cut(delta.basis, delta.start_ms, width_ms, predictions.n)
            self._apply_predictions(series, start, predictions, offset)
        else:
            labels = series.label_panes.read(delta.data)
            # A deadline lies where no event is.
            self._note_cut(delta.basis, delta.start_ms, width_ms, labels.joined + labels.labels)
            self._apply_labels(series, start, labels, offset)

    def _note_cut(self, basis: TimeBasis, start_ms: int, width_ms: int, events: int) -> None:
        if events and note_cut(self.meta, basis, start_ms, width_ms, self._pane_ms):
            self._touch()

    def _apply_predictions(self, series: Series, start: int, delta: PackedPredictions, offset: int) -> None:
        alive = self._note_windows(TimeBasis.PREDICTION, series, start, delta.n, offset)
        if delta.raw is not None:
            pane = PredictionPane()
            pane.add_packed(delta)
            if self.learner.learn(series.is_overall, start, pane):
                self._outbox.touch("bootstrap", self.name)
        if self.policy.joins_labels:
            series.meta.predicted[start] = series.meta.predicted.get(start, 0) + delta.n
            self._touch_series(series)
        if delta.n:
            self._seen(series, TimeBasis.PREDICTION, start)
        if alive:
            series.prediction_panes.add(start, delta)
            self._outbox.touch("pane", self.name, *series.parts, TimeBasis.PREDICTION, start)

    def _apply_labels(self, series: Series, start: int, delta: PackedLabels, offset: int) -> None:
        # What a window counts: pairs, or in the model-wide series labels.
        events = delta.labels if series.meta.version is None else delta.joined
        alive = self._note_windows(TimeBasis.LABEL, series, start, events, offset)
        # A deadline too: of a series without any label it has to be said that labels expire.
        if events or delta.waiting or delta.deadlines > 0:
            self._seen(series, TimeBasis.LABEL, start)
        if alive:
            series.label_panes.add(start, delta if self._is_sampled(series, start) else delta.without_sample())
            self._outbox.touch("pane", self.name, *series.parts, TimeBasis.LABEL, start)
        else:
            series.carry_labels(delta.joined, delta.deadlines)

    def _note_windows(self, basis: TimeBasis, series: Series, start: int, events: int, offset: int) -> bool:
        """Tell each window that holds the pane: an open one has nothing to do, a closed one is to be published anew,
        for one that is over the events are too late. True if any of them still takes the pane."""
        settled = self._settled(basis)
        if series.is_overall and (basis is TimeBasis.PREDICTION or series.meta.version is None):
            self._arrived(start, events, settled)
        least_end = start + self._pane_ms  # of a window that holds it
        if all(end <= start for end in self.meta.closed.values()) and (settled is None or settled < least_end):
            return True
        alive = False
        for window in windows_holding(self.policy.windows, start):
            if not is_whole(self.meta, basis, window):
                continue
            # One whose correction waits takes the pane yet: after a restart with less lateness there are such.
            waits = window_key(basis, window) in series.meta.dirty
            if settled is not None and settled >= window.end_ms and not waits:
                if events:
                    self._outbox.too_late(place_of(self.name, series, basis, window), events, offset)
                self._pass_over(basis, window.spec, settled)
                continue
            alive = True
            closed = self.meta.closed.get((str(basis), window.spec.size_ms, window.spec.slide_ms))
            if closed is not None and window.end_ms <= closed and series.is_whole(basis, window):
                series.meta.dirty.add(window_key(basis, window))
        if self.policy.joins_labels:
            # Pending is a running sum: what comes late changes it at the end of every later window.
            series.meta.dirty |= {
                key
                for key in series.meta.published
                if key[0] == "label" and key[3] + key[1] > start and not is_over(key, self._settled(TimeBasis.LABEL))
            }
        self._touch_series(series)
        return alive

    def _arrived(self, start: int, events: int, settled: int | None) -> None:
        """Count events of a pane, and whether the window of theirs that ends first is over."""
        self._events += events
        ends = (spec.first_end_after(start) for spec in self.policy.windows)
        if settled is not None and settled >= min(ends):
            self._late += events

    def take_arrivals(self) -> tuple[int, int]:
        """Events that were too late for a window of theirs, and all, since the last time: each event once."""
        taken = self._late, self._events
        self._late = self._events = 0
        return taken

    def _pass_over(self, basis: TimeBasis, spec: WindowSpec, over_ms: int) -> None:
        """Where no window of this size has closed yet, none that ends by `over_ms` may: what it holds is too late. A
        larger window can still take the pane, so the pane alone would not say so."""
        key = (str(basis), spec.size_ms, spec.slide_ms)
        if key not in self.meta.closed:
            self.meta.closed[key] = pane_start(over_ms, spec.slide_ms)
            self._touch()

    def _is_sampled(self, series: Series, start: int) -> bool:
        """True if detectors will ask for the pane's sample: they see each overall series' pane once, as it closes."""
        if not self.policy.detectors or not series.is_overall or series.meta.version is None:
            return False
        closed = self.meta.closed.get((str(TimeBasis.LABEL), self._pane_ms, self._pane_ms))
        return closed is None or closed <= start

    def _seen(self, series: Series, basis: TimeBasis, start: int) -> None:
        if not series.meta.last_ms:
            self._forgetting.series_came()
        if series.seen(basis, start):
            self._touch_series(series)

    def _series(self, version: str | None, segment: dict[str, str]) -> Series:
        """The series that an increment is booked to."""
        series = self.series.get(_id(version, segment))
        if series is not None:
            return series
        kept = self._admission.version(version)
        if kept != version:
            self._limited(Limit.VERSIONS)
            series = self.series.get(_id(kept, segment))
        if series is None:
            admitted = self._admission.segment(segment)
            if admitted is not segment:
                self._limited(Limit.SERIES)
            series = self.series.get(_id(kept, admitted))
            if series is None:
                series = Series(SeriesMeta(kept, dict(admitted)))
                self._put(series)
                self._touch_series(series)
        return series

    def _limited(self, limit: Limit) -> None:
        self.meta.limited[limit] = self.meta.limited.get(limit, 0) + 1
        self._touch()

    def _put(self, series: Series) -> None:
        self.series[_id(series.meta.version, series.meta.segment)] = series
        self._by_parts[series.parts] = series
        self._admission.came(series.meta.version, series.meta.segment)

    def _drop(self, series: Series) -> None:
        del self.series[_id(series.meta.version, series.meta.segment)], self._by_parts[series.parts]
        self._admission.went(series.meta.version, series.meta.segment)
        self._touch_series(series)

    def find(self, version: object, segment_key: object) -> Series | None:
        """The series of a state key."""
        return self._by_parts.get((version, segment_key))

    def add(self, series: Series) -> None:
        """Take up a restored series; what it held of a time basis that is not watched any more is forgotten."""
        meta = series.meta
        meta.published = {key: revision for key, revision in meta.published.items() if key[0] in self.bases}
        meta.dirty = {key for key in meta.dirty if key[0] in self.bases}
        self._put(series)

    def restore_pane(self, series: Series, basis: TimeBasis, cut_ms: int, data: bytes) -> int:
        """Take up a pane of a state record, which was written for the start `cut_ms`; returns the start it has now."""
        start = pane_start(cut_ms, self._pane_ms)
        self.references.saw(schemas_of(basis, data))
        if basis is TimeBasis.PREDICTION:
            predictions = series.prediction_panes.read(data)
            self._note_cut(basis, cut_ms, self.meta.pane_ms, predictions.n)
            series.prediction_panes.add(start, predictions)
        else:
            pane = series.label_panes.read(data)
            self._note_cut(basis, cut_ms, self.meta.pane_ms, pane.joined + pane.labels)
            series.label_panes.add(start, pane if self._is_sampled(series, start) else pane.without_sample())
        return start

    def resume(self) -> None:
        """All records are taken up: from now on the windows are those of this config."""
        lost: dict[str, int] = {}
        watched = {key[0] for key in self.meta.specs}
        for basis in BASES:
            moments = [
                s.meta.gone_ms[basis] + self.meta.pane_ms for s in self.series.values() if basis in s.meta.gone_ms
            ]
            if (settled := self._settled(basis)) is not None:
                moments.append(pane_start(settled, self.meta.pane_ms or 1))
            # Labels that came before they were watched are in no pane.
            if basis not in watched and (mark := self.meta.marks.get(TimeBasis.PREDICTION)) is not None:
                moments.append(mark)
            if moments:
                lost[basis] = max(moments)
        if take_effect(self.meta, self._spec_keys(), self._pane_ms, lost):
            self._touch()

    # -- time --------------------------------------------------------------------------------------------------

    def _settled(self, basis: TimeBasis) -> int | None:
        """All windows that end by this can no longer change, not even if the config allows more lateness later."""
        mark = self.meta.marks.get(basis)
        if mark is None:
            return None
        settled, known = mark - self.policy.allowed_lateness_ms, self.meta.settled.get(basis)
        if known is None or settled > known:
            known = self.meta.settled[basis] = settled
            self._touch()
        return known

    def advance(self, sources: Sources, turn: Round) -> Iterator[None]:
        """Close what is due, revise what changed, forget what is over.

        Stops after each series for whoever drives it, who may make a transaction of what there is by then, and may
        fold nothing before the end.  A turn that has begun (`turn.closing`) is gone on with.
        """
        if turn.closing is None:
            turn.closing = Closing(dict(self._targets(sources, turn)))
        yield from self._close_due(turn.closing, turn.now_ms)
        yield from self._revise(turn.closing, turn)
        self._forget(turn.now_ms)
        profile = self.learner.finish(sources.newest_ms(self.name, ("predictions",)), turn.now_ms)
        if profile is not None:
            self.refer_to(profile, in_force=True)
            self._outbox.profiles.append(profile)
            self._outbox.touch("profile", self.name)
            self._outbox.touch("bootstrap", self.name)

    def _targets(self, sources: Sources, turn: Round) -> Iterator[tuple[SpecKey, int]]:
        """Up to where the windows of each time basis, size and slide may close; moves the watermarks."""
        now_ms, by_clock, at_end = turn.now_ms, turn.cause is Cause.CLOCK, turn.cause is Cause.END
        for basis in self.bases:
            reading = read_watermark(
                sources,
                self.name,
                ROLES[basis],
                max_out_of_order_ms=self.policy.max_out_of_order_ms,
                silent_after_ms=self._policies.progress_timeout_ms,
                now_ms=now_ms if by_clock else None,
            )
            mark = self.meta.marks.get(basis)
            if reading.watermark_ms is not None and (mark is None or reading.watermark_ms > mark):
                mark = self.meta.marks[basis] = reading.watermark_ms
                self._touch()
            for spec in self._specs(basis):
                upto = mark
                if at_end or (by_clock and reading.all_idle):
                    newest = sources.newest_ms(self.name, NEWEST_ROLE[basis])
                    upto = idle_end(spec, mark, newest, None if at_end else now_ms, self.policy, self._policies)
                if upto is not None and self._is_due(basis, spec, upto):
                    yield (str(basis), spec.size_ms, spec.slide_ms), upto

    def _spec_keys(self) -> set[SpecKey]:
        return {(str(basis), spec.size_ms, spec.slide_ms) for basis in self.bases for spec in self._specs(basis)}

    def _specs(self, basis: TimeBasis) -> list[WindowSpec]:
        specs = list(self.policy.windows)
        if basis is TimeBasis.LABEL and self.policy.detectors and self._grid not in specs:
            specs.append(self._grid)
        return specs

    def _is_due(self, basis: TimeBasis, spec: WindowSpec, upto: int) -> bool:
        """Whether an end lies between what is closed and `upto`; settles where a new window size begins."""
        key = (str(basis), spec.size_ms, spec.slide_ms)
        closed = self.meta.closed.get(key)
        if closed is not None:
            return spec.first_end_after(closed) <= upto
        first = min((start for series in self.series.values() for start in series.panes(basis)), default=None)
        if first is None or spec.first_end_after(first) > upto:
            return False
        # A window size new in the config begins with the first window of which no pane is gone.
        gone = [moment for s in self.series.values() if (moment := s.meta.gone_ms.get(basis)) is not None]
        self.meta.closed[key] = max([first, *(pane_start(moment, spec.slide_ms) + spec.size_ms for moment in gone)])
        self._touch()
        return True

    def _close_due(self, closing: Closing, now_ms: int) -> Iterator[None]:
        """All windows up to the targets, in the order of their ends, by prediction time before by label time."""
        # A restart in between may have brought another config, or two: a size that was gone meanwhile begins anew.
        known = self._spec_keys() & self.meta.closed.keys()
        targets = {key: upto for key, upto in closing.targets.items() if key in known}
        due = [self._due(key, upto) for key, upto in targets.items()]
        for end, order, spec, start in merge(*due):
            basis = self.bases[order]
            yield from self._close(basis, Window(spec, start), closing, now_ms)
            self.meta.closed[str(basis), spec.size_ms, spec.slide_ms] = end
            self._touch()
        for key, upto in targets.items():
            self.meta.closed[key] = upto - upto % key[2]
            self._touch()

    def _due(self, key: SpecKey, upto: int) -> Iterator[tuple[int, int, WindowSpec, int]]:
        basis, spec = TimeBasis(key[0]), WindowSpec(*key[1:])
        starts = sorted({start for series in self.series.values() for start in series.panes(basis)})
        retire_ms, alive, order = self.policy.retire_after_ms, self.series.values(), self.bases.index(basis)
        windows = due_windows(
            spec, self.meta.closed[key], upto, starts, lambda w: any(s.is_live(basis, w, retire_ms) for s in alive)
        )
        whole = (window for window in windows if is_whole(self.meta, basis, window))
        return ((window.end_ms, order, spec, window.start_ms) for window in whole)

    def _close(self, basis: TimeBasis, window: Window, closing: Closing, now_ms: int) -> Iterator[None]:
        key = window_key(basis, window)
        # After a restart in its middle: the judge has to see all series at once, so those published are shown again.
        through = closing.through if closing.window == key else None
        closing.window = key
        self.judge.begin(basis, window)
        historical = self._policies.is_historical(window.end_ms, now_ms)
        for series in self._in_order(self.series.values()):
            if not series.is_live(basis, window, self.policy.retire_after_ms):
                continue
            figures = self._publisher.figures(series, basis, window) if window.spec in self.policy.windows else []
            if through is not None and series.key <= through:
                if series.is_overall and series.meta.version is not None:
                    figures += closing.detected.get(series.meta.version, [])
                self.judge.show(series, figures, self._publisher.events(series, basis, window, 0, now_ms), historical)
                continue
            if basis is TimeBasis.LABEL and window.spec == self._grid:
                figures += self._detected(series, window.start_ms, closing)
            events = self._publisher.publish(series, basis, window, figures, 0, now_ms)
            if figures and window.spec in self.policy.windows:
                series.meta.published[key] = 0
                self._touch_series(series)
            self.judge.show(series, figures, events, historical)
            closing.through = series.key
            yield
        self._take(self.judge.end())
        closing.through, closing.detected = None, {}

    def _detected(self, series: Series, start: int, closing: Closing) -> list[Figure]:
        """What detectors say to a closed pane, whose sample has served its turn."""
        version = series.meta.version
        if version is None or not series.is_overall:
            return []
        sample = series.label_panes.take_sample(start)
        if sample is None:
            return []
        self._outbox.touch("pane", self.name, *series.parts, TimeBasis.LABEL, start)
        detected = self.detectors.see(version, sample)
        if detected:
            closing.detected[version] = detected
        for index in self.detectors.places() if detected else ():
            self._outbox.touch("detector", self.name, version, index)
        return detected

    def _take(self, changes: list[Change]) -> None:
        for event, fingerprint in changes:
            if event is not None:
                self._outbox.alert(event)
            self._outbox.touch("alert", self.name, fingerprint)

    def _revise(self, closing: Closing, turn: Round) -> Iterator[None]:
        """Publish closed windows that changed: at most once an interval, or now where they are about to expire."""
        now_ms = turn.now_ms
        timely = turn.cause is Cause.END or now_ms - self.meta.revised_ms >= self._policies.revision_interval_ms
        for series in self._in_order(series for series in self.series.values() if series.meta.dirty):
            for key in sorted(series.meta.dirty):
                if timely or self._is_over(key) or not self._is_kept(key):
                    series.meta.dirty.discard(key)
                    self._revise_window(series, key, now_ms)
                    self._touch_series(series)
                    closing.revised = timely
                    yield
        if closing.revised:
            self.meta.revised_ms = now_ms
            self._touch()

    def _revise_window(self, series: Series, key: WindowKey, now_ms: int) -> None:
        basis, size, slide, start = key
        window = Window(WindowSpec(size, slide), start)
        if not is_whole(self.meta, TimeBasis(basis), window):
            return
        revision = series.meta.published.get(key, -1) + 1
        figures = self._publisher.figures(series, TimeBasis(basis), window)
        self._publisher.publish(series, TimeBasis(basis), window, figures, revision, now_ms)
        if figures:
            series.meta.published[key] = revision

    def _is_over(self, key: WindowKey) -> bool:
        return is_over(key, self._settled(TimeBasis(key[0])))

    def _is_kept(self, key: WindowKey) -> bool:
        """False for a window of a former config: nothing keeps its panes from expiring."""
        return WindowSpec(key[1], key[2]) in self.policy.windows

    def _forget(self, now_ms: int) -> None:
        """Let go what can no longer change; with the last series of a version its alerts end, and so do those on
        windows of a former config."""
        for basis in self.bases:
            if (settled := self._settled(basis)) is not None:
                self._forgetting.expire(self.series.values(), basis, settled, self.meta.closed)
        mark = self.meta.marks.get(TimeBasis.PREDICTION)
        if mark is None:
            return
        historical = self._policies.is_historical(mark, now_ms)
        self._take(self.judge.end_unwatched(mark, historical=historical))
        silent = self._forgetting.silent(self.series.values(), mark)
        for series in silent:
            self._drop(series)
        versions = {series.meta.version for series in silent} - {version for version, _ in self.series} - {None}
        for version in sorted(map(str, versions)):
            self._take(self.judge.retire(version, mark, historical=historical))
            self._publisher.drop(version)
            for index in self.detectors.drop(version):
                self._outbox.touch("detector", self.name, version, index)

    def _in_order(self, series: Iterable[Series]) -> list[Series]:
        return sorted(series, key=lambda each: each.key)

    def _touch_series(self, series: Series) -> None:
        self._outbox.touch("series", self.name, *series.parts)

    def _touch(self) -> None:
        self._outbox.touch("model", self.name)


def schemas_of(basis: TimeBasis, data: bytes) -> Iterable[str]:
    """The schemas that a written pane is counted by. Costs 1 µs."""
    return PackedPredictions.read(data).binned if basis is TimeBasis.PREDICTION else PackedLabels.read(data).scores


def _id(version: str | None, segment: Mapping[str, str]) -> SeriesId:
    return version, tuple(sorted(segment.items()))
