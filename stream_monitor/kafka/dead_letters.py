"""A dead letter as a Kafka record: keyed by the source partition it came from, with CloudEvents headers."""

from __future__ import annotations

from stream_monitor.events.cloudevents import DEAD_LETTER_TYPE, cloudevents_headers
from stream_monitor.events.rejects import DeadLetter
from stream_monitor.kafka.stage import OutRecord
from stream_monitor.kafka.topics import TopicNames


def dead_letter_record(letter: DeadLetter, names: TopicNames, source: str, now_ms: int) -> OutRecord:
    """`source`: who says it, a URI reference. `now_ms`: when."""
    place = f"{letter.topic}-{letter.partition}"
    headers = cloudevents_headers(DEAD_LETTER_TYPE, f"{place}-{letter.offset}", source, now_ms)
    return OutRecord(names.dead_letters, place.encode(), letter.encode(), headers=tuple(headers))
