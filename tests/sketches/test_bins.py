from __future__ import annotations

import math
from bisect import bisect_right

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_monitor.errors import ProfileError
from stream_monitor.events.columns import INVALID, FeatureColumns
from stream_monitor.events.scalars import canonical_scalar
from stream_monitor.sketches.bins import OUTPUT, BinCounter, BinLayout, BinSpec, CategoricalBins, NumericBins
from stream_monitor.sketches.hashing import hash_key, key_id

KEY = b"secret"
X = NumericBins("x", (-1.5, 0.0, math.nextafter(0.0, 1), 3.0))
CONSTANT = NumericBins("constant", (7.0, math.nextafter(7.0, 8)))
EMPTY = NumericBins("empty", ())
REGION = CategoricalBins("region", ("EU", "US"), frozenset({hash_key("rare", KEY)}))
OPEN = CategoricalBins("open", ("EU", "1", "true"), open_vocabulary=True)
HASHED = CategoricalBins("hashed", (hash_key("EU", KEY),), frozenset({hash_key("rare", KEY)}), hashed=True)
LAYOUT = BinLayout((X, REGION, CONSTANT, OPEN, HASHED, EMPTY), NumericBins(OUTPUT, (0.5,)), "s", key_id(KEY))


def slot_of(spec: BinSpec, value: object) -> int:
    """The oracle: one value, by the words of the contract."""
    if isinstance(spec, NumericBins):
        assert isinstance(value, float)
        if math.isnan(value):
            return len(spec.edges) + 1
        return len(spec.edges) + 2 if math.isinf(value) else bisect_right(spec.edges, value)
    k = len(spec.categories)
    if value is None:
        return k + 2
    if value is INVALID:
        return k + 3
    if not isinstance(value, str):
        assert isinstance(value, int | float)
        value = canonical_scalar(value)
    name = hash_key(value, KEY) if spec.hashed else value
    if name in spec.categories:
        return spec.categories.index(name)
    return k if spec.open_vocabulary or hash_key(value, KEY) in spec.other_hashes else k + 1


number = st.one_of(st.sampled_from([-1.5, 0.0, -0.0, 5e-324, 3.0, 7.0, 0.5]), st.floats())
text = st.sampled_from(["EU", "US", "rare", "new", "", None, INVALID, 1, 1.0, True, 2.5, "1", "true"])
row = st.tuples(number, text, number, text, text, number, number, st.integers(0, 2))


@settings(deadline=None)
@given(st.lists(row, max_size=30))
def test_counting_a_batch_is_counting_value_by_value(rows: list[tuple[object, ...]]) -> None:
    counter = BinCounter(LAYOUT, KEY)
    columns, output, groups = split(rows)
    counts = counter.count(columns, output, groups, 3)
    expected = np.zeros((3, LAYOUT.size), np.int64)
    for *values, group in rows:
        for spec, value in zip(LAYOUT.specs, values, strict=True):
            expected[group, LAYOUT.slice(spec.name).start + slot_of(spec, value)] += 1
    assert np.array_equal(counts, expected)
    assert np.array_equal(counter.count(columns, output)[0], expected.sum(axis=0))
    codes = counter.codes(columns, output)
    assert np.array_equal(counter.tally(codes, groups, 3), expected)
    assert np.array_equal(counter.tally(codes)[0], expected.sum(axis=0))  # codes are left as they were


def split(rows: list[tuple[object, ...]]) -> tuple[FeatureColumns, np.ndarray, np.ndarray]:
    by_column = list(zip(*rows, strict=True)) if rows else [()] * 8
    numeric = np.array([by_column[i] for i in (0, 2, 5)], np.float64).reshape(3, len(rows))
    categorical = tuple(list(by_column[i]) for i in (1, 3, 4))
    return FeatureColumns(numeric, categorical), np.array(by_column[6], float), np.array(by_column[7], np.intp)


def test_every_event_adds_one_to_each_feature_also_without_output() -> None:
    columns = FeatureColumns(np.array([[1.0, np.nan], [np.inf, -np.inf], [0, 0]]), (["EU", None],) * 3)
    counts = BinCounter(LAYOUT, KEY).count(columns, None)[0]
    assert all(counts[LAYOUT.slice(spec.name)].sum() == 2 for spec in LAYOUT.specs)
    assert counts[LAYOUT.slice(OUTPUT)].tolist() == [0, 0, 2, 0]
    assert counts[LAYOUT.slice("constant")].tolist() == [0, 0, 0, 0, 2]


def test_a_class_output_is_counted_like_a_category() -> None:
    layout = BinLayout((), CategoricalBins(OUTPUT, ("cat", "dog")), "s")
    counts = BinCounter(layout).count(FeatureColumns(np.zeros((0, 4)), ()), ["dog", "dog", None, "fish"])
    assert counts.tolist() == [[0, 2, 0, 1, 1, 0]]


def test_the_memo_of_categories_is_bounded_and_counts_stay_right() -> None:
    layout = BinLayout((CategoricalBins("id", ("EU",)),), None, "s")
    counter = BinCounter(layout)
    texts: list[object] = [f"user{i}" for i in range(12_000)] + ["EU"] + ["x" * 1_000]
    for _ in range(2):
        counts = counter.count(FeatureColumns(np.zeros((0, len(texts))), (texts,)), None)  # type: ignore[arg-type]
        assert counts.tolist() == [[1, 0, 12_001, 0, 0]]
    assert len(counter._codes[0]) == 10_000


def test_hashes_made_with_another_key_are_an_error_not_a_flood_of_unseen_values() -> None:
    with pytest.raises(ProfileError, match="hashes were made with key"):
        BinCounter(LAYOUT, b"another")


def test_a_layout_names_each_feature_once() -> None:
    with pytest.raises(ProfileError, match="'x' is there twice"):
        BinLayout((X, X), None, "s")
