"""Dead letters keep the original, fit into a Kafka message, and can be redacted."""

from __future__ import annotations

from base64 import b64decode

from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.events.rejects import MAX_VALUE_BYTES, DeadLetter, Reject, RejectReason, dead_letter

REJECT = Reject(RejectReason.MALFORMED_JSON, "not JSON")


def letter(key: bytes | None, value: bytes | None, redact: bool = False) -> DeadLetter:
    return dead_letter(
        REJECT, topic="predictions", partition=3, offset=7, record_ms=1_795_169_730_123, key=key, value=value,
        emitted_ms=1_795_169_731_000, redact=redact,
    )  # fmt: skip


@given(st.none() | st.binary(max_size=50), st.none() | st.binary(max_size=200))
def test_the_original_can_be_had_back(key: bytes | None, value: bytes | None) -> None:
    found = DeadLetter.decode(letter(key, value).encode())
    assert (None if found.value is None else b64decode(found.value)) == value
    assert found.value_bytes == len(value or b"")
    if key is None:
        assert found.key is None
    else:
        assert found.key is not None
        assert (found.key.encode() if found.key_encoding == "text" else b64decode(found.key)) == key


def test_source_reason_and_sentence_are_there() -> None:
    found = letter(b"id", b"{")
    assert (found.reason, found.detail) == ("malformed_json", "not JSON")
    assert (found.topic, found.partition, found.offset) == ("predictions", 3, 7)
    assert (found.timestamp, found.emitted_at) == ("2026-11-20T10:15:30.123Z", "2026-11-20T10:15:31.000Z")


def test_a_huge_original_is_cut_visibly_and_fits_a_message() -> None:
    found = letter(b"k" * 100_000, b"x" * 5_000_000)
    assert found.truncated
    assert found.value_bytes == 5_000_000
    assert found.value is not None
    assert len(b64decode(found.value)) == MAX_VALUE_BYTES
    assert len(found.encode()) < 1_000_000


def test_a_redacted_letter_holds_neither_key_nor_value() -> None:
    found = letter(b"secret-key", b"secret", redact=True)
    assert found.redacted
    assert (found.key, found.value, found.value_bytes) == (None, None, 6)


def test_a_record_without_a_time_can_still_be_kept() -> None:
    found = dead_letter(REJECT, topic="t", partition=0, offset=0, record_ms=-(2**63), key=None, value=b"", emitted_ms=0)
    assert found.timestamp == "1900-01-01T00:00:00.000Z"
