from __future__ import annotations

import math
import random
from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_monitor.errors import ProfileError
from stream_monitor.events.columns import INVALID, FeatureColumns, feature_columns
from stream_monitor.events.policy import Task
from stream_monitor.reference.build import build_profile, guess_kinds
from stream_monitor.reference.columns import numeric_values, text_values, typed_column
from stream_monitor.reference.groups import places, psi_bins
from stream_monitor.reference.layout import bin_layout, feature_layout
from stream_monitor.reference.profile import CategoricalFeature, NumericFeature, Profile
from stream_monitor.sketches.bins import OUTPUT, BinCounter
from stream_monitor.sketches.hashing import hash_key, key_id
from tests.reference.slow_fold import fold

rng = np.random.default_rng(5)
N = 4000


def with_gaps(values: np.ndarray, gap: object) -> list[object]:
    column: list[object] = values.tolist()
    for i in range(0, len(column), 10):
        column[i] = gap
    return column


NUMERIC: dict[str, list[object]] = {
    "normal": rng.normal(size=N).tolist(),
    "lognormal": rng.lognormal(0, 3, N).tolist(),
    "constant": [42.0] * N,
    "all missing": [None] * N,
    "all invalid": [math.nan] * N,
    "ties": np.repeat(rng.normal(size=N // 40), 40).tolist(),
    "outliers": [*rng.normal(size=N - 4).tolist(), 1e12, -1e12, 1e300, 1.7976931348623157e308],
    "NaN and infinity": [*with_gaps(rng.normal(size=N), math.nan), math.inf, -math.inf, 10**400],
    "missing": with_gaps(rng.normal(size=N), None),
    "twenty values": rng.integers(0, 20, N).tolist(),
    "twenty-one values": rng.integers(0, 21, N).tolist(),
    "booleans": (rng.uniform(size=N) < 0.3).tolist(),
    "zero inflated": np.where(rng.uniform(size=N) < 0.4, 0.0, rng.normal(5, 1, N)).tolist(),
    "heavy at the ends": np.clip(rng.normal(size=N), -1, 1).tolist(),
    "large offset": (1013 + rng.normal(size=N)).tolist(),
    "tiny numbers": (rng.normal(size=N) * 1e-310).tolist(),
    "neighbours": [math.nextafter(1.0, 2), 1.0] * (N // 2),
    "thirty rows": rng.normal(size=30).tolist(),
    "mixed kinds": [*rng.normal(size=N).tolist(), *["EU"] * 50, [], {}],
}


def profile_of(column: list[object], **more: Any) -> Profile:
    return build_profile(model_name="m", task=Task.REGRESSION, columns={"x": column}, created_at=0, **more)


def slots(profile: Profile, column: list[object], hash_key: bytes = b"") -> np.ndarray:
    """Counts by the code of the stream: the reference's rows as if they were events."""
    layout = bin_layout(profile)
    read = [INVALID if not isinstance(v, (int, float, str, type(None))) or v != v else v for v in column]
    read = [INVALID if isinstance(v, (int, float)) and abs(v) > 1.7976931348623157e308 else v for v in read]
    if isinstance(profile.features[0], NumericFeature):
        read = [INVALID if isinstance(v, str) else v for v in read]
    columns = feature_columns([(value,) for value in read], feature_layout(profile))
    return BinCounter(layout, hash_key).count(columns, None)[0][layout.slice("x")]


@pytest.mark.parametrize("name", NUMERIC)
def test_a_numeric_profile_counts_its_own_rows_exactly_as_the_stream_would(name: str) -> None:
    column = NUMERIC[name]
    profile = profile_of(column)
    assert Profile.from_json(profile.to_json()) == profile
    feature = profile.features[0]
    assert isinstance(feature, NumericFeature)
    counted = slots(profile, column)
    assert counted.tolist() == [*feature.counts, feature.missing, feature.invalid]
    assert counted.sum() == len(column) == feature.n + feature.missing + feature.invalid
    folded = fold(feature, counted)
    assert folded.groups.tolist() == [part.count for part in psi_bins(feature)]
    assert (folded.novel, folded.out_of_range) == (0, 0)
    assert len(feature.counts) <= 165


@pytest.mark.parametrize("name", NUMERIC)
def test_moments_and_range_are_exact(name: str) -> None:
    values = numeric_values(NUMERIC[name])
    valid = [Fraction(v) for v in values[np.isfinite(values)].tolist()]
    feature = profile_of(NUMERIC[name]).features[0]
    assert isinstance(feature, NumericFeature)
    if not valid:
        assert (feature.n, feature.mean, feature.sd, feature.minimum, feature.maximum) == (0, None, None, None, None)
        return
    mean = sum(valid) / len(valid)
    variance = sum((v - mean) ** 2 for v in valid) / len(valid)
    assert (feature.minimum, feature.maximum) == (min(valid), max(valid))
    assert feature.mean == float(mean)
    assert feature.sd is not None
    assert math.isclose(Fraction(feature.sd) ** 2 / (variance or 1), 1 if variance else 0, rel_tol=1e-12)


@pytest.mark.parametrize("name", NUMERIC)
def test_values_beyond_the_reference_are_out_of_range(name: str) -> None:
    profile = profile_of(NUMERIC[name])
    feature = profile.features[0]
    assert isinstance(feature, NumericFeature)
    if feature.minimum is None or feature.maximum is None:
        folded = fold(feature, slots(profile, [1.0, -5]))
        assert (folded.novel, folded.groups.tolist(), folded.out_of_range) == (2, [], 0)
        return
    outside = [math.nextafter(feature.minimum, -math.inf)]
    if feature.maximum < 1e308:
        outside.append(math.nextafter(feature.maximum, math.inf))
    inside = [feature.minimum, feature.maximum]
    folded = fold(feature, slots(profile, [*outside, *inside]))
    assert folded.out_of_range == len(outside)
    assert folded.novel == (len(outside) if feature.discrete else 0)
    assert folded.novel + folded.groups.sum() == len(outside) + 2


def test_eighty_quantile_bins_and_ten_groups_for_a_continuous_feature() -> None:
    feature = profile_of(NUMERIC["lognormal"]).features[0]
    assert isinstance(feature, NumericFeature)
    assert not feature.discrete
    assert len(feature.counts) == 82
    assert feature.counts[0] == feature.counts[-1] == 0
    assert set(feature.counts[1:-1]) == {50}
    assert [part.count for part in psi_bins(feature)] == [400] * 10
    assert psi_bins(feature)[0].low is None
    assert psi_bins(feature)[-1].high is None


def test_a_value_with_more_than_its_share_has_a_bin_of_its_own() -> None:
    column = NUMERIC["zero inflated"]
    profile = profile_of(column)
    feature = profile.features[0]
    assert isinstance(feature, NumericFeature)
    at = feature.edges.index(0.0)
    assert feature.edges[at + 1] == math.nextafter(0.0, 1)
    assert feature.counts[at + 1] == column.count(0.0)


def test_at_most_twenty_values_are_discrete_and_the_gaps_are_novel() -> None:
    profile = profile_of(NUMERIC["twenty values"])
    feature = profile.features[0]
    assert isinstance(feature, NumericFeature)
    assert feature.discrete
    assert [part.label for part in psi_bins(feature)] == [f"={i}" for i in range(20)]
    folded = fold(feature, slots(profile, [0, 1, 1.5, 19.0, 20, -1, None, "x"]))
    assert (folded.novel, folded.missing, folded.invalid, folded.out_of_range) == (3, 1, 1, 2)
    assert not profile_of(NUMERIC["twenty-one values"]).features[0].discrete  # type: ignore[union-attr]


def test_novel_values_are_novel_also_between_merged_rare_values() -> None:
    column: list[object] = [0] * 50 + [1] * 3 + [2] * 3
    profile = profile_of(column)
    feature = profile.features[0]
    assert [part.label for part in psi_bins(feature)] == ["=0", "=1|2"]
    folded = fold(feature, slots(profile, [1, 1.5, 2]))
    assert (folded.groups.tolist(), folded.novel) == ([0, 2], 1)


def category_column(counts: dict[str, int]) -> list[object]:
    column: list[object] = [name for name, count in counts.items() for _ in range(count)]
    random.Random(1).shuffle(column)
    return column


def test_categories_of_half_a_percent_are_kept_the_rest_is_other() -> None:
    column = [*category_column({"EU": 700, "US": 280, "rare": 4, "odd": 6, "seven": 10}), None, []]
    profile = profile_of(column, hash_key=b"k")
    feature = profile.features[0]
    assert isinstance(feature, CategoricalFeature)
    assert feature.categories == ("EU", "US", "seven", "odd")
    assert (feature.counts, feature.other, feature.missing, feature.invalid) == ((700, 280, 10, 6), 4, 1, 1)
    assert feature.other_hashes == (hash_key("rare", b"k"),)
    assert profile.hash_key_id == key_id(b"k")
    assert [part.label for part in psi_bins(feature)] == ["=EU", "=US", "=seven", "=odd|other"]
    counted = slots(profile, [*column, "new"], b"k")
    folded = fold(feature, counted)
    assert folded.groups.tolist() == [part.count for part in psi_bins(feature)] == [700, 280, 10, 10]
    assert (folded.novel, folded.missing, folded.invalid) == (1, 1, 1)


def test_two_thousand_categories_are_an_open_vocabulary() -> None:
    column: list[object] = [f"user{i % 2000}" for i in range(6000)] + ["EU"] * 3000
    profile = profile_of(column)
    feature = profile.features[0]
    assert isinstance(feature, CategoricalFeature)
    assert feature.categories == ("EU",)
    assert (feature.other, feature.other_hashes, feature.open_vocabulary) == (6000, (), True)
    assert profile.hash_key_id is None
    assert fold(feature, slots(profile, ["EU", "never seen"])).novel == 0
    assert len(profile.to_json()) < 2000


def test_at_most_fifty_categories() -> None:
    feature = profile_of([f"c{i % 80:02}" for i in range(8000)]).features[0]
    assert isinstance(feature, CategoricalFeature)
    assert len(feature.categories) == 50
    assert len(feature.other_hashes) == 30


def test_without_rare_values_there_is_no_other_and_everything_new_is_novel() -> None:
    profile = profile_of(["a", "b"] * 50)
    feature = profile.features[0]
    assert [part.label for part in psi_bins(feature)] == ["=a", "=b"]
    assert fold(feature, slots(profile, ["a", "c", "d"])).novel == 2


def test_numbers_in_a_categorical_feature_are_their_canonical_text() -> None:
    column: list[object] = [1, 1.0, True, "1", -0.0, "x", None, math.nan, []]
    assert text_values(column) == (Counter({"1": 3, "true": 1, "0": 1, "x": 1}), 1, 2)


def test_kinds_are_guessed_by_majority_and_can_be_told() -> None:
    columns: dict[str, list[object]] = {"a": [1, 2, "x"] * 20, "b": ["x", "y", 1] * 20, "c": [None] * 60}
    assert guess_kinds(columns) == {"a": "numeric", "b": "categorical", "c": "numeric"}
    profile = build_profile(
        model_name="m", task=Task.REGRESSION, columns=columns, created_at=0, kinds={"a": "categorical"}
    )
    assert feature_layout(profile).kinds == ("categorical", "categorical", "numeric")
    assert profile.features[0].categories == ("1", "2", "x")  # type: ignore[union-attr]


def test_cells_of_a_text_file_become_numbers_where_nearly_all_are() -> None:
    assert typed_column(["1", "2.5", "", "NaN", "-3e2"]) == [1.0, 2.5, None, None, -300.0]
    assert typed_column(["a", "1", ""]) == ["a", "1", None]
    assert typed_column([*["1"] * 30, "oops"]) == [*[1.0] * 30, "oops"]
    assert typed_column(["", ""]) == [None, None]
    assert typed_column(["1_000"] * 3) == ["1_000"] * 3


def test_score_edges_balance_the_classes() -> None:
    positives = rng.uniform(0.9, 1.0, 40)
    scores = [*rng.uniform(0, 0.1, 10_000).tolist(), *positives.tolist()]
    actuals = ["0"] * 10_000 + ["1"] * 40
    options: dict[str, Any] = {"outputs": scores, "positive_class": "1"}
    balanced = build_profile(model_name="m", task=Task.BINARY, columns={}, created_at=0, actuals=actuals, **options)
    assert balanced.classes == ("0", "1")
    edges = np.array(balanced.edges_for("1"))
    assert len(edges) <= 255
    assert sum(edges > 0.5) >= 39  # every positive in a bin of its own although they are 0.4 % of the rows
    plain = build_profile(model_name="m", task=Task.BINARY, columns={}, created_at=0, **options)
    assert sum(np.array(plain.edges_for("1")) > 0.5) <= 3
    assert plain.edges_for("unknown") == tuple(i / 256 for i in range(1, 256))


def test_outputs_are_numbers_or_classes_by_task() -> None:
    multiclass = build_profile(
        model_name="m",
        task=Task.MULTICLASS,
        columns={},
        created_at=0,
        outputs=["a", "b", "c", None] * 25,
        actuals=["a", "b", "b", None] * 25,
        class_scores={"a": [0.1, None, 0.7, 0.2] * 25},
    )
    assert multiclass.classes == ("a", "b", "c")
    assert isinstance(multiclass.output, CategoricalFeature)
    assert multiclass.feature(OUTPUT) is multiclass.output
    assert list(multiclass.score_edges) == ["a"]
    regression = build_profile(
        model_name="m", task=Task.REGRESSION, columns={}, created_at=0, outputs=[1.5, 2] * 20, actuals=[1, 2] * 20
    )
    assert isinstance(regression.output, NumericFeature)
    assert (regression.classes, regression.score_edges) == ((), {})


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"columns": {"x": [1.0] * 29}}, "at least 30 rows, found 29"),
        ({"columns": {}}, "at least 30 rows, found 0"),
        ({"columns": {"x": [1] * 40, "y": [1] * 39}}, "one length, here 40, but feature 'y' has 39"),
        ({"columns": {"x": [1] * 40}, "outputs": [1] * 3}, "outputs has 3"),
        ({"columns": {"x": [1] * 40}, "kinds": {"y": "numeric"}}, "not in the data: y"),
        ({"columns": {OUTPUT: [1] * 40}}, "is the name of the model's output"),
        ({"columns": {f"x{i}": [1] * 30 for i in range(2001)}}, "at most 2000 features, found 2001"),
        ({"columns": {}, "actuals": [f"c{i}" for i in range(60)]}, "at most 50 classes, the reference has 60"),
    ],
)
def test_what_cannot_be_a_reference_is_refused_with_the_reason(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ProfileError, match=message):
        build_profile(model_name="m", task=Task.MULTICLASS, created_at=0, **more)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(["EU", "", "rare", "é"])),
        min_size=30,
        max_size=120,
    )
)
def test_any_column_makes_a_profile_that_counts_it_as_the_stream_would(column: list[object]) -> None:
    profile = profile_of(column)
    assert Profile.from_json(profile.to_json()) == profile
    feature = profile.features[0]
    folded = fold(feature, slots(profile, column))
    assert folded.groups.tolist() == [part.count for part in psi_bins(feature)]
    assert (folded.novel, folded.missing, folded.invalid) == (0, feature.missing, feature.invalid)
    window = np.random.default_rng(len(column)).integers(0, 9, bin_layout(profile).slices["x"].stop)
    folded, at = fold(feature, window), places(feature)
    assert [int(window[list(group)].sum()) for group in at.groups] == folded.groups.tolist()
    assert (int(window[list(at.novel)].sum()), int(window[list(at.outside)].sum())) == (
        folded.novel,
        folded.out_of_range,
    )
    assert (window[at.missing], window[at.invalid]) == (folded.missing, folded.invalid)


def test_a_profile_without_features_counts_outputs_only() -> None:
    profile = build_profile(model_name="m", task=Task.REGRESSION, columns={}, created_at=0, outputs=[1.0, 2.0] * 20)
    layout = bin_layout(profile)
    counts = BinCounter(layout).count(FeatureColumns(np.zeros((0, 2)), ()), np.array([1.0, 9.0]))[0]
    assert counts[layout.slice(OUTPUT)].sum() == 2


def test_a_feature_with_many_values_seen_once_has_an_open_vocabulary() -> None:
    """New values of such a feature are to be expected (Good-Turing), so none of them is called unseen."""
    common = ["a", "b"] * 400
    heavy = common + [f"once{i}" for i in range(8)]
    few = common + [f"once{i}" for i in range(4)]
    built = build_profile(
        model_name="m", task=Task.REGRESSION, columns={"heavy": heavy, "few": few + ["a"] * 4}, created_at=0
    )
    vocabulary = {f.name: f.open_vocabulary for f in built.features if isinstance(f, CategoricalFeature)}
    assert vocabulary == {"heavy": True, "few": False}
