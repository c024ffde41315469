"""One line in the log a minute, topic and reason where events are rejected: enough to look, too little to flood."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import structlog

from stream_monitor.events.rejects import DeadLetter, RejectReason

log = structlog.get_logger("stream_monitor.kafka.ingest")

EVERY_S = 60.0


class RejectLog:
    """Says the first reject of a topic and reason at once, then how many came, at most every minute."""

    def __init__(self) -> None:
        self._said_at: dict[tuple[str, str], float] = {}
        self._unsaid: Counter[tuple[str, str]] = Counter()

    def say(self, letters: Sequence[DeadLetter], left_out: Mapping[tuple[str, str], int], now_s: float) -> None:
        """`letters` of one commit, and how many there are not by topic and reason; `now_s` monotonic seconds."""
        told = [letter for letter in letters if letter.reason is not RejectReason.LEFT_OUT]
        examples = {(letter.topic, str(letter.reason)): letter for letter in told}
        self._unsaid.update((letter.topic, str(letter.reason)) for letter in told)
        self._unsaid.update(left_out)
        for key, letter in examples.items():
            if now_s - self._said_at.get(key, -EVERY_S) < EVERY_S:
                continue
            self._said_at[key] = now_s
            log.warning(
                "events rejected",
                topic=letter.topic,
                reason=str(letter.reason),
                count=self._unsaid.pop(key),
                example=letter.detail,
                at=f"{letter.partition}/{letter.offset}",
            )
