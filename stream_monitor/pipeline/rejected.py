"""The rejects of one flush that become dead letters: the first ones, up to a number and a size; the others are counted.

Of each topic and reason the first is always among them, so that a flood of one kind hides no other. One letter more
says how many there are not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from stream_monitor.events.rejects import MAX_VALUE_BYTES, DeadLetter, Reject, RejectReason, dead_letter
from stream_monitor.pipeline.policy import DeadLetterPolicy


class Record(NamedTuple):
    """One record of a source topic."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


class Rejected:
    """Of one flush. `left_out`: by (role, reason)."""

    def __init__(self, policy: DeadLetterPolicy) -> None:
        self.left_out: Counter[tuple[str, str]] = Counter()
        self._policy = policy
        self._kept: list[tuple[str, Reject, Record]] = []
        self._kinds: set[tuple[str, RejectReason]] = set()
        self._bytes = 0
        self._last: tuple[str, Record] | None = None

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, role: str, reject: Reject, record: Record) -> None:
        size = min(len(record.value or b""), MAX_VALUE_BYTES)
        policy = self._policy
        if (role, reject.reason) in self._kinds and (
            len(self._kept) >= policy.max_per_flush or self._bytes + size > policy.max_bytes_per_flush
        ):
            self.left_out[role, str(reject.reason)] += 1
            self._last = role, record._replace(key=None, value=None)
            return
        self._kinds.add((role, reject.reason))
        self._bytes += size
        self._kept.append((role, reject, record))

    def letters(self, topics: Mapping[str, str], now_ms: int) -> list[DeadLetter]:
        found = [self._letter(role, reject, record, topics, now_ms) for role, reject, record in self._kept]
        if self._last is not None:
            role, record = self._last
            found.append(self._letter(role, self._summary(topics), record, topics, now_ms, self.left_out.total()))
        return found

    def _summary(self, topics: Mapping[str, str]) -> Reject:
        counts = ", ".join(f"{topics[role]} {reason} {n}" for (role, reason), n in sorted(self.left_out.items()))
        return Reject(
            RejectReason.LEFT_OUT,
            f"{self.left_out.total()} rejects have no dead letter of their own ({counts}): of one flush at most "
            f"{self._policy.max_per_flush} and {self._policy.max_bytes_per_flush} bytes are kept",
        )

    def _letter(
        self, role: str, reject: Reject, record: Record, topics: Mapping[str, str], now_ms: int, left_out: int = 0
    ) -> DeadLetter:
        return dead_letter(
            reject,
            topic=topics[role],
            partition=record.partition,
            offset=record.offset,
            record_ms=record.timestamp_ms,
            key=record.key,
            value=record.value,
            emitted_ms=now_ms,
            redact=self._policy.redact,
            left_out=left_out,
        )
