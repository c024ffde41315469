"""Events that could not be taken: a bounded reason, a sentence, and the dead letter that keeps the original.

Reasons are few and fixed, as they label counters; what is particular stands in the sentence.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import msgspec

from stream_monitor.errors import FormatError
from stream_monitor.events.times import MAX_MS, MIN_MS, format_timestamp
from stream_monitor.events.unreadable import UNREADABLE

# Base64 of both, with the sentence, stays below Kafka's default message.max.bytes of 1,048,588.
MAX_VALUE_BYTES = 700_000
MAX_KEY_BYTES = 1_024


class RejectReason(StrEnum):
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    TOO_DEEP = "too_deep"
    MALFORMED_JSON = "malformed_json"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    TOO_MANY_FEATURES = "too_many_features"
    TIMESTAMP_OUT_OF_RANGE = "timestamp_out_of_range"
    MODEL_LIMIT = "model_limit"
    LEFT_OUT = "left_out"  # of a dead letter that stands for others; no event is rejected for it


@dataclass(frozen=True, slots=True)
class Reject:
    """Why one event was not taken. The sentence holds no feature values."""

    reason: RejectReason
    sentence: str


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A rejected event as it stands on the dead-letters topic.

    `key` is text where it is UTF-8, else base64, as `key_encoding` says. `value` is base64 of the original bytes,
    cut at 700,000 (`truncated`), null if there was none or if dead letters are redacted (`redacted`).
    `left_out`, with the reason of that name: so many rejects of one flush have no dead letter, this record's the last.
    """

    reason: RejectReason
    detail: str
    topic: str
    partition: int
    offset: int
    timestamp: str
    key: str | None
    key_encoding: Literal["text", "base64"]
    value: str | None
    value_bytes: int
    truncated: bool
    redacted: bool
    emitted_at: str
    left_out: int = 0

    def encode(self) -> bytes:
        return msgspec.json.encode(self)

    @staticmethod
    def decode(data: bytes) -> DeadLetter:
        """Raises FormatError for anything that is not a dead letter."""
        try:
            return msgspec.json.decode(data, type=DeadLetter)
        except UNREADABLE as error:
            raise FormatError(f"not a dead letter: {error}") from error


def dead_letter(
    reject: Reject,
    *,
    topic: str,
    partition: int,
    offset: int,
    record_ms: int,
    key: bytes | None,
    value: bytes | None,
    emitted_ms: int,
    redact: bool = False,
    left_out: int = 0,
) -> DeadLetter:
    """The dead letter of one record. `redact` keeps neither value nor key."""
    key_text, key_encoding = _key(None if redact else key)
    kept = None if redact or value is None else value[:MAX_VALUE_BYTES]
    return DeadLetter(
        reason=reject.reason,
        detail=reject.sentence,
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp=format_timestamp(min(max(record_ms, MIN_MS), MAX_MS)),
        key=key_text,
        key_encoding=key_encoding,
        value=None if kept is None else b64encode(kept).decode("ascii"),
        value_bytes=len(value or b""),
        truncated=len(value or b"") > MAX_VALUE_BYTES,
        redacted=redact,
        emitted_at=format_timestamp(emitted_ms),
        left_out=left_out,
    )


def _key(key: bytes | None) -> tuple[str | None, Literal["text", "base64"]]:
    if key is None:
        return None, "text"
    kept = key[:MAX_KEY_BYTES]
    try:
        return kept.decode("utf-8"), "text"
    except UnicodeDecodeError:
        return b64encode(kept).decode("ascii"), "base64"
