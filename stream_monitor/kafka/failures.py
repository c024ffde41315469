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


def acls_command(*roles: str) -> str:
    """What prints the rights that are lacking."""
    return "grant what this prints: stream-monitor acls -c FILE" + "".join(f" --role {role}" for role in roles)


class Verdict(StrEnum):
    RETRY = "retry"
    ABORT = "abort"
    FATAL = "fatal"


class LoopFailure(StreamMonitorError):
    """The loop cannot go on in this process; a restart reads the truth from the broker. Exit code 1."""


class FencedError(LoopFailure):
    """Another process with the same role and instance took over."""


class TransactionAborted(Exception):
    """Internal to the loop: the transaction was aborted and the overlay must be dropped.

    `cause`: the KafkaError, where it was one.
    """

    def __init__(self, message: str, cause: Any = None) -> None:
        super().__init__(message)
        self.cause = cause


class Stopped(Exception):
    """Internal to the loop and its stages: told to stop amid a restore. Nothing was folded that is not committed."""


# Codes of what a broker's access lists forbid; no waiting mends them.
_DENIED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "group",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "transactional id",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "cluster",
}
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


def denial(error: Any, doing: str = "", *roles: str) -> SetupError | None:
    """What to stop with if the KafkaError says that this client may not do it; None for any other error.

    `doing`: what was tried and with which resource, e.g. "reading predictions[0]".
    """
    kind = _DENIED.get(error.code())
    if kind is None:
        return None
    return SetupError(f"not authorized by the {kind}'s access list: {doing} ({error.str()})", mend=acls_command(*roles))


def fatal(error: Any, what: str) -> StreamMonitorError:
    """The exception for a fatal KafkaError met while doing `what`."""
    if (denied := denial(error, what)) is not None:
        return denied
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
    # In an event the client names its death by this code, and fatal() is false; it is not said again.
    if error.fatal() or code == KafkaError._FATAL or code in _FENCED:
        return fatal(error, "consuming")
    if code in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
        return SetupError(
            f"the committed offset of {where} is not in the topic any more: records were deleted before they were "
            f"read ({error.str()})",
            mend="raise retention.ms; then move the group with `kafka-consumer-groups --reset-offsets`",
        )
    return denial(error, f"reading {where}")
