"""The bytes of a join entry, and columns of them: what nearly every entry is has a form that is read without objects.

stamp (8 bytes, see store.py) · kind (1) · body, little endian:
  PREDICTED  a prediction that waits for its label       PREDICTION · who
  LABELLED   a label that waits for its prediction       LABEL · truth
  PAIRED     a prediction and the label it was paired with   PREDICTION · LABEL · length of who (2) · who · truth
  GENERAL    anything else: several versions, differing labels, labels that carry their prediction, a pair whose who
             is longer than PAIRED can say (thousands of scores); msgpack of Entry
`who` and `truth` are msgpack of what few distinct values share, so that whoever reads thousands decodes each once.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_monitor.errors import FormatError
from stream_monitor.events.unreadable import UNREADABLE
from stream_monitor.join.entry import Entry, LabelRecord, PredictionRecord
from stream_monitor.join.store import STAMP

PREDICTION: Final = np.dtype(
    [("ms", "<i8"), ("offset", "<i8"), ("deadline", "<i8"), ("score", "<f8"), ("value", "<f8")]
)
"""Columns of predictions. `deadline`: NO_DEADLINE, or where it is booked; NaN: no score, no value."""
LABEL: Final = np.dtype([("ms", "<i8"), ("offset", "<i8"), ("value", "<f8")])

NO_DEADLINE: Final = -(2**63)

GENERAL, PREDICTED, LABELLED, PAIRED = range(4)
KIND_AT: Final = STAMP.size
_BODY: Final = KIND_AT + 1
_KINDS: Final = [bytes((kind,)) for kind in range(4)]
_WHO_AT: Final = _BODY + PREDICTION.itemsize
_TRUTH_AT: Final = _BODY + LABEL.itemsize
_LABEL_AT: Final = _WHO_AT
_TAILS_AT: Final = _LABEL_AT + LABEL.itemsize
_LENGTH: Final = struct.Struct("<H")
_LONGEST_WHO: Final = (1 << 16) - 1
_MEMO_LIMIT: Final = 10_000

Rows = NDArray[Any]  # structured: PREDICTION or LABEL


class Who(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What many predictions have in common."""

    version: str
    label: str | None
    scores: dict[str, float] | None
    tags: dict[str, str]


_encode = msgspec.msgpack.Encoder().encode
_entry = msgspec.msgpack.Decoder(Entry)


class _Whos(dict[bytes, Who]):
    def __init__(self) -> None:
        super().__init__()
        self._decode = msgspec.msgpack.Decoder(Who).decode

    def __missing__(self, data: bytes) -> Who:
        who = self._decode(data)
        # Scores by class are of one prediction only, and of a thousand classes 100 kB.
        if who.scores is None and len(self) < _MEMO_LIMIT:
            self[data] = who
        return who


class _Truths(dict[bytes, str | None]):
    def __init__(self) -> None:
        super().__init__()
        self._decode = msgspec.msgpack.Decoder(str | None).decode

    def __missing__(self, data: bytes) -> str | None:
        label: str | None = self._decode(data)
        if len(self) < _MEMO_LIMIT:
            self[data] = label
        return label


_whos, _truths = _Whos(), _Truths()


def who_bytes(version: str, label: str | None, scores: dict[str, float] | None, tags: dict[str, str]) -> bytes:
    return _encode((version, label, scores, tags))


def who_of(data: bytes) -> Who:
    return _whos[data]


def truth_bytes(label: str | None) -> bytes:
    return _encode(label)


def truth_of(data: bytes) -> str | None:
    return _truths[data]


# -- columns ---------------------------------------------------------------------------------------------------------


def predicted_entries(stamps: Iterable[bytes], predictions: Rows, whos: Sequence[bytes]) -> list[bytes]:
    kind = _KINDS[PREDICTED]
    return [b"".join((s, kind, p, w)) for s, p, w in zip(stamps, _cut(predictions), whos, strict=True)]


def labelled_entries(stamps: Iterable[bytes], labels: Rows, truths: Sequence[bytes]) -> list[bytes]:
    kind = _KINDS[LABELLED]
    return [b"".join((s, kind, label, t)) for s, label, t in zip(stamps, _cut(labels), truths, strict=True)]


def paired_entries(
    stamps: Iterable[bytes], predictions: Rows, whos: Sequence[bytes], labels: Rows, truths: Sequence[bytes]
) -> list[bytes]:
    kind = _KINDS[PAIRED]
    distinct = set(whos)
    if max(map(len, distinct), default=0) > _LONGEST_WHO:
        return [_paired_entry(*each) for each in zip(stamps, predictions, whos, labels, truths, strict=True)]
    lengths = {who: _LENGTH.pack(len(who)) for who in distinct}
    parts = zip(stamps, _cut(predictions), _cut(labels), whos, truths, strict=True)
    return [b"".join((s, kind, p, label, lengths[w], w, t)) for s, p, label, w, t in parts]


def _paired_entry(stamp: bytes, prediction: Any, who: bytes, label: Any, truth: bytes) -> bytes:
    record = prediction_record(prediction, who)
    record.claimed = True
    return pack(Entry([record], [label_record(label, truth)]), stamp)


def predictions_of(entries: Sequence[bytes]) -> tuple[Rows, list[bytes]]:
    """Columns and whos of PREDICTED entries."""
    body = b"".join([entry[_BODY:_WHO_AT] for entry in entries])
    return np.frombuffer(body, PREDICTION), [entry[_WHO_AT:] for entry in entries]


def labels_of(entries: Sequence[bytes]) -> tuple[Rows, list[bytes]]:
    """Columns and truths of LABELLED entries."""
    body = b"".join([entry[_BODY:_TRUTH_AT] for entry in entries])
    return np.frombuffer(body, LABEL), [entry[_TRUTH_AT:] for entry in entries]


def prediction_rows(records: Sequence[PredictionRecord]) -> tuple[Rows, list[bytes]]:
    rows = [
        (
            r.timestamp_ms,
            r.offset,
            NO_DEADLINE if r.deadline_ms is None else r.deadline_ms,
            _nan(r.score),
            _nan(r.value),
        )
        for r in records
    ]
    return np.array(rows, PREDICTION), [who_bytes(r.version, r.label, r.scores, r.tags) for r in records]


def label_rows(labels: Sequence[LabelRecord]) -> tuple[Rows, list[bytes]]:
    rows = [(label.timestamp_ms, label.offset, _nan(label.value)) for label in labels]
    return np.array(rows, LABEL), [truth_bytes(label.label) for label in labels]


def prediction_record(row: Any, who: bytes) -> PredictionRecord:
    """The record of one row of PREDICTION columns."""
    ms, offset, deadline, score, value = row.item()
    whom = who_of(who)
    return PredictionRecord(
        whom.version,
        ms,
        whom.label,
        _known(score),
        _known(value),
        whom.scores,
        whom.tags,
        offset,
        deadline_ms=None if deadline == NO_DEADLINE else deadline,
    )


def label_record(row: Any, truth: bytes) -> LabelRecord:
    """The record of one row of LABEL columns."""
    ms, offset, value = row.item()
    return LabelRecord(ms, truth_of(truth), _known(value), offset)


# -- one entry -------------------------------------------------------------------------------------------------------


def pack(entry: Entry, stamp: bytes) -> bytes:
    stamps, records, labels = [stamp], entry.predictions, entry.labels
    if (
        len(records) <= 1
        and len(labels) <= 1
        and all(r.counted for r in records)
        and not any(x.carries for x in labels)
    ):
        claimed = any(record.claimed for record in records)
        if records and not labels and not entry.waiting and not claimed:
            return predicted_entries(stamps, *prediction_rows(records))[0]
        if labels and not records and entry.waiting:
            return labelled_entries(stamps, *label_rows(labels))[0]
        if labels and records and not entry.waiting and claimed:
            rows, whos = prediction_rows(records)
            if len(whos[0]) <= _LONGEST_WHO:
                return paired_entries(stamps, rows, whos, *label_rows(labels))[0]
    return stamp + _KINDS[GENERAL] + _encode(entry)


def unpack(data: bytes) -> Entry:
    """The entry, without its stamp. FormatError for bytes that are none."""
    try:
        return _unpack(data)
    except (*UNREADABLE, ValueError, IndexError, struct.error) as error:
        raise FormatError(
            f"a join entry must be one of kinds 0 to {PAIRED}; found {len(data)} bytes that are not ({error})",
            mend="delete the instance's join folder: it is rebuilt from Kafka",
        ) from error


def _unpack(data: bytes) -> Entry:
    kind = data[KIND_AT]
    if kind == PREDICTED:
        rows, whos = predictions_of([data])
        return Entry([prediction_record(rows[0], whos[0])], [])
    if kind == LABELLED:
        rows, truths = labels_of([data])
        return Entry([], [label_record(rows[0], truths[0])], waiting=True)
    if kind == PAIRED:
        (length,) = _LENGTH.unpack_from(data, _TAILS_AT)
        at = _TAILS_AT + _LENGTH.size
        record = prediction_record(np.frombuffer(data, PREDICTION, 1, _BODY)[0], data[at : at + length])
        record.claimed = True
        return Entry([record], [label_record(np.frombuffer(data, LABEL, 1, _LABEL_AT)[0], data[at + length :])])
    if kind == GENERAL:
        return _entry.decode(data[_BODY:])
    raise ValueError(f"kind {kind}")


def _cut(rows: Rows) -> list[bytes]:
    size = rows.dtype.itemsize
    data = rows.tobytes()
    return [data[at : at + size] for at in range(0, len(data), size)]


def _nan(value: float | None) -> float:
    return np.nan if value is None else value


def _known(value: float) -> float | None:
    return None if value != value else value
