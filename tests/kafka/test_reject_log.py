"""Rejects are said in the log: at once, then once a minute."""

from __future__ import annotations

from structlog.testing import capture_logs

from stream_monitor.events.rejects import Reject, RejectReason, dead_letter
from stream_monitor.kafka.reject_log import RejectLog


def letters(n: int, reason: RejectReason = RejectReason.WRONG_TYPE) -> list:
    return [
        dead_letter(
            Reject(reason, "a sentence"),
            topic="predictions",
            partition=1,
            offset=i,
            record_ms=0,
            key=None,
            value=b"x",
            emitted_ms=0,
        )
        for i in range(n)
    ]


def test_the_first_reject_is_said_at_once_and_the_others_once_a_minute() -> None:
    rejected = RejectLog()
    with capture_logs() as said:
        rejected.say(letters(1), {}, 100.0)
        rejected.say(letters(5), {}, 101.0)
        rejected.say(letters(2, RejectReason.EMPTY), {}, 102.0)
        rejected.say(letters(3), {("predictions", "wrong_type"): 40}, 161.0)
        rejected.say([], {}, 300.0)
    assert [(line["reason"], line["count"]) for line in said] == [("wrong_type", 1), ("empty", 2), ("wrong_type", 48)]
    assert said[0]["example"] == "a sentence"
