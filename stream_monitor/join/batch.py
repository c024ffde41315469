"""A batch of one model and partition against the entries of its ids: what entry.py says of each event, in columns.

Nearly every event is an id never met, or the counterpart of one that waits: those are told by the kind of the entry's
bytes and joined as whole columns.  Everything else (repeats, revisions, several versions, labels outside the window,
an id twice in the batch) goes event by event through entry.py.  That both give the same is a law of tests/join.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from stream_monitor.join.entry import (
    Effect,
    Entry,
    Outcome,
    PredictionRecord,
    add_label,
    add_prediction,
)
from stream_monitor.join.overlay import Overlay
from stream_monitor.join.packed import (
    KIND_AT,
    LABELLED,
    PREDICTED,
    Rows,
    label_record,
    label_rows,
    labelled_entries,
    labels_of,
    pack,
    paired_entries,
    predicted_entries,
    prediction_record,
    prediction_rows,
    predictions_of,
    unpack,
)
from stream_monitor.join.policy import JoinPolicy
from stream_monitor.join.store import NO_OFFSET, Floors, add_floors, stamp

T = TypeVar("T")
_NONE: Final = -1
Places = NDArray[np.intp]


class Pairs(NamedTuple):
    """Pairs of a prediction and the label that counts for it, as columns; `places`: of the event that made it."""

    places: list[int]
    predictions: Rows
    whos: list[bytes]
    labels: Rows
    truths: list[bytes]


class Ledger(NamedTuple):
    """Waits for a label that began (+1) or ended (−1): whose, and where they are booked."""

    whos: list[bytes]
    deadlines: list[int]


class Moments(NamedTuple):
    """By the time of an id's first label (ms): labels that came first, and the change of labels that wait."""

    ms: NDArray[np.int64]
    labels: NDArray[np.int64]
    waiting: NDArray[np.int64]


class Effects:
    """What batches did, summed up: `repeats` are places of predictions that were counted before."""

    def __init__(self) -> None:
        self.repeats: list[int] = []
        self.awaited = Ledger([], [])
        self.settled = Ledger([], [])
        self._moments: list[Moments] = []
        self.outcomes: Counter[str] = Counter()
        self._pairs: list[Pairs] = []

    def moments(self) -> Moments:
        if not self._moments:
            return _moments([], 0, 0)
        return Moments(*map(np.concatenate, zip(*self._moments, strict=True)))

    def came(self, ms: Sequence[int] | NDArray[np.int64], labels: int, waiting: int) -> None:
        """Ids whose first label is at `ms`: each brought so many first labels, and such a change of waiting ones."""
        if len(ms):
            self._moments.append(_moments(ms, labels, waiting))

    def pairs(self) -> Pairs | None:
        """All pairs, None if there are none."""
        parts = self._pairs
        if len(parts) <= 1:
            return parts[0] if parts else None
        return Pairs(
            [place for part in parts for place in part.places],
            np.concatenate([part.predictions for part in parts]),
            [who for part in parts for who in part.whos],
            np.concatenate([part.labels for part in parts]),
            [truth for part in parts for truth in part.truths],
        )

    def paired(self, pairs: Pairs) -> None:
        if pairs.places:
            self._pairs.append(pairs)
            self.outcomes["joined"] += len(pairs.places)

    def one(self, place: int, effect: Effect) -> None:
        """What entry.py said of one event."""
        for ledger, records in ((self.awaited, effect.awaited), (self.settled, effect.settled)):
            rows, whos = prediction_rows(records)
            ledger.whos.extend(whos)
            ledger.deadlines.extend(rows["deadline"].tolist())
        if effect.pairs:
            rows, whos = prediction_rows([pair.prediction for pair in effect.pairs])
            labels, truths = label_rows([pair.label for pair in effect.pairs])
            self.paired(Pairs([place] * len(whos), rows, whos, labels, truths))


def join_predictions(
    overlay: Overlay,
    join: JoinPolicy,
    partition: int,
    places: Sequence[int],
    keys: Sequence[bytes],
    rows: Rows,
    whos: Sequence[bytes],
    effects: Effects,
) -> None:
    """Predictions in the order of their partition. Each counts once a version; waiting labels make pairs."""
    batch = _Batch(overlay, join, partition, keys)
    fresh = batch.of_kind(_NONE)
    mine, names = rows[fresh], at_places(whos, fresh)
    batch.put(fresh, predicted_entries(batch.stamps(mine["ms"], mine["offset"], None), mine, names))
    effects.awaited.whos.extend(names)
    effects.awaited.deadlines.extend(mine["deadline"].tolist())

    waiting = batch.of_kind(LABELLED)
    if len(waiting) and join.join_window_ms is not None:
        labels, truths = labels_of(batch.entries(waiting))
        fits = np.abs(labels["ms"] - rows["ms"][waiting]) <= join.join_window_ms
        waiting, labels, truths = waiting[fits], labels[fits], [t for t, fit in zip(truths, fits, strict=True) if fit]
        mine, names = rows[waiting], at_places(whos, waiting)
        stamps = batch.stamps(np.maximum(labels["ms"], mine["ms"]), mine["offset"], labels["offset"])
        batch.put(waiting, paired_entries(stamps, mine, names, labels, truths))
        effects.paired(Pairs(at_places(places, waiting), mine, names, labels, truths))
        effects.came(labels["ms"], 0, -1)

    for i, entry in batch.others():
        effect = add_prediction(entry, prediction_record(rows[i], whos[i]), join.join_window_ms)
        if effect.outcome is Outcome.DUPLICATE:
            effects.outcomes["duplicate_prediction"] += 1
            effects.repeats.append(places[i])
            continue
        effects.one(places[i], effect)
        if effect.waiting:
            effects.came([entry.labels[0].timestamp_ms], 0, effect.waiting)
    batch.write()


def join_labels(
    overlay: Overlay,
    join: JoinPolicy,
    partition: int,
    places: Sequence[int],
    keys: Sequence[bytes],
    rows: Rows,
    truths: Sequence[bytes],
    carried: dict[int, PredictionRecord],
    effects: Effects,
) -> None:
    """Labels in the order of their partition; `carried`: predictions that travel with their label, by place."""
    assert join.join_window_ms is not None
    batch = _Batch(overlay, join, partition, keys, odd=[i for i, place in enumerate(places) if place in carried])
    fresh = batch.of_kind(_NONE)
    mine = rows[fresh]
    batch.put(fresh, labelled_entries(batch.stamps(mine["ms"], None, mine["offset"]), mine, at_places(truths, fresh)))
    effects.came(mine["ms"], 1, 1)

    waiting = batch.of_kind(PREDICTED)
    if len(waiting):
        found, whos = predictions_of(batch.entries(waiting))
        fits = np.abs(found["ms"] - rows["ms"][waiting]) <= join.join_window_ms
        waiting, found, whos = waiting[fits], found[fits], [who for who, fit in zip(whos, fits, strict=True) if fit]
        mine, names = rows[waiting], at_places(truths, waiting)
        stamps = batch.stamps(np.maximum(found["ms"], mine["ms"]), found["offset"], mine["offset"])
        batch.put(waiting, paired_entries(stamps, found, whos, mine, names))
        effects.paired(Pairs(at_places(places, waiting), found, whos, mine, names))
        effects.settled.whos.extend(whos)
        effects.settled.deadlines.extend(found["deadline"].tolist())
        effects.came(mine["ms"], 1, 0)
    if columns := len(fresh) + len(waiting):
        effects.outcomes[str(Outcome.NEW)] += columns

    for i, entry in batch.others():
        label = label_record(rows[i], truths[i])
        label.carries = carried.get(places[i])
        first = not entry.labels
        effect = add_label(entry, label, join.join_window_ms)
        effects.outcomes[str(effect.outcome)] += 1
        effects.one(places[i], effect)
        if first or effect.waiting:
            effects.came([entry.labels[0].timestamp_ms], int(first), effect.waiting)
    batch.write()


class _Batch:
    """The entries of a batch's ids by kind, and those that replace them."""

    def __init__(
        self, overlay: Overlay, join: JoinPolicy, partition: int, keys: Sequence[bytes], odd: Iterable[int] = ()
    ) -> None:
        self._overlay, self._join, self._partition, self._keys = overlay, join, partition, keys
        self._general = np.zeros(len(keys), np.bool_)
        self._general[list(odd)] = True
        if len(set(keys)) == len(keys):
            self._entries = overlay.load(partition, keys)
        else:
            times = Counter(keys)
            self._general |= np.array([times[key] > 1 for key in keys])
            found = dict(zip(times, overlay.load(partition, list(times)), strict=True))
            self._entries = [found[key] for key in keys]
        self._kinds = np.array([_NONE if entry is None else entry[KIND_AT] for entry in self._entries], np.int8)
        self._done = np.zeros(len(keys), np.bool_)
        self._changed: dict[bytes, bytes] = {}
        self._floors: dict[int, Floors] = {}
        self._opened: dict[bytes, Entry] = {}

    def of_kind(self, kind: int) -> Places:
        """Places of ids whose entry is of this kind and which the batch has once."""
        return np.flatnonzero((self._kinds == kind) & ~self._general)

    def entries(self, places: Places) -> list[bytes]:
        return [entry for i in places.tolist() if (entry := self._entries[i]) is not None]

    def put(self, places: Places, entries: Sequence[bytes]) -> None:
        self._done[places] = True
        self._changed.update(zip(at_places(self._keys, places), entries, strict=True))

    def stamps(
        self, newest_ms: NDArray[np.int64], predictions: NDArray[np.int64] | None, labels: NDArray[np.int64] | None
    ) -> list[bytes]:
        """Of entries whose newest event is at `newest_ms` and which need these offsets: noted as floors."""
        expires = self._join.expires_ms(newest_ms)
        known: dict[int, bytes] = {}
        for moment in np.unique(expires).tolist():
            known[moment] = stamp(moment)
            mine = expires == moment
            lowest = [NO_OFFSET if each is None else int(each[mine].min()) for each in (predictions, labels)]
            add_floors(self._floors, {moment: Floors(*lowest)})
        return [known[moment] for moment in expires.tolist()]

    def others(self) -> Iterable[tuple[int, Entry]]:
        """What was not put yet, in order, each with its entry to be changed in place."""
        for i in np.flatnonzero(~self._done).tolist():
            key = self._keys[i]
            entry = self._opened.get(key)
            if entry is None:
                found = self._entries[i]
                entry = self._opened[key] = Entry() if found is None else unpack(found)
            yield i, entry

    def write(self) -> None:
        for key, entry in self._opened.items():
            expires = self._join.expires_ms(entry.newest_ms)
            self._changed[key] = pack(entry, stamp(expires))
            prediction, label = entry.floors()
            need = Floors(NO_OFFSET if prediction is None else prediction, NO_OFFSET if label is None else label)
            add_floors(self._floors, {expires: need})
        self._overlay.put(self._partition, self._changed.keys(), self._changed.values(), self._floors)


def _moments(ms: Sequence[int] | NDArray[np.int64], labels: int, waiting: int) -> Moments:
    return Moments(np.array(ms, np.int64), np.full(len(ms), labels), np.full(len(ms), waiting))


def at_places(column: Sequence[T], places: Places) -> list[T]:
    """Items at ascending places, as a list."""
    if len(places) == len(column):
        return list(column)
    return [column[i] for i in places.tolist()]
