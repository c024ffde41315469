"""What a model need not keep any longer: panes and windows that can no longer change, series that fell silent.

Promises: asked at every progress message, it looks at the series only when something can have become over since the
last time, and then finds the same as if it had looked each time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import gcd

from stream_monitor.events.names import TimeBasis
from stream_monitor.pipeline.outbox import Outbox
from stream_monitor.pipeline.policy import ModelPolicy
from stream_monitor.pipeline.series import Series, is_over, pane_dies_at

ClosedWindows = Mapping[tuple[str, int, int], int]  # as in ModelMeta


class Forgetting:
    """State: when it looked last, which a restart may forget."""

    def __init__(self, policy: ModelPolicy, outbox: Outbox) -> None:
        self._policy = policy
        self._outbox = outbox
        self._widest_ms = max(spec.size_ms for spec in policy.windows)
        self._expired: dict[TimeBasis, tuple[int, int]] = {}
        self._silent_from: int | None = None  # none of the series fell silent before

    def expire(self, all_series: Collection[Series], basis: TimeBasis, settled: int, closed: ClosedWindows) -> None:
        """Let panes and published windows go that end by `settled`."""
        # All that ends does so on one grid, also windows of a former config, which `closed` still names.
        step = gcd(self._policy.pane_ms, *(part for _, *spec in closed for part in spec))
        if self._expired.get(basis) == (settled // step, step):
            return
        self._expired[basis] = (settled // step, step)
        for series in all_series:
            if self._expire_in(series, basis, settled):
                self._outbox.touch("series", self._policy.name, *series.parts)

    def _expire_in(self, series: Series, basis: TimeBasis, settled: int) -> bool:
        policy = self._policy
        changed = False
        for start in [s for s in series.panes(basis) if settled >= pane_dies_at(policy.windows, s)]:
            series.forget_pane(basis, start)
            self._outbox.touch("pane", policy.name, *series.parts, basis, start)
            changed = True
        for key in [key for key in series.meta.published if key[0] == basis and is_over(key, settled)]:
            del series.meta.published[key]
            changed = True
        if basis is TimeBasis.LABEL:
            changed |= series.carry_predicted(settled - self._widest_ms)
        return changed

    def series_came(self) -> None:
        """A series has its first event, which may be an old one."""
        self._silent_from = None

    def silent(self, all_series: Collection[Series], mark: int) -> list[Series]:
        """Series that had no event for `retire_after` and have nothing left that can change."""
        before = mark - self._policy.retire_after_ms - self._widest_ms
        if self._silent_from is not None and before <= self._silent_from:
            return []
        self._silent_from = min((last for each in all_series if (last := each.last_ms) is not None), default=None)
        # Not before its last window is final: a later event would publish that anew, as revision 0.
        return [each for each in all_series if each.last_ms is not None and each.last_ms < before and each.is_final]
