"""One model in evaluate: deltas into panes, windows closed as the watermark passes them, corrections, expiry.

A window closes once, at watermark ≥ end; then rules and detectors see it.  Until `allowed_lateness` later it is
revised.  After that its events are `too_late`, increments that need no state.  If every source is idle, windows close
without the watermark moving, so nothing that comes afterwards is late for that.
"""

from __future__ import annotations

import msgspec

from stream_monitor.events.metric import MetricEvent
from stream_monitor.events.names import TimeBasis
from stream_monitor.pipeline.detecting import Detectors
from stream_monitor.pipeline.due import due_windows, idle_end
from stream_monitor.pipeline.judging import Change, Judge
from stream_monitor.pipeline.learning import Learner
from stream_monitor.pipeline.messages import PaneDelta
from stream_monitor.pipeline.outbox import Outbox, place_of
from stream_monitor.pipeline.policy import ModelPolicy, Policies
from stream_monitor.pipeline.publishing import NewestKey, Publisher
from stream_monitor.pipeline.series import (
    BASES,
    ModelMeta,
    Series,
    SeriesMeta,
    WindowKey,
    pane_dies_at,
    window_key,
)
from stream_monitor.reference.profile import Profile
from stream_monitor.sketches.pane import LabelPane, PredictionPane
from stream_monitor.windows.grid import Window, WindowSpec, pane_start, windows_holding
from stream_monitor.windows.watermark import Sources, read_watermark

OTHER_SERIES = "__other__"
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
        self.learner = Learner(policy, profile, policies.hash_key)
        self.detectors = Detectors(policy)
        self._publisher = Publisher(policy, policies, self.learner, outbox)
        self.judge = Judge(policy, policies)
        self._grid = WindowSpec(policy.pane_ms, policy.pane_ms)

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

    def apply(self, delta: PaneDelta, offset: int) -> None:
        """Merge one pane's increments, or count them as too late, window by window."""
        if delta.basis not in self.bases:
            return
        # Ingest may have cut its panes by another config.
        basis, start = delta.basis, pane_start(delta.start_ms, self.policy.pane_ms)
        series = self._series(delta.version, delta.segment)
        pane = (PredictionPane if basis is TimeBasis.PREDICTION else LabelPane).from_bytes(delta.data)
        events = _events(pane, series)
        mark = self.meta.marks.get(basis)
        lateness = self.policy.allowed_lateness_ms
        alive = False
        for window in windows_holding(self.policy.windows, start):
            if mark is not None and mark >= window.end_ms + lateness:
                if events:
                    self._outbox.too_late(place_of(self.name, series, basis, window), events, offset)
                continue
            alive = True
            closed = self.meta.closed.get((str(basis), window.spec.size_ms, window.spec.slide_ms))
            if closed is not None and window.end_ms <= closed and series.is_whole(basis, window):
                series.meta.dirty.add(window_key(basis, window))
        if self.policy.joins_labels:
            # Pending is a running sum: what comes late changes it at the end of every later window.
            series.meta.dirty |= {key for key in series.meta.published if key[0] == "label" and key[3] + key[1] > start}
        if isinstance(pane, PredictionPane):
            if self.learner.learn(series.is_overall, start, pane):
                self._outbox.touch("bootstrap", self.name)
            if self.policy.joins_labels:
                series.meta.predicted[start] = series.meta.predicted.get(start, 0) + pane.n
        # A deadline too: of a series without any label it has to be said that labels expire.
        if events or (isinstance(pane, LabelPane) and (pane.waiting or pane.deadlines > 0)):
            series.seen(basis, start)
        if alive:
            if isinstance(pane, PredictionPane):
                series.merge_predictions(start, pane)
            else:
                series.merge_labels(start, pane)
            self._outbox.touch("pane", self.name, *_parts(series), str(basis), start)
        elif isinstance(pane, LabelPane):
            series.carry_labels(pane)
        self._outbox.touch("series", self.name, *_parts(series))

    def _series(self, version: str | None, segment: dict[str, str]) -> Series:
        key: SeriesId = (version, tuple(sorted(segment.items())))
        series = self.series.get(key)
        if series is None and segment and len(self.series) >= self._policies.max_series:
            self.meta.limited += 1
            self._touch()
            segment = dict.fromkeys(segment, OTHER_SERIES)
            key = (version, tuple(sorted(segment.items())))
            series = self.series.get(key)
        if series is None:
            series = self.series[key] = Series(SeriesMeta(version, segment))
        return series

    def find(self, version: object, segment_key: str) -> Series | None:
        """The series of a state key."""
        pairs = msgspec.json.decode(segment_key, type=list[tuple[str, str]])
        return self.series.get((None if version is None else str(version), tuple(pairs)))

    def add(self, series: Series) -> None:
        """Take up a restored series; what it held of a time basis that is not watched any more is forgotten."""
        meta = series.meta
        meta.published = {key: revision for key, revision in meta.published.items() if key[0] in self.bases}
        meta.dirty = {key for key in meta.dirty if key[0] in self.bases}
        self.series[series.meta.version, tuple(sorted(series.meta.segment.items()))] = series

    # -- time --------------------------------------------------------------------------------------------------

    def advance(self, sources: Sources, now_ms: int, *, by_clock: bool = False, at_end: bool = False) -> None:
        """Close what is due, revise what changed, forget what is over.

        `by_clock`: `now_ms` is the wall clock (else the newest panes record).  `at_end`: the input has ended.
        """
        due: list[tuple[int, int, WindowSpec, TimeBasis, Window]] = []
        for order, basis in enumerate(self.bases):
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
                if upto is not None:
                    due += [(window.end_ms, order, spec, basis, window) for window in self._due(basis, spec, upto)]
        for _, _, spec, basis, window in sorted(due, key=lambda item: item[:3]):
            self._close(basis, spec, window, now_ms)
        self._revise(now_ms, everything=at_end)
        for basis in self.bases:
            self._expire(basis)
        self._retire(now_ms)
        profile = self.learner.finish(sources.newest_ms(self.name, ("predictions",)), now_ms)
        if profile is not None:
            self._outbox.profiles.append(profile)
            self._outbox.touch("profile", self.name)
            self._outbox.touch("bootstrap", self.name)

    def _specs(self, basis: TimeBasis) -> list[WindowSpec]:
        specs = list(self.policy.windows)
        if basis is TimeBasis.LABEL and self.policy.detectors and self._grid not in specs:
            specs.append(self._grid)
        return specs

    def _due(self, basis: TimeBasis, spec: WindowSpec, upto: int) -> list[Window]:
        key = (str(basis), spec.size_ms, spec.slide_ms)
        closed = self.meta.closed.get(key)
        if closed is not None and spec.first_end_after(closed) > upto:
            return []
        starts = sorted({start for series in self.series.values() for start in series.panes(basis)})
        if closed is None:
            if not starts or spec.first_end_after(starts[0]) > upto:
                return []
            # A window size new in the config begins with the first window of which no pane is gone.
            gone = [moment for s in self.series.values() if (moment := s.meta.gone_ms.get(basis)) is not None]
            closed = max([starts[0], *(pane_start(moment, spec.slide_ms) + spec.size_ms for moment in gone)])
        self.meta.closed[key] = upto - upto % spec.slide_ms
        self._touch()
        retire_ms = self.policy.retire_after_ms
        alive = self.series.values()
        return list(
            due_windows(spec, closed, upto, starts, lambda w: any(s.is_live(basis, w, retire_ms) for s in alive))
        )

    def _close(self, basis: TimeBasis, spec: WindowSpec, window: Window, now_ms: int) -> None:
        self.judge.begin(basis, window)
        published = spec in self.policy.windows
        for series in self._in_order():
            if not series.is_live(basis, window, self.policy.retire_after_ms):
                continue
            figures = self._publisher.figures(series, basis, window) if published else []
            if (
                basis is TimeBasis.LABEL
                and spec == self._grid
                and series.is_overall
                and series.meta.version is not None
            ):
                detected = self.detectors.see(series.meta.version, series.label_panes.get(window.start_ms))
                figures += detected
                for index in self.detectors.places() if detected else ():
                    self._outbox.touch("detector", self.name, series.meta.version, index)
            events = self._publisher.publish(series, basis, window, figures, 0, now_ms)
            if figures and published:
                series.meta.published[window_key(basis, window)] = 0
                self._outbox.touch("series", self.name, *_parts(series))
            self.judge.show(series, figures, events, self._policies.is_historical(window.end_ms, now_ms))
        self._take(self.judge.end())

    def _take(self, changes: list[Change]) -> None:
        for event, fingerprint in changes:
            if event is not None:
                self._outbox.alerts.append(event)
            self._outbox.touch("alert", self.name, fingerprint)

    def _revise(self, now_ms: int, *, everything: bool) -> None:
        """Publish closed windows that changed: at most once an interval, or now where they are about to expire."""
        timely = everything or now_ms - self.meta.revised_ms >= self._policies.revision_interval_ms
        revised = False
        for series in self._in_order():
            if not series.meta.dirty:
                continue
            due = [key for key in sorted(series.meta.dirty) if timely or self._is_over(key) or not self._is_kept(key)]
            for key in due:
                series.meta.dirty.discard(key)
                self._revise_window(series, key, now_ms)
            if due:
                self._outbox.touch("series", self.name, *_parts(series))
                revised = timely
        if revised:
            self.meta.revised_ms = now_ms
            self._touch()

    def _revise_window(self, series: Series, key: WindowKey, now_ms: int) -> None:
        basis, size, slide, start = key
        window = Window(WindowSpec(size, slide), start)
        revision = series.meta.published.get(key, -1) + 1
        figures = self._publisher.figures(series, TimeBasis(basis), window)
        self._publisher.publish(series, TimeBasis(basis), window, figures, revision, now_ms)
        if figures:
            series.meta.published[key] = revision

    def _is_over(self, key: WindowKey) -> bool:
        """True if the window can no longer change."""
        basis, size, _, start = key
        mark = self.meta.marks.get(basis)
        return mark is not None and mark >= start + size + self.policy.allowed_lateness_ms

    def _is_kept(self, key: WindowKey) -> bool:
        """False for a window of a former config: nothing keeps its panes from expiring."""
        return WindowSpec(key[1], key[2]) in self.policy.windows

    def _expire(self, basis: TimeBasis) -> None:
        mark = self.meta.marks.get(basis)
        if mark is None:
            return
        for series in list(self.series.values()):
            panes = series.panes(basis)
            changed = False
            for start in [
                s for s in panes if mark >= pane_dies_at(self.policy.windows, s, self.policy.allowed_lateness_ms)
            ]:
                series.forget_pane(basis, start)
                self._outbox.touch("pane", self.name, *_parts(series), str(basis), start)
                changed = True
            for key in [k for k in series.meta.published if k[0] == basis and self._is_over(k)]:
                del series.meta.published[key]
                changed = True
            if basis is TimeBasis.LABEL:
                widest = max(spec.size_ms for spec in self.policy.windows)
                changed |= series.carry_predicted(mark - self.policy.allowed_lateness_ms - widest)
            if changed:
                self._outbox.touch("series", self.name, *_parts(series))

    def _retire(self, now_ms: int) -> None:
        """Forget series that had no event for long; with the last one of a version its alerts end.

        So do those on windows of a former config.
        """
        mark = self.meta.marks.get(TimeBasis.PREDICTION)
        if mark is None:
            return
        self._take(self.judge.end_unwatched(mark, historical=self._policies.is_historical(mark, now_ms)))
        before = mark - self.policy.retire_after_ms - max(spec.size_ms for spec in self.policy.windows)
        over = [
            key
            for key, series in self.series.items()
            if max(series.meta.last_ms.values(), default=mark) < before
            # Not before its last window is final: a later event would publish that anew, as revision 0.
            and not (series.prediction_panes or series.label_panes or series.meta.dirty or series.meta.published)
        ]
        for key in over:
            self._outbox.touch("series", self.name, *_parts(self.series.pop(key)))
        gone = {version for version, _ in over if version is not None} - {version for version, _ in self.series}
        for version in gone:
            historical = self._policies.is_historical(mark, now_ms)
            self._take(self.judge.retire(version, mark, historical=historical))
            self._publisher.drop(version)
            for index in self.detectors.drop(version):
                self._outbox.touch("detector", self.name, version, index)

    def _in_order(self) -> list[Series]:
        return sorted(self.series.values(), key=lambda series: series.key)

    def _touch(self) -> None:
        self._outbox.touch("model", self.name)


def _events(pane: PredictionPane | LabelPane, series: Series) -> int:
    """Events that a window counts: predictions, pairs, or in the model-wide series labels."""
    if isinstance(pane, PredictionPane):
        return pane.n
    return pane.labels if series.meta.version is None else pane.joined


def _parts(series: Series) -> tuple[str | None, str]:
    """The series part of a state key; JSON, since tag values may hold any separator."""
    return series.meta.version, series.segment_key
