"""The join of one id, against the obvious oracle: look at all predictions and all labels at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.join.entry import (
    Entry,
    LabelRecord,
    Outcome,
    PredictionRecord,
    add_label,
    add_prediction,
)

WINDOW = 100


def prediction(version: str = "1", at: int = 0, offset: int = 0) -> PredictionRecord:
    return PredictionRecord(version, at, "1", 0.7, None, None, {}, offset)


def label(at: int, actual: str = "1", offset: int = 0) -> LabelRecord:
    return LabelRecord(at, actual, None, offset)


def test_a_label_joins_every_version_that_scored_its_id() -> None:
    entry = Entry()
    add_prediction(entry, prediction("1"), WINDOW)
    add_prediction(entry, prediction("2"), WINDOW)
    effect = add_label(entry, label(50), WINDOW)
    assert [pair.prediction.version for pair in effect.pairs] == ["1", "2"]
    assert add_prediction(entry, prediction("3", at=20), WINDOW).pairs[0].label.timestamp_ms == 50


def test_a_repeated_equal_label_is_a_duplicate_and_a_differing_one_a_revision() -> None:
    entry = Entry()
    add_prediction(entry, prediction(), WINDOW)
    assert add_label(entry, label(10), WINDOW).outcome is Outcome.NEW
    assert add_label(entry, label(11), WINDOW).outcome is Outcome.DUPLICATE
    revised = add_label(entry, label(12, "0"), WINDOW)
    assert revised.outcome is Outcome.REVISED
    assert revised.pairs == ()


def test_the_first_prediction_of_a_version_counts() -> None:
    entry = Entry()
    assert add_prediction(entry, prediction(at=1), WINDOW).outcome is Outcome.NEW
    assert add_prediction(entry, prediction(at=2), WINDOW).outcome is Outcome.DUPLICATE
    assert entry.predictions[0].timestamp_ms == 1


def test_a_label_outside_the_window_is_ineligible_and_waits() -> None:
    entry = Entry()
    add_prediction(entry, prediction(at=0), WINDOW)
    effect = add_label(entry, label(WINDOW + 1), WINDOW)
    assert (effect.outcome, effect.waiting, effect.pairs) == (Outcome.INELIGIBLE, 1, ())
    assert add_label(entry, label(WINDOW, "0"), WINDOW).waiting == -1


def test_a_self_contained_label_needs_no_prediction_and_no_window() -> None:
    carried = LabelRecord(9_999_999, "1", None, 5, carries=prediction("1", at=0))
    late, early = Entry(), Entry()
    assert len(add_label(late, carried, WINDOW).pairs) == 1
    assert add_prediction(late, prediction("1"), WINDOW) == (Outcome.NEW, (), 0, (), ())
    assert add_prediction(late, prediction("1"), WINDOW).outcome is Outcome.DUPLICATE
    add_prediction(early, prediction("1"), WINDOW)
    effect = add_label(early, carried, WINDOW)
    assert (len(effect.pairs), len(effect.settled)) == (1, 1), "the prediction that was awaited is settled"
    assert add_label(early, carried, WINDOW).outcome is Outcome.DUPLICATE


def test_each_version_brings_its_own_self_contained_label() -> None:
    entry = Entry()
    add_label(entry, label(5), WINDOW)
    first = add_label(entry, LabelRecord(10, "1", None, 1, carries=prediction("1")), WINDOW)
    second = add_label(entry, LabelRecord(11, "1", None, 2, carries=prediction("2")), WINDOW)
    assert [(e.outcome, len(e.pairs), e.waiting) for e in (first, second)] == [
        (Outcome.NEW, 1, -1),
        (Outcome.NEW, 1, 0),
    ]
    again = LabelRecord(12, "1", None, 3, carries=prediction("2"))
    assert add_label(entry, again, WINDOW).outcome is Outcome.DUPLICATE
    assert [known.version for known in entry.predictions] == ["1", "2"]


def distinct_labels(draws: list[tuple[int, str]]) -> list[LabelRecord]:
    return [label(at, actual, offset) for offset, (at, actual) in enumerate(draws)]


@given(
    predictions=st.lists(st.tuples(st.sampled_from("123"), st.integers(0, 300)), max_size=5),
    labels=st.lists(st.tuples(st.integers(0, 300), st.sampled_from("01")), max_size=7),
    data=st.data(),
)
def test_any_interleaving_gives_the_pairs_and_net_counts_of_the_oracle(predictions, labels, data) -> None:
    records = [prediction(version, at, offset) for offset, (version, at) in enumerate(predictions)]
    kept: list[LabelRecord] = []
    for one in distinct_labels(labels):
        if not kept or not kept[-1].same_actual(one):
            kept.append(one)
    firsts: dict[str, PredictionRecord] = {}
    for record in records:
        firsts.setdefault(record.version, record)
    expected = {
        version: next((one.offset for one in kept if abs(one.timestamp_ms - record.timestamp_ms) <= WINDOW), None)
        for version, record in firsts.items()
    }
    order = data.draw(st.permutations(["p"] * len(records) + ["l"] * len(labels)))
    entry, pairs, waiting, awaited = Entry(), {}, 0, 0
    todo_predictions = [prediction(version, at, offset) for offset, (version, at) in enumerate(predictions)]
    todo_labels = distinct_labels(labels)
    for step in order:
        if step == "p":
            effect = add_prediction(entry, todo_predictions.pop(0), WINDOW)
        else:
            effect = add_label(entry, todo_labels.pop(0), WINDOW)
        waiting += effect.waiting
        awaited += len(effect.awaited) - len(effect.settled)
        for pair in effect.pairs:
            assert pair.prediction.version not in pairs, "a prediction counts once"
            pairs[pair.prediction.version] = pair.label.offset
    assert pairs == {version: offset for version, offset in expected.items() if offset is not None}
    assert waiting == (1 if labels and not pairs else 0)
    assert awaited == len(firsts) - len(pairs)
