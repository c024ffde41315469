"""Whole columns join as entry.py joins event by event; entries survive their bytes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_monitor.errors import FormatError
from stream_monitor.join.batch import Effects, Ledger, Pairs, join_labels, join_predictions
from stream_monitor.join.entry import (
    Entry,
    LabelRecord,
    Outcome,
    PredictionRecord,
    add_label,
    add_prediction,
)
from stream_monitor.join.overlay import Overlay
from stream_monitor.join.packed import (
    NO_DEADLINE,
    label_record,
    label_rows,
    pack,
    prediction_record,
    prediction_rows,
    truth_of,
    unpack,
    who_bytes,
    who_of,
)
from stream_monitor.join.policy import JoinPolicy
from stream_monitor.join.store import MemoryStore, expires_ms, stamp

WINDOW = 100_000
GRANULE = 10_000
JOIN = JoinPolicy(WINDOW, 0)
DEDUPLICATE = JoinPolicy(None, WINDOW)
KEYS = [f"m\0{i}".encode() for i in range(4)]

moments = st.integers(0, 30).map(lambda step: step * 10_000)
prediction_events = st.builds(
    lambda key, version, at, label, score: (key, (version, at, label, score)),
    st.sampled_from(KEYS),
    st.sampled_from(["1", "1", "1", "2"]),
    moments,
    st.sampled_from(["0", "1", None]),
    st.sampled_from([None, 0.25, math.inf]),
)
label_events = st.builds(
    lambda key, at, label, value, carries: (key, (at, label, value, carries)),
    st.sampled_from(KEYS),
    moments,
    st.sampled_from(["0", "1", "1", None]),
    st.sampled_from([None, None, 2.5]),
    st.sampled_from([None, None, None, "1", "3"]),
)
steps = st.lists(
    st.tuples(st.just("predictions"), st.lists(prediction_events, max_size=6))
    | st.tuples(st.just("labels"), st.lists(label_events, max_size=6))
    | st.tuples(st.just("commit"), st.just([])),
    max_size=8,
)


def a_prediction(said: tuple[str, int, str | None, float | None], offset: int, join: JoinPolicy) -> PredictionRecord:
    version, at, label, score = said
    deadline = join.deadline_ms(at, GRANULE)
    return PredictionRecord(version, at, label, score, None, None, {"plan": version}, offset, deadline_ms=deadline)


def a_label(said: tuple[int, str | None, float | None, str | None], offset: int) -> LabelRecord:
    at, label, value, version = said
    carries = None if version is None else PredictionRecord(version, at - 5, "1", 0.5, None, None, {}, offset)
    return LabelRecord(at, label, value, offset, carries)


class Told:
    """What was said of all events, in a form that does not tell how they were batched."""

    def __init__(self) -> None:
        self.pairs: Counter[Any] = Counter()
        self.waits: Counter[Any] = Counter()
        self.moments: Counter[Any] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.repeats: list[int] = []


def one_by_one(steps: list[Any], join: JoinPolicy) -> tuple[Told, dict[bytes, Entry]]:
    """The oracle: entry.py, an event at a time, on entries in a dict."""
    told = Told()
    entries: dict[bytes, Entry] = {}
    for offset, (role, key, said) in enumerate(numbered(steps)):
        entry = entries.setdefault(key, Entry())
        first = not entry.labels
        if role == "predictions":
            effect = add_prediction(entry, a_prediction(said, offset, join), join.join_window_ms)
            if effect.outcome is Outcome.DUPLICATE:
                told.outcomes["duplicate_prediction"] += 1
                told.repeats.append(offset)
                continue
        else:
            effect = add_label(entry, a_label(said, offset), WINDOW)
            told.outcomes[str(effect.outcome)] += 1
        if effect.pairs:
            told.outcomes["joined"] += len(effect.pairs)
        for pair in effect.pairs:
            told.pairs[offset, shown(pair.prediction), shown(pair.label)] += 1
        for step, records in ((1, effect.awaited), (-1, effect.settled)):
            for record in records:
                told.waits[record.version, record.deadline_ms] += step
        if effect.waiting or (role == "labels" and first):
            came = int(role == "labels" and first)
            told.moments[entry.labels[0].timestamp_ms, came, effect.waiting] += 1
    return told, entries


def numbered(steps: list[Any]) -> list[tuple[str, bytes, Any]]:
    return [(role, key, said) for role, events in steps for key, said in events]


def shown(record: PredictionRecord | LabelRecord) -> Any:
    if isinstance(record, PredictionRecord):
        return (record.version, record.timestamp_ms, record.label, record.score, record.value, record.offset)
    return (record.timestamp_ms, record.label, record.value, record.offset)


def as_records(pairs: Pairs) -> list[tuple[int, Any, Any]]:
    rows = []
    for place, p, who, label, truth in zip(
        pairs.places, pairs.predictions.tolist(), pairs.whos, pairs.labels.tolist(), pairs.truths, strict=True
    ):
        whom = who_of(who)
        prediction = (whom.version, p[0], whom.label, known(p[3]), known(p[4]), p[1])
        rows.append((place, prediction, (label[0], truth_of(truth), known(label[2]), label[1])))
    return rows


def known(value: float) -> float | None:
    return None if math.isnan(value) else value


def book(waits: Counter[Any], ledger: Ledger, step: int) -> None:
    for who, deadline in zip(ledger.whos, ledger.deadlines, strict=True):
        waits[who_of(who).version, None if deadline == NO_DEADLINE else deadline] += step


def in_batches(steps: list[Any], join: JoinPolicy) -> tuple[Told, dict[bytes, Entry], MemoryStore]:
    told, store, offset = Told(), MemoryStore(), 0
    overlay = Overlay(store)

    def commit() -> None:
        store.write(0, *overlay.changes(0), {"predictions": offset, "labels": offset}, None)
        overlay.drop()

    for role, events in steps:
        places = list(range(offset, offset + len(events)))
        keys = [key for key, _ in events]
        effects = Effects()
        if role == "commit":
            commit()
        elif role == "predictions":
            rows, whos = prediction_rows(
                [a_prediction(said, i, join) for i, (_, said) in zip(places, events, strict=True)]
            )
            join_predictions(overlay, join, 0, places, keys, rows, whos, effects)
        else:
            labels = [a_label(said, i) for i, (_, said) in zip(places, events, strict=True)]
            carried = {label.offset: label.carries for label in labels if label.carries is not None}
            join_labels(overlay, join, 0, places, keys, *label_rows(labels), carried, effects)
        offset += len(events)
        told.repeats += effects.repeats
        told.outcomes += effects.outcomes
        told.moments.update(zip(*(column.tolist() for column in effects.moments()), strict=True))
        book(told.waits, effects.awaited, 1)
        book(told.waits, effects.settled, -1)
        pairs = effects.pairs()
        told.pairs.update(as_records(pairs) if pairs is not None else [])
    commit()
    found = dict(zip(KEYS, store.get_many(0, KEYS), strict=True))
    for data in found.values():
        if data is not None:
            assert expires_ms(data) == join.expires_ms(unpack(data).newest_ms)
    return told, {key: unpack(data) for key, data in found.items() if data is not None}, store


def same(steps: list[Any], join: JoinPolicy) -> None:
    expected, entries = one_by_one(steps, join)
    told, found, store = in_batches(steps, join)
    assert told.pairs == expected.pairs
    assert told.repeats == expected.repeats
    assert +told.waits == +expected.waits
    assert -told.waits == -expected.waits
    assert told.moments == expected.moments
    assert told.outcomes == expected.outcomes
    assert found == entries
    needed = [entry.floors() for entry in entries.values()]
    for side, role in enumerate(("predictions", "labels")):
        offsets = [floors[side] for floors in needed if floors[side] is not None]
        assert store.floors(0).get(role) == min(offsets, default=None)


@given(steps)
@settings(max_examples=400, deadline=None)
def test_columns_join_as_single_events_do(steps: list[Any]) -> None:
    same(steps, JOIN)


@pytest.mark.parametrize("length", [65_535, 65_536])  # two bytes say how long a pair's who is
@pytest.mark.parametrize("label_first", [False, True])
def test_a_prediction_of_very_many_scores_makes_its_pair(length: int, label_first: bool) -> None:
    rows, _ = prediction_rows([a_prediction(("1", 7, "a", None), 3, JOIN)])
    bare = len(who_bytes("1", "a", {f"{i:0>99}": 0.5 for i in range(590)}, {}))
    who = who_bytes("1" * (1 + length - bare - 2), "a", {f"{i:0>99}": 0.5 for i in range(590)}, {})
    assert len(who) == length
    labels, truths = label_rows([a_label((9, "a", None, None), 4)])
    overlay, effects = Overlay(MemoryStore()), Effects()
    sides: list[Callable[[], None]] = [
        lambda: join_predictions(overlay, JOIN, 0, [3], KEYS[:1], rows, [who], effects),
        lambda: join_labels(overlay, JOIN, 0, [4], KEYS[:1], labels, truths, {}, effects),
    ]
    for side in reversed(sides) if label_first else sides:
        side()
    pairs = effects.pairs()
    assert pairs is not None
    assert (pairs.whos, pairs.truths) == ([who], truths)
    (data,) = overlay.load(0, KEYS[:1])
    assert data is not None
    expected = add_to(
        after(add_prediction, prediction_record(rows[0], who)), add_label, label_record(labels[0], truths[0])
    )
    assert unpack(data) == expected
    sides[0]()
    assert effects.repeats == [3]


def test_scores_by_class_are_not_remembered() -> None:
    who = who_bytes("1", "a", {"a": 0.123456, "b": 0.876544}, {})
    assert who_of(who) == who_of(who)
    assert who_of(who) is not who_of(who)


@given(st.lists(st.tuples(st.just("predictions"), st.lists(prediction_events, max_size=6)), max_size=6))
@settings(max_examples=100, deadline=None)
def test_without_labels_repeats_are_found_the_same_way(steps: list[Any]) -> None:
    same(steps, DEDUPLICATE)


ENTRIES: list[Callable[[], Entry]] = [
    Entry,
    lambda: after(add_prediction, a_prediction(("1", 7, "0", 0.5), 3, JOIN)),
    lambda: after(add_prediction, a_prediction(("1", 7, None, None), 3, DEDUPLICATE)),
    lambda: after(add_label, a_label((9, "1", None, None), 4)),
    lambda: after(add_label, a_label((9, None, -2.5, None), 4)),
    lambda: after(add_label, a_label((9, "1", 1.0, "8"), 4)),
    lambda: add_to(ENTRIES[1](), add_label, a_label((9, "1", None, None), 4)),
    lambda: add_to(ENTRIES[6](), add_prediction, a_prediction(("2", 8, "0", 0.5), 5, JOIN)),
]


def after(add: Callable[..., Any], record: Any) -> Entry:
    return add_to(Entry(), add, record)


def add_to(entry: Entry, add: Callable[..., Any], record: Any) -> Entry:
    add(entry, record, WINDOW)
    return entry


@pytest.mark.parametrize("make", ENTRIES)
def test_an_entry_survives_its_bytes(make: Callable[[], Entry]) -> None:
    assert unpack(pack(make(), stamp(5))) == make()


def test_the_usual_entries_are_small() -> None:
    sizes: Sequence[int] = [len(pack(ENTRIES[i](), stamp(5))) for i in (1, 3, 6)]
    assert max(sizes) <= 100, sizes


@pytest.mark.parametrize("data", [b"", b"12345678", b"12345678\x01abc", b"12345678\x03" + b"\0" * 60, b"12345678\x09"])
def test_bytes_that_are_no_entry_are_refused_with_what_to_do(data: bytes) -> None:
    with pytest.raises(FormatError, match="a join entry must be one of kinds") as error:
        unpack(data)
    assert "rebuilt from Kafka" in str(error.value.mend)


def test_columns_hold_what_records_hold() -> None:
    rows, whos = prediction_rows([a_prediction(("1", 7, "0", 0.5), 3, JOIN)])
    assert (rows["ms"][0], rows["offset"][0], rows["score"][0], np.isnan(rows["value"][0])) == (7, 3, 0.5, True)
    assert who_of(whos[0]).tags == {"plan": "1"}
