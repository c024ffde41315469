"""Reads the rows a reference profile is made of: NDJSON prediction events, or a CSV whose columns the user names.

Both end as the same columns, read by the same decoders and outcome rules as the stream, so that reference and stream
cannot differ by reading alone. Costs the memory of all values. Ages are not judged: reference data may be old.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO

from stream_monitor.errors import ProfileError, UsageError
from stream_monitor.events.columns import raw_features
from stream_monitor.events.decode import LabelDecoder, PredictionDecoder
from stream_monitor.events.label import ActualBody, LabelEvent
from stream_monitor.events.outcome import Actual, Predicted, actual, predicted
from stream_monitor.events.policy import DecodePolicy, OutcomePolicy, Task
from stream_monitor.events.prediction import PredictionBody
from stream_monitor.reference.columns import typed_column

_CHUNK = 5_000
_NO_TIME = -1  # of the record: then the event's time is not judged
Progress = Callable[[int], None]  # called with the bytes read since the last call


@dataclass(slots=True)
class ReferenceRows:
    """Columns of equal length; `others` rows were of other models, `lone_labels` label events, `rejected` no events."""

    n: int = 0
    columns: dict[str, list[object]] = field(default_factory=dict)
    predictions: list[Predicted] = field(default_factory=list)
    actuals: list[Actual | None] = field(default_factory=list)
    others: int = 0
    lone_labels: int = 0
    rejected: int = 0
    first_reject: str = ""

    def outputs(self, task: Task) -> list[object] | None:
        """Scores, predicted classes or values, whichever the task's output is; None if no row has one."""
        found: list[object] = [_output(row, task) for row in self.predictions]
        return found if any(value is not None for value in found) else None

    def actual_classes(self) -> list[str | None] | None:
        found = [None if row is None else row.label for row in self.actuals]
        return found if any(label is not None for label in found) else None

    def class_scores(self) -> dict[str, list[float | None]]:
        classes = sorted({name for row in self.predictions for name in row.scores or ()})
        return {name: [(row.scores or {}).get(name) for row in self.predictions] for name in classes}


def _output(row: Predicted, task: Task) -> object:
    if task is Task.BINARY:
        return row.score
    return row.label if task is Task.MULTICLASS else row.value


def read_ndjson(
    path: Path, model: str, decode: DecodePolicy, outcome: OutcomePolicy, progress: Progress = lambda read: None
) -> ReferenceRows:
    """Prediction events, one a line, each with an optional `actual` as in a label event."""
    predictions, labels = PredictionDecoder(decode), LabelDecoder(decode)
    rows = ReferenceRows()
    with _opened(path) as file:
        for lines in _chunks(file):
            values = [line.strip() for line in lines]
            values = [value for value in values if value]
            decoded = predictions.decode_batch(values, [_NO_TIME] * len(values))
            truths = _actuals(labels, values)
            rejects = [reject for i, reject in decoded.rejects if i not in truths]
            rows.lone_labels += len(decoded.rejects) - len(rejects)
            rows.rejected += len(rejects)
            if rejects and not rows.first_reject:
                rows.first_reject = rejects[0].sentence
            ours = [i for i, row in enumerate(decoded.rows) if row.model_name == model]
            rows.others += len(decoded.rows) - len(ours)
            _append(rows, raw_features([decoded.rows[i].features for i in ours]), len(ours))
            rows.predictions += [predicted(decoded.rows[i].prediction, outcome) for i in ours]
            events = [truths.get(decoded.index[i]) for i in ours]
            rows.actuals += [None if event is None else actual(event, outcome) for event in events]
            progress(sum(map(len, lines)))
    if rows.n == 0 and rows.others:
        raise ProfileError(f"{path} has {rows.others} events, but none of model {model!r}")
    if rows.n == 0 and rows.first_reject:
        raise ProfileError(f"{path} has no usable event; the first line's fault: {rows.first_reject}")
    if rows.n == 0 and rows.lone_labels:
        raise ProfileError(f"{path} has {rows.lone_labels} label events, but no prediction")
    return rows


def _actuals(decoder: LabelDecoder, values: Sequence[bytes]) -> dict[int, LabelEvent]:
    """A prediction event with `actual` has all that a label event needs; without it, it is rejected as one."""
    decoded = decoder.decode_batch(values, [_NO_TIME] * len(values))
    return dict(zip(decoded.index, decoded.rows, strict=True))


def _append(rows: ReferenceRows, columns: dict[str, list[object]], n: int) -> None:
    for name, values in columns.items():
        rows.columns.setdefault(name, [None] * rows.n).extend(values)
    rows.n += n
    for values in rows.columns.values():
        values.extend([None] * (rows.n - len(values)))


@dataclass(frozen=True, slots=True)
class CsvColumns:
    """Which columns of a CSV hold what; `features` empty: all others."""

    features: tuple[str, ...] = ()
    score: str | None = None
    label: str | None = None
    actual: str | None = None
    value: str | None = None

    def named(self) -> list[str]:
        return [name for name in (*self.features, self.score, self.label, self.actual, self.value) if name]


def read_csv(
    path: Path, outcome: OutcomePolicy, names: CsvColumns, progress: Progress = lambda read: None
) -> ReferenceRows:
    """A CSV with a header line. Empty cells are missing; a column is numeric if nearly all of its cells are."""
    with _opened(path) as file:
        lines = _csv_lines((_text(line, path) for line in _counted(file, progress)), path)
        _, header = next(lines, (0, []))
        _check_header(header, names, path)
        texts: dict[str, list[str]] = {name: [] for name in header}
        for number, cells in lines:
            if not cells:
                continue
            if len(cells) != len(header):
                raise ProfileError(f"{path} line {number} has {len(cells)} cells, its header {len(header)}")
            for name, cell in zip(header, cells, strict=True):
                texts[name].append(cell)
    columns = {name: typed_column(cells) for name, cells in texts.items()}
    n = len(next(iter(columns.values()), []))
    roles = {names.score, names.label, names.actual, names.value}
    features = names.features or tuple(name for name in header if name not in roles)
    empty: list[object] = [None] * n

    def column(name: str | None) -> list[object]:
        return columns[name] if name else empty

    bodies = [
        PredictionBody(label=_label(label), score=_number(score), value=_number(value))
        for label, score, value in zip(column(names.label), column(names.score), column(names.value), strict=True)
    ]
    return ReferenceRows(
        n=n,
        columns={name: columns[name] for name in features},
        predictions=[predicted(body, outcome) for body in bodies],
        actuals=[_truth(cell, outcome) for cell in column(names.actual)],
    )


def _csv_lines(lines: Iterable[str], path: Path) -> Iterator[tuple[int, list[str]]]:
    """The cells of each line, with the number of its last line in the file."""
    reader = csv.reader(lines)
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        raise ProfileError(f"{path} line {reader.line_num} is no line of a CSV: {error}") from None


def _check_header(header: Sequence[str], names: CsvColumns, path: Path) -> None:
    if not header:
        raise ProfileError(f"{path} is empty; a CSV begins with a line of column names")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise ProfileError(f"{path} has columns of the same name: {', '.join(twice)}")
    missing = [name for name in names.named() if name not in header]
    if missing:
        raise UsageError(f"{path} has no column {', '.join(missing)}; it has {', '.join(header)}")


def _label(cell: object) -> str | float | None:
    return cell if isinstance(cell, str | float) else None


def _number(cell: object) -> float | None:
    # Text in a column of numbers is present but wrong, which is +inf everywhere in the core.
    return float("inf") if isinstance(cell, str) else cell if isinstance(cell, float) else None


def _truth(cell: object, outcome: OutcomePolicy) -> Actual | None:
    if cell is None:
        return None
    body = ActualBody(value=_number(cell)) if outcome.task is Task.REGRESSION else ActualBody(label=_label(cell))
    return actual(LabelEvent(model_name="-", prediction_id="-", timestamp=0, actual=body), outcome)


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None


def _chunks(file: Iterable[bytes]) -> Iterator[list[bytes]]:
    lines = iter(file)
    while chunk := list(islice(lines, _CHUNK)):
        yield chunk


def _counted(file: Iterable[bytes], progress: Progress) -> Iterator[bytes]:
    for lines in _chunks(file):
        yield from lines
        progress(sum(map(len, lines)))


def _text(line: bytes, path: Path) -> str:
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ProfileError(f"{path} is not UTF-8 text") from None
