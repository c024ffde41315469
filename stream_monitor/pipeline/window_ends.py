"""Tells ingest when somebody waits for its next flush: what it has read may let a window close.  Pure.

A window closes when the newest event times of all source partitions have passed its end by `max_out_of_order`, and
evaluate knows them from what each worker says at its flushes.  So once this worker's partitions are past an end that
they were not past at its last flush, every moment until the next one is a moment more until the figures are out.
A hint about time alone: counts are the same whatever it says.  A call costs 0.2 µs a model and partition.
"""

from __future__ import annotations

from collections.abc import Mapping

from stream_monitor.events.names import TimeBasis
from stream_monitor.pipeline.horizon import Source
from stream_monitor.pipeline.model import ROLES
from stream_monitor.pipeline.policy import ModelPolicy, Policies

# Newest event time in ms of each model, in each of the worker's own partitions.
Newest = Mapping[Source, Mapping[str, int]]


class WindowEnds:
    """Remembers how far each model's partitions were at the last flush."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies
        self._known: dict[str, ModelPolicy] = {}
        self._told: dict[tuple[str, TimeBasis], int] = {}

    def passed(self, newest: Newest) -> bool:
        """Whether some model is past the end of one of its windows that it was before at the last flush."""
        return any(
            (before := self._told.get(key)) is not None
            and any(spec.first_end_after(before) <= mark for spec in self._model(key[0]).windows)
            for key, mark in self._marks(newest).items()
        )

    def decided(self, newest: Newest) -> bool:
        """Whether a flush may do more than add to sums: past the end of a window, or past the time to which it may be
        corrected, or the first to tell of a model. The next flush may be put off for as long as it is not."""
        return any(
            (before := self._told.get(key)) is None
            or mark < before
            or any(
                spec.first_end_after(before - after) <= mark - after
                for spec in self._model(key[0]).windows
                for after in (0, self._model(key[0]).allowed_lateness_ms)
            )
            for key, mark in self._marks(newest).items()
        )

    def told(self, newest: Newest) -> None:
        """A flush says this."""
        self._told = self._marks(newest)

    def _marks(self, newest: Newest) -> dict[tuple[str, TimeBasis], int]:
        """What the watermarks would be, were these partitions all there are."""
        least: dict[str, dict[str, int]] = {}
        for (role, _), models in newest.items():
            for model, moment in models.items():
                by_role = least.setdefault(model, {})
                by_role[role] = min(moment, by_role.get(role, moment))
        return {
            (model, basis): min(moments) - self._model(model).max_out_of_order_ms
            for model, by_role in least.items()
            for basis, roles in ROLES.items()
            if basis is TimeBasis.PREDICTION or self._model(model).joins_labels
            if (moments := [by_role[role] for role in roles if role in by_role])
        }

    def _model(self, name: str) -> ModelPolicy:
        policy = self._known.get(name)
        if policy is None:
            policy = self._known[name] = self._policies.model(name)
        return policy
