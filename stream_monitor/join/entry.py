"""One prediction_id of one model: its predictions (one a version) and its labels, in either order.

The law that makes replay and interleaving harmless: the two topics are read in their own order but interleaved
anyhow, and the entry, the pairs and the net counts that come out are the same (tests/join).  A pair counts once, at
its first eligible label.  Eligibility depends on the pair alone: |label − prediction| ≤ join window.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec

from stream_monitor.join.policy import MAX_LABELS_KEPT


class Outcome(StrEnum):
    """What one event did to its entry."""

    NEW = "new"
    DUPLICATE = "duplicate"
    REVISED = "revised"  # a differing newer label; the first one keeps counting by label time
    INELIGIBLE = "ineligible"  # a label outside the join window of every known prediction


class PredictionRecord(msgspec.Struct, array_like=True, gc=False):
    """What a later label, or a retraction, needs of a prediction.

    `claimed` is true once a pair was made; `counted` is false while only a self-contained label told of it.
    `deadline_ms`: where it was booked in the deadline ledger, so that it is booked out there whatever the config then.
    """

    version: str
    timestamp_ms: int
    label: str | None
    score: float | None
    value: float | None
    scores: dict[str, float] | None
    tags: dict[str, str]
    offset: int
    claimed: bool = False
    counted: bool = True
    deadline_ms: int | None = None


class LabelRecord(msgspec.Struct, array_like=True, gc=False):
    timestamp_ms: int
    label: str | None
    value: float | None
    offset: int
    carries: PredictionRecord | None = None  # self-contained: the prediction travels with its label

    def same_actual(self, other: LabelRecord) -> bool:
        return self.label == other.label and self.value == other.value


class Entry(msgspec.Struct, array_like=True, gc=False):
    """`waiting`: labels came, and no prediction that one of them can join."""

    predictions: list[PredictionRecord] = []
    labels: list[LabelRecord] = []
    waiting: bool = False

    @property
    def newest_ms(self) -> int:
        moments = [record.timestamp_ms for record in self.predictions]
        moments += [label.timestamp_ms for label in self.labels]
        return max(moments)

    def floors(self) -> tuple[int | None, int | None]:
        """First offsets in the predictions and labels topics that this entry is made of."""
        counted = [p.offset for p in self.predictions if p.counted]
        return min(counted, default=None), min((label.offset for label in self.labels), default=None)


class Pair(NamedTuple):
    """A prediction and the label that counts for it."""

    prediction: PredictionRecord
    label: LabelRecord


class Effect(NamedTuple):
    """What happened: the pairs made; the change (−1, 0, +1) of waiting labels, booked at the first label's time; the
    counted predictions whose wait for a label ended (`settled`) or began (`awaited`)."""

    outcome: Outcome
    pairs: tuple[Pair, ...] = ()
    waiting: int = 0
    awaited: tuple[PredictionRecord, ...] = ()
    settled: tuple[PredictionRecord, ...] = ()


_DUPLICATE = Effect(Outcome.DUPLICATE)


def add_prediction(entry: Entry, record: PredictionRecord, join_window_ms: int | None) -> Effect:
    """Add the first prediction of its version, or find that it is a repeat."""
    for i, known in enumerate(entry.predictions):
        if known.version == record.version:
            if known.counted:
                return _DUPLICATE
            entry.predictions[i] = record
            record.claimed = known.claimed
            return Effect(Outcome.NEW)
    entry.predictions.append(record)
    for label in entry.labels:
        if (
            join_window_ms is not None
            and label.carries is None
            and abs(label.timestamp_ms - record.timestamp_ms) <= join_window_ms
        ):
            record.claimed = True
            return Effect(Outcome.NEW, (Pair(record, label),), _no_longer_waiting(entry))
    return Effect(Outcome.NEW, awaited=(record,))


def add_label(entry: Entry, label: LabelRecord, join_window_ms: int) -> Effect:
    """Add a label: it joins every version that has no pair yet and lies within the window.

    A repeat that carries the prediction of a version without a pair is none: each version brings its own label.
    """
    first = not entry.labels
    repeated = not first and entry.labels[-1].same_actual(label)
    if repeated and (label.carries is None or _is_claimed(entry, label.carries.version)):
        return _DUPLICATE
    if not repeated:
        _remember(entry.labels, label)
    settled: tuple[PredictionRecord, ...] = ()
    if label.carries is not None:
        pairs, settled = _claim_carried(entry, label, label.carries)
    else:
        pairs = tuple(
            Pair(record, label)
            for record in entry.predictions
            if not record.claimed and abs(label.timestamp_ms - record.timestamp_ms) <= join_window_ms
        )
        settled = tuple(record for record, _ in pairs)
        for record in settled:
            record.claimed = True
    waiting = 0
    if pairs:
        waiting = _no_longer_waiting(entry)
    elif first:
        entry.waiting, waiting = True, 1
    if not first and not repeated:
        return Effect(Outcome.REVISED, pairs, waiting, settled=settled)
    eligible = bool(pairs) or not entry.predictions
    return Effect(Outcome.NEW if eligible else Outcome.INELIGIBLE, pairs, waiting, settled=settled)


def _remember(labels: list[LabelRecord], label: LabelRecord) -> None:
    if len(labels) < MAX_LABELS_KEPT:
        labels.append(label)
    else:
        labels[-1] = label


def _claim_carried(
    entry: Entry, label: LabelRecord, carried: PredictionRecord
) -> tuple[tuple[Pair, ...], tuple[PredictionRecord, ...]]:
    """A self-contained label makes its own pair, of what it carries, whatever the window; once a version."""
    for known in entry.predictions:
        if known.version == carried.version:
            if known.claimed:
                return (), ()
            known.claimed = True
            return (Pair(carried, label),), (known,)
    entry.predictions.append(
        PredictionRecord(
            carried.version,
            carried.timestamp_ms,
            None,
            None,
            None,
            None,
            {},
            label.offset,
            claimed=True,
            counted=False,
        )
    )
    return (Pair(carried, label),), ()


def _is_claimed(entry: Entry, version: str) -> bool:
    return any(known.version == version and known.claimed for known in entry.predictions)


def _no_longer_waiting(entry: Entry) -> int:
    was, entry.waiting = entry.waiting, False
    return -1 if was else 0
