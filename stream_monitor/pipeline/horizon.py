"""How far event time has come in each source partition, by model: what progress tells evaluate, and which join
entries nobody can need any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_monitor.windows.watermark import SourceProgress

SWEEP_PATIENCE_MS: Final = 3_600_000

Source = tuple[str, int]  # role, partition


class Span(NamedTuple):
    """Offsets `[start, end)` read of one source partition since the last commit, and whether it is caught up."""

    start: int
    end: int
    caught_up: bool


class Horizon:
    """Highest event times by source partition and model: of this flush, and since the partition was assigned."""

    def __init__(self, idle_timeout_ms: int) -> None:
        self._idle_timeout_ms = idle_timeout_ms
        self._flush: dict[Source, dict[str, int]] = {}
        self._assignment: dict[Source, dict[str, int]] = {}
        self._committed: dict[Source, dict[str, int | None]] = {}  # of `_assignment`, what this flush changed
        self._last_seen_ms: dict[Source, dict[str, int]] = {}  # by the clock

    @property
    def newest(self) -> Mapping[Source, Mapping[str, int]]:
        """Highest event time of each model since the partition was assigned."""
        return self._assignment

    def note(self, role: str, model: str, partitions: Sequence[int], times: NDArray[np.int64]) -> None:
        """Events of a model at `times`, each in its partition."""
        found = set(partitions)
        where = np.array(partitions) if len(found) > 1 else None
        for partition in found:
            mine = int((times if where is None else times[where == partition]).max())
            before = self._assignment.get((role, partition), {}).get(model)
            self._committed.setdefault((role, partition), {}).setdefault(model, before)
            for known in (self._flush, self._assignment):
                newest = known.setdefault((role, partition), {})
                newest[model] = max(mine, newest.get(model, mine))

    def progress(self, now_ms: int, spans: Mapping[Source, Span]) -> list[SourceProgress]:
        """What to tell of each owned partition at a flush."""
        sources = []
        for (role, partition), span in spans.items():
            newest = self._flush.get((role, partition), {})
            seen = self._last_seen_ms.setdefault((role, partition), {})
            seen.update(dict.fromkeys(newest, now_ms))
            active = [model for model, at in seen.items() if now_ms - at <= self._idle_timeout_ms]
            sources.append(SourceProgress(role, partition, span.start, span.end, newest, span.caught_up, active))
        return sources

    def expire_before(self, partition: int, now_ms: int, spans: Mapping[Source, Span]) -> int | None:
        """Event time behind which no entry is needed: the least over models and topics that may still bring events."""
        least: int | None = None
        for role, span in ((role, span) for (role, p), span in spans.items() if p == partition):
            newest = self._assignment.get((role, partition), {})
            if not newest and not span.caught_up:
                return None
            seen = self._last_seen_ms.get((role, partition), {})
            for model, at in newest.items():
                if now_ms - seen.get(model, now_ms) <= SWEEP_PATIENCE_MS:
                    least = at if least is None else min(least, at)
        return least

    def start_anew(self) -> None:
        """A flush begins: what was noted before is committed."""
        self._flush, self._committed = {}, {}

    def discarded(self) -> None:
        """What was read since the last commit will be read again, maybe in smaller portions: the last events of it may
        not say yet which entries nobody needs."""
        for source, models in self._committed.items():
            for model, moment in models.items():
                if moment is None:
                    del self._assignment[source][model]
                else:
                    self._assignment[source][model] = moment
        self.start_anew()

    def released(self, sources: Iterable[Source]) -> None:
        """These partitions belong to somebody else now."""
        for owned in sources:
            self._committed.pop(owned, None)
            for known in (self._flush, self._assignment, self._last_seen_ms):
                known.pop(owned, None)
