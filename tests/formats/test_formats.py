"""What a release wrote is read by the next one; what a later one wrote is refused with the way on.

A change of an internal format that nobody meant fails here, and so does a new number without bytes of it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from stream_monitor.errors import StreamMonitorError
from stream_monitor.join.packed import unpack
from stream_monitor.kafka.head import Head
from stream_monitor.pipeline import messages
from stream_monitor.pipeline.messages import Delta, decode
from stream_monitor.reference.profile import Profile
from stream_monitor.sketches.codec import pack
from stream_monitor.sketches.packed import PANE_VERSION, PackedPredictions
from stream_monitor.sketches.pane import PredictionPane
from tests.formats.written import DELTA, ENTRIES, FORMATS, PROGRESS, committed, put, turn, world, written
from tests.pipeline.test_profile_change import OLD

NUMBERS, HELD = committed()


def of(name: str) -> list[bytes]:
    """All bytes of `name` that are held."""
    found = [value for key, values in HELD.items() if key.startswith(name + ", ") for value in values]
    assert found
    return found  # type: ignore[return-value]


def test_each_format_number_has_its_bytes_here() -> None:
    assert NUMBERS == FORMATS, "a format has another number: add its bytes by python -m tests.formats.written"
    assert written().keys() <= HELD.keys()


def test_no_bytes_change_unnoticed() -> None:
    changed = [name for name, value in written().items() if isinstance(value, bytes) and value not in HELD[name]]
    assert not changed, (
        "if all that is new is a field with a default, add the bytes by python -m tests.formats.written; "
        "else give the format a new number first, and read the one before"
    )


def test_panes_messages_are_read() -> None:
    for data in of("delta"):
        delta = decode(data)
        assert isinstance(delta, Delta)
        assert msgspec.structs.replace(delta, v=messages.FORMAT) == DELTA
        assert PackedPredictions.read(delta.panes[0].data).n == 4
    for data in of("progress"):
        assert msgspec.structs.replace(decode(data), v=messages.FORMAT) == PROGRESS


def test_join_entries_are_read() -> None:
    for name, entry in ENTRIES.items():
        for data in of(f"entry {name}"):
            assert unpack(data) == entry


def test_profiles_and_heads_are_read() -> None:
    assert [Profile.from_json(data) for data in of("profile")] == [OLD] * len(of("profile"))
    assert [(head.position, head.flush) for head in map(Head.from_bytes, of("head"))] == [(12, 3)] * len(of("head"))


def test_a_state_that_was_written_then_is_gone_on_with_as_one_written_now() -> None:
    for state in of("state"):
        now, then = world(), world()
        for w in (now, then):
            for minute in range(3):
                put(w, minute)
                turn(w)
        assert {bytes(key) for key in state} <= then.state[0].keys()
        then.state[0] = dict(state)  # type: ignore[call-overload]
        for w in (now, then):
            w.crash_evaluate(0)
            del w.metrics[:], w.alerts[:]
            put(w, 3)
            put(w, 0, 5)
            turn(w)
            put(w, 4)
            w.clock += 60_000
            turn(w)
        assert now.metrics
        assert [event.encode() for event in then.metrics] == [event.encode() for event in now.metrics]
        assert [alert.encode() for alert in then.alerts] == [alert.encode() for alert in now.alerts]


def test_a_pane_of_the_format_before_is_read() -> None:
    fields = msgspec.structs.astuple(PackedPredictions.read(PredictionPane(n=4).to_bytes()))
    assert PackedPredictions.read(pack(PANE_VERSION - 1, *fields)).n == 4


def _newer_message() -> bytes:
    return messages.encode(msgspec.structs.replace(PROGRESS, v=messages.FORMAT + 1))


def _newer_head() -> bytes:
    return msgspec.structs.replace(Head.from_bytes(of("head")[-1]), v=FORMATS["head"] + 1).to_bytes()


def _newer_profile() -> bytes:
    return msgspec.structs.replace(OLD, v=FORMATS["profile"] + 1).to_json()


@pytest.mark.parametrize(
    ("name", "read", "data"),
    [
        ("panes message", decode, _newer_message()),
        ("head", Head.from_bytes, _newer_head()),
        ("profile", Profile.from_json, _newer_profile()),
        ("pane", PackedPredictions.read, pack(PANE_VERSION + 1)),
    ],
)
def test_a_later_format_is_refused_with_what_was_found_what_is_accepted_and_the_way_on(
    name: str, read: Callable[[bytes], object], data: bytes
) -> None:
    with pytest.raises(StreamMonitorError) as caught:
        read(data)
    assert str(FORMATS[name]) in caught.value.message
    assert str(FORMATS[name] + 1) in caught.value.message
    assert caught.value.mend
