"""Join entries, the metadata of offsets and the head of the state: read and written again, or refused by name."""

from __future__ import annotations

from stream_monitor.errors import FormatError
from stream_monitor.join.entry import LabelRecord, PredictionRecord, add_label, add_prediction
from stream_monitor.join.packed import pack, unpack
from stream_monitor.join.store import STAMP, MemoryStore, stamp
from stream_monitor.kafka.head import Head
from stream_monitor.kafka.replay import gaps
from stream_monitor.kafka.stage import Start
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS
from stream_monitor.pipeline.records import parse_key, record_key

STAMPED = stamp(60_000)


def _entries() -> list[bytes]:
    first = PredictionRecord("1", 5_000, "1", 0.5, None, None, {"country": "DE"}, 3, deadline_ms=60_000)
    second = PredictionRecord("2", 5_000, None, None, 2.5, {"a": 0.5}, {}, 4)
    label = LabelRecord(7_000, "1", None, 9)
    carrying = LabelRecord(8_000, None, 3.0, 10, carries=second)
    made = []
    for predictions, labels in (
        ((first,), ()),
        ((), (label,)),
        ((first,), (label,)),
        ((first, second), (label, carrying)),
        ((), (carrying,)),
    ):
        from stream_monitor.join.entry import Entry

        entry = Entry()
        for record in predictions:
            add_prediction(entry, PredictionRecord(*_fields(record)), 120_000)
        for each in labels:
            add_label(entry, LabelRecord(*_fields(each)), 120_000)
        made.append(pack(entry, STAMPED))
    return made


def _fields(record: PredictionRecord | LabelRecord) -> list[object]:
    return [getattr(record, name) for name in record.__struct_fields__]


SEEDS = (
    *(b"e" + entry[STAMP.size :] for entry in _entries()),
    b'h{"v":1,"position":7,"flush":3}',
    b"m12",
    b"s1795/4",
    b"s12",
    b'k["pane","m",null,"[]","label",20000]',
)


def check(data: bytes) -> None:
    kind, rest = data[:1], data[1:]
    try:
        if kind == b"e":
            _entry(STAMPED + rest)
        elif kind == b"h":
            head = Head.from_bytes(rest)
            assert Head.from_bytes(head.to_bytes()) == head
        elif kind == b"m":
            Head.expected(Start(5, rest.decode("utf-8", "replace")))
        elif kind == b"s":
            start = Start(1_000, rest.decode("utf-8", "replace"))
            for gap in gaps(0, {PREDICTIONS: start, LABELS: start}, MemoryStore()):
                assert 0 <= gap.start < gap.end == 1_000
        elif kind == b"k":
            parts = parse_key(rest)
            assert parse_key(record_key(*parts)) == parts
    except FormatError:
        return


def _entry(data: bytes) -> None:
    entry = unpack(data)
    entry = unpack(pack(entry, STAMPED))  # a NaN, which no event has, is no value from here on
    assert repr(unpack(pack(entry, STAMPED))) == repr(entry)
    entry.floors()
    assert entry.newest_ms is not None
    add_label(entry, LabelRecord(7_500, "0", 1.5, 20), 120_000)
    add_prediction(entry, PredictionRecord("3", 7_000, None, 0.1, None, None, {}, 21), 120_000)
    assert repr(unpack(pack(entry, STAMPED))) == repr(entry)
