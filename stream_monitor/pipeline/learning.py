"""A model's reference: given by a file, or learned from the first events of the stream.

A learned profile takes effect at a pane that lies in the future of all events seen, so that every ingest worker
switches at the same event time.
"""

from __future__ import annotations

import msgspec

from stream_monitor.pipeline.policy import ModelPolicy
from stream_monitor.reference.bootstrap import build_bootstrap
from stream_monitor.reference.build import MIN_ROWS
from stream_monitor.reference.profile import Profile
from stream_monitor.sketches.hashing import key_id
from stream_monitor.sketches.pane import PredictionPane
from stream_monitor.windows.grid import pane_start

_HANDOVER_MS = 5_000  # what ingest workers need to learn of a new profile, at least


def fits(profile: Profile, policy: ModelPolicy, hash_key: bytes) -> bool:
    """False for a profile learned under another config: its bins say nothing about the outputs or categories of now.

    It is left aside and a new one is learned. Profiles from files are checked when the config is read.
    """
    if profile.kind != "bootstrap":
        return True
    outcome = policy.outcome
    return (
        policy.reference.kind == "bootstrap"
        and (profile.task, profile.positive_class) == (outcome.task, outcome.positive_class)
        and profile.hash_key_id in (None, key_id(hash_key))
    )


class _Saved(msgspec.Struct, array_like=True):
    first_ms: int
    pane: bytes


class Learner:
    """`profile` is the reference in force, or to come into force; None: none (yet)."""

    def __init__(self, policy: ModelPolicy, profile: Profile | None, hash_key: bytes) -> None:
        self._policy = policy
        self._hash_key = hash_key
        self.profile = profile
        self._raw = PredictionPane()
        self._first_ms: int | None = None

    def learn(self, is_overall: bool, start_ms: int, pane: PredictionPane) -> bool:
        """Learn from a pane that was counted raw; True if it was."""
        if pane.raw is None or not is_overall or self.profile is not None:
            return False
        self._raw.merge(
            PredictionPane(n=pane.n, raw=pane.raw, raw_output=pane.raw_output, raw_limited=pane.raw_limited)
        )
        self._first_ms = start_ms if self._first_ms is None else min(start_ms, self._first_ms)
        return True

    def finish(self, newest_ms: int | None, now_ms: int) -> Profile | None:
        """The profile, once, when enough events or enough time have been seen."""
        if self.profile is not None or newest_ms is None or self._first_ms is None or self._raw.n < MIN_ROWS:
            return None
        reference, outcome = self._policy.reference, self._policy.outcome
        aged = reference.max_age_ms is not None and newest_ms - self._first_ms >= reference.max_age_ms
        if self._raw.n < reference.events and not aged:
            return None
        self.profile = build_bootstrap(
            model_name=self._policy.name,
            task=outcome.task,
            pane=self._raw,
            created_at=now_ms,
            effective_from=self._next_start(newest_ms),
            positive_class=outcome.positive_class,
            classes=outcome.classes,
            hash_key=self._hash_key,
        )
        self._raw, self._first_ms = PredictionPane(), None
        return self.profile

    def _next_start(self, newest_ms: int) -> int:
        pane_ms = self._policy.pane_ms
        return pane_start(newest_ms + self._policy.max_out_of_order_ms + _HANDOVER_MS, pane_ms) + pane_ms

    def to_bytes(self) -> bytes | None:
        """What was learned so far; None if there is nothing under construction."""
        return None if self._first_ms is None else msgspec.msgpack.encode(_Saved(self._first_ms, self._raw.to_bytes()))

    def restore(self, data: bytes) -> None:
        saved = msgspec.msgpack.decode(data, type=_Saved)
        self._first_ms, self._raw = saved.first_ms, PredictionPane.from_bytes(saved.pane)
