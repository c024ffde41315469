"""Event-time progress where ingest reads topics that repartition.py filled: what the marks in them say.

In each partition of such a topic, events of all source partitions lie in the order in which their workers wrote them.
A mark says how far its writer's source partitions had come; all events behind that were written before it.  So a
partition of ours has come as far as the least of the source partitions that can still bring events, by the newest
marks read there: the rule of the watermark (windows/watermark.py), once more.  What is not known holds it back: a
source partition without a mark since this worker began to read, one whose owner fell silent.

Marks of an aborted read are forgotten: they speak of events that will be read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stream_monitor.pipeline.horizon import SWEEP_PATIENCE_MS, Source, Span
from stream_monitor.pipeline.messages import Progress
from stream_monitor.windows.watermark import Reading, SourceProgress, Sources, SourceState, read_watermark


class UpstreamHorizon:
    """Has the methods of horizon.Horizon that ingest asks for progress; fed by marks instead of events."""

    def __init__(self, silent_after_ms: int) -> None:
        self._silent_after_ms = silent_after_ms
        self._heard: dict[Source, Sources] = {}
        self._fresh: set[Source] = set()  # heard since the last flush
        self._heard_at_ms: dict[Source, int] = {}  # by the clock
        self._active_ms: dict[tuple[Source, str], int] = {}  # by the clock
        self._newest: dict[Source, dict[str, int]] = {}

    @property
    def newest(self) -> Mapping[Source, Mapping[str, int]]:
        """How far each model has come in each partition, where that is known."""
        return self._newest

    def hear(self, role: str, partition: int, mark: Progress, record_ms: int) -> None:
        """A mark was read in this partition."""
        source = (role, partition)
        sources = self._heard.setdefault(source, Sources())
        for each in mark.sources:
            if each.role == role:
                sources.observe(each, record_ms)
        for of, count in mark.counts.items():
            sources.count(of, count, "")
        self._fresh.add(source)
        self._newest[source] = {
            model: reading.watermark_ms
            for model, reading in self._readings(source).items()
            if reading.watermark_ms is not None
        }

    def progress(self, now_ms: int, spans: Mapping[Source, Span]) -> list[SourceProgress]:
        """What to tell of each owned partition at a flush."""
        return [self._of(source, span, now_ms) for source, span in spans.items()]

    def expire_before(self, partition: int, now_ms: int, spans: Mapping[Source, Span]) -> int | None:
        """Event time behind which no join entry is needed: the least over models and source partitions that may still
        bring events; None: not known."""
        least: int | None = None
        for source in (source for source in spans if source[1] == partition):
            states = self._states(source)
            if not states or None in states:
                return None
            for state in states:
                for model, moment in state.newest_ms.items() if state is not None else ():
                    if now_ms - self._active_ms.get((source, model), now_ms) <= SWEEP_PATIENCE_MS:
                        least = moment if least is None else min(least, moment)
        return least

    def note(self, role: str, model: str, partitions: Sequence[int], times: NDArray[np.int64]) -> None:
        """Of events alone nothing follows here: others that happened before them may still lie in their source."""

    def start_anew(self) -> None:
        """A flush begins; marks outlive it."""

    def discarded(self) -> None:
        """What was read since the last commit will be read again."""
        self._heard.clear()
        self._newest.clear()

    def released(self, sources: Iterable[Source]) -> None:
        """These partitions belong to somebody else now."""
        for owned in sources:
            for known in (self._heard, self._heard_at_ms, self._newest):
                known.pop(owned, None)
            self._active_ms = {key: at for key, at in self._active_ms.items() if key[0] != owned}

    def _of(self, source: Source, span: Span, now_ms: int) -> SourceProgress:
        if source in self._fresh:
            self._fresh.discard(source)
            self._heard_at_ms[source] = now_ms
        states = self._states(source)
        silent = now_ms - self._heard_at_ms.get(source, now_ms) > self._silent_after_ms
        if silent or not states:
            return SourceProgress(*source, span.start, span.end, {}, False, [])
        readings = self._readings(source)
        active = [model for model, reading in readings.items() if not reading.all_idle]
        self._active_ms |= {(source, model): now_ms for model in active}
        caught_up = span.caught_up and all(state is not None and state.caught_up for state in states)
        # An owner that fell silent may have called its partition idle before.
        caught_up = caught_up and not any(reading.holding for reading in readings.values())
        newest = {model: r.watermark_ms for model, r in readings.items() if r.watermark_ms is not None}
        seen = {model: self._heard[source].newest_ms(model, source[:1]) or 0 for model in readings}
        return SourceProgress(*source, span.start, span.end, newest, caught_up, active, seen)

    def _states(self, source: Source) -> list[SourceState | None]:
        """Of all source partitions behind one of ours; None: never heard of. Empty: not even how many there are."""
        sources = self._heard.get(source)
        if sources is None:
            return []
        return [sources.state(source[0], each) for each in range(sources.counts.get(source[0], 0))]

    def _readings(self, source: Source) -> dict[str, Reading]:
        sources = self._heard[source]
        role = source[0]
        models = {model for state in sources.known.get(role, {}).values() for model in state.newest_ms}
        return {
            model: read_watermark(sources, model, (role,), max_out_of_order_ms=0, silent_after_ms=self._silent_after_ms)
            for model in sorted(models)
        }
