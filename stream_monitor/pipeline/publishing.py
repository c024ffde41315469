"""The figures of one series in one window, computed and put into the outbox as events."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from stream_monitor.events.metric import MetricEvent
from stream_monitor.events.names import TimeBasis
from stream_monitor.metrics.comparison import Comparison
from stream_monitor.metrics.figure import Figure
from stream_monitor.metrics.panes import label_figures, prediction_figures
from stream_monitor.pipeline.learning import Learner
from stream_monitor.pipeline.metric_events import Events, place_of
from stream_monitor.pipeline.outbox import Outbox
from stream_monitor.pipeline.policy import ModelPolicy, Policies
from stream_monitor.pipeline.references import FORMER, References
from stream_monitor.pipeline.series import Series
from stream_monitor.windows.grid import Window

# Version, time basis, size, slide.
NewestKey = tuple[str | None, str, int, int]


class Publisher:
    """State: `newest`, the figures of the newest closed windows of overall series, for gauges after a restart."""

    def __init__(
        self, policy: ModelPolicy, policies: Policies, learner: Learner, references: References, outbox: Outbox
    ) -> None:
        self._policy = policy
        self._policies = policies
        self._learner = learner
        self._references = references
        self._outbox = outbox
        self._comparisons: dict[str, Comparison] = {}  # by profile id
        self.newest: dict[NewestKey, list[MetricEvent]] = {}

    def figures(self, series: Series, basis: TimeBasis, window: Window) -> list[Figure]:
        """All figures but those of detectors; none where the series has nothing to do with the time basis."""
        pane_ms, profile, model_wide = self._policy.pane_ms, self._learner.profile, series.meta.version is None
        if basis is TimeBasis.PREDICTION:
            if model_wide:
                return []
            predictions = series.predictions_in(window, pane_ms)
            compared = self._compared(predictions.binned, window)
            return prediction_figures(predictions, compared, self._policy.metrics)
        pane = series.labels_in(window, pane_ms)
        if pane.is_empty:
            return []
        pending = None if model_wide else max(0, series.pending_at(window.end_ms))
        return label_figures(pane, profile, self._policy.outcome, self._policy.metrics, pending)

    def _compared(self, schemas: Collection[str], window: Window) -> Comparison | None:
        """The profile that the window is compared with, made ready once."""
        profile = self._references.of(schemas, window.end_ms, self._learner.profile)
        if profile is None:
            return None
        comparison = self._comparisons.get(profile.id)
        if comparison is None:
            if len(self._comparisons) > FORMER:
                self._comparisons.clear()
            comparison = self._comparisons[profile.id] = Comparison(profile)
        return comparison

    def publish(
        self, series: Series, basis: TimeBasis, window: Window, figures: Sequence[Figure], revision: int, now_ms: int
    ) -> Events:
        """Put the figures of one revision into the outbox; returns what makes their events."""
        events = self.events(series, basis, window, revision, now_ms)
        if figures:
            self._outbox.metrics(events, figures)
        if series.is_overall and figures and not self._policies.is_historical(window.end_ms, now_ms):
            self._keep(series.meta.version, basis, window, [events.of(figure) for figure in figures])
        return events

    def events(self, series: Series, basis: TimeBasis, window: Window, revision: int, now_ms: int) -> Events:
        """What makes the events of one revision, without publishing any."""
        return Events(
            place_of(self._policy.name, series, basis, window),
            revision=revision,
            final=self._policy.allowed_lateness_ms == 0,
            historical=self._policies.is_historical(window.end_ms, now_ms),
            emitted_ms=now_ms,
        )

    def _keep(self, version: str | None, basis: TimeBasis, window: Window, events: list[MetricEvent]) -> None:
        key: NewestKey = (version, str(basis), window.spec.size_ms, window.spec.slide_ms)
        known = self.newest.get(key)
        if known is None or known[0].window.start <= events[0].window.start:
            self.newest[key] = [msgspec.structs.replace(event, bins=(), cells=msgspec.UNSET) for event in events]
            self._outbox.touch("newest", self._policy.name, *key)

    def drop(self, version: str) -> None:
        """Forget a retired version."""
        for key in [key for key in self.newest if key[0] == version]:
            del self.newest[key]
            self._outbox.touch("newest", self._policy.name, *key)
