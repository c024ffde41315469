"""Kafka errors, classified: what the loop does about each.

RETRY  the same call again      librdkafka calls it retriable (a time-out, a broker that moves)
ABORT  abort the transaction    librdkafka says the transaction must be aborted, e.g. a stale group generation
FATAL  exit and be restarted    fenced by a newer instance, or the outcome of a commit cannot be known
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from confluent_kafka import KafkaError

from stream_monitor.errors import SetupError, StreamMonitorError

CREATE_TOPICS = "stream-monitor topics create -c FILE"
ANOTHER_PREFIX = f"set another topics.prefix and run {CREATE_TOPICS}: counting begins anew with what the sources hold"


class Verdict(StrEnum):
    RETRY = "retry"
    ABORT = "abort"
    FATAL = "fatal"


class LoopFailure(StreamMonitorError):
    """The loop cannot go on in this process; a restart reads the truth from the broker. Exit code 1."""


class FencedError(LoopFailure):
    """Another process with the same role and instance took over."""


class TransactionAborted(Exception):
    """Internal to the loop: the transaction was aborted and the overlay must be dropped."""


_FENCED = {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.FENCED_INSTANCE_ID}


def judge(error: Any, *, committing: bool = False) -> Verdict:
    """Verdict on a KafkaError of a producer call. Errors without any mark abort, except from the commit itself."""
    if error.fatal() or error.code() in _FENCED:
        return Verdict.FATAL
    if error.txn_requires_abort():
        return Verdict.ABORT
    if error.retriable():
        return Verdict.RETRY
    return Verdict.FATAL if committing else Verdict.ABORT


def fatal(error: Any, what: str) -> LoopFailure:
    """The exception for a fatal KafkaError met while doing `what`."""
    if error.code() in _FENCED:
        return FencedError(
            "fenced: another process runs with the same role and instance, or this one stood still for longer than "
            f"its transaction may take ({error.str()})",
            mend="give each process its own --instance; a restart goes on exactly",
        )
    return LoopFailure(f"{what} failed for good: {error.str()} ({error.name()})")


def consumer_failure(error: Any, where: str) -> StreamMonitorError | None:
    """What an error event of the consumer means: an exception to stop with, or None to go on (it heals itself)."""
    code = error.code()
    if error.fatal() or code in _FENCED:
        return fatal(error, "consuming")
    if code in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
        return SetupError(
            f"the committed offset of {where} is not in the topic any more: records were deleted before they were "
            f"read ({error.str()})",
            mend="raise retention.ms; then move the group with `kafka-consumer-groups --reset-offsets`",
        )
    if code in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED):
        return SetupError(f"no permission to read {where} ({error.str()})", mend="allow Read on the topic and group")
    return None
