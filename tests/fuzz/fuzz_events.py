"""JSON of the monitor's own events, as agents read them: the same again, or FormatError."""

from __future__ import annotations

from stream_monitor.errors import FormatError
from stream_monitor.events.alert import AlertEvent
from stream_monitor.events.metric import MetricEvent
from stream_monitor.events.rejects import DeadLetter, Reject, RejectReason, dead_letter
from stream_monitor.pipeline.backtest import backtest
from stream_monitor.pipeline.health import Health
from tests.fuzz.world import LABELLED, POLICIES, PREDICTED, PROFILES
from tests.pipeline.world import DECODE

READERS = {b"m": MetricEvent.decode, b"a": AlertEvent.decode, b"d": DeadLetter.decode}


def _seeds() -> tuple[bytes, ...]:
    published = [e for step in backtest(POLICIES, DECODE, PROFILES, PREDICTED, LABELLED) for e in step.output.metrics]
    distinct = {event.metric: event for event in published}
    health = Health(POLICIES)
    health.gap("predictions", 0, 1, 5, 0)
    dead = dead_letter(
        Reject(RejectReason.EMPTY, "s"),
        topic="t", partition=0, offset=1, record_ms=0, key=b"\xff", value=b"x", emitted_ms=0,
    )  # fmt: skip
    return (
        *(b"m" + event.encode() for event in distinct.values()),
        *(b"a" + alert.encode() for alert in health.take()),
        b"d" + dead.encode(),
    )


SEEDS = _seeds()


def check(data: bytes) -> None:
    read = READERS.get(data[:1])
    if read is None:
        return
    try:
        event = read(data[1:])
    except FormatError:
        return
    written = event.encode()
    assert read(written).encode() == written
