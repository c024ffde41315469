"""CloudEvents 1.0, Kafka protocol binding, binary mode: the metadata as headers, the event itself as the value.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md (3.2)
"""

from __future__ import annotations

from stream_monitor.events.times import format_timestamp

METRIC_TYPE = "streammonitor.metric.v1"
ALERT_TYPE = "streammonitor.alert.v1"
DEAD_LETTER_TYPE = "streammonitor.dead-letter.v1"


def cloudevents_headers(type_: str, id_: str, source: str, time_ms: int) -> list[tuple[str, bytes]]:
    """Headers of one event; `source` is a URI reference such as "/stream-monitor/credit"."""
    return list(Headers(type_, source, time_ms).of(id_))


class Headers:
    """Headers of many events of one type and moment, which differ in the id alone."""

    def __init__(self, type_: str, source: str, time_ms: int) -> None:
        self._shared = (
            ("content-type", b"application/json"),
            ("ce_specversion", b"1.0"),
            ("ce_type", type_.encode()),
            ("ce_source", source.encode()),
            ("ce_time", format_timestamp(time_ms).encode()),
        )

    def of(self, id_: str) -> tuple[tuple[str, bytes], ...]:
        return (*self._shared, ("ce_id", id_.encode()))
