from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from stream_monitor.errors import ProfileError
from stream_monitor.events.columns import FeatureColumns
from stream_monitor.events.policy import Task
from stream_monitor.reference.bootstrap import build_bootstrap
from stream_monitor.reference.build import build_profile
from stream_monitor.reference.groups import psi_bins
from stream_monitor.reference.layout import bin_layout
from stream_monitor.reference.profile import CategoricalFeature, NumericFeature, Profile
from stream_monitor.sketches.bins import BinCounter
from stream_monitor.sketches.hashing import hash_key
from stream_monitor.sketches.pane import PredictionPane

rng = np.random.default_rng(11)
N = 6000
KEY = b"secret"
CONTINUOUS: dict[str, np.ndarray] = {
    "normal": rng.normal(size=N),
    "lognormal": rng.lognormal(0, 3, N),
    "large offset": 1013 + 5 * rng.normal(size=N),
    "latitudes of a city": rng.uniform(52.49, 52.51, N),
    "milliseconds of a day": 1.7e12 + rng.integers(0, 86_400_000, N),
    "zero inflated": np.where(rng.uniform(size=N) < 0.4, 0.0, rng.normal(5, 1, N)),
    "outliers": np.concatenate([rng.normal(size=N - 2), [1e15, -1e15]]),
    "scores": rng.uniform(size=N),
}


def pane_of(columns: dict[str, list[object]], outputs: list[object] | None = None, parts: int = 7) -> PredictionPane:
    """The stream as several flushes merged."""
    n = max(map(len, (*columns.values(), outputs or ())))
    whole = PredictionPane()
    for rows in np.array_split(np.arange(n), parts):
        part = PredictionPane(n=len(rows))
        mine = slice(rows[0], rows[-1] + 1)
        present = {name: values[mine] for name, values in columns.items()}
        part.add_raw(
            {name: values for name, values in present.items() if any(v is not None for v in values)},
            None if outputs is None else outputs[mine],
            KEY,
        )
        whole.merge(PredictionPane.from_bytes(part.to_bytes()))
    return whole


def bootstrap_of(pane: PredictionPane, task: Task = Task.REGRESSION, **more: Any) -> Profile:
    profile = build_bootstrap(model_name="m", task=task, pane=pane, created_at=5, hash_key=KEY, **more)
    assert Profile.from_json(profile.to_json()) == profile
    return profile


@pytest.mark.parametrize("name", CONTINUOUS)
def test_counts_are_those_of_the_same_events_on_the_new_edges(name: str) -> None:
    values = CONTINUOUS[name]
    profile = bootstrap_of(pane_of({"x": values.tolist()}))
    [feature] = profile.features
    assert isinstance(feature, NumericFeature)
    layout = bin_layout(profile)
    counted = BinCounter(layout, KEY).count(FeatureColumns(values.reshape(1, -1), ()), None)[0]
    assert counted[layout.slice("x")].tolist() == [*feature.counts, 0, 0]
    assert (feature.minimum, feature.maximum) == (values.min(), values.max())
    assert feature.mean == pytest.approx(math.fsum(values) / N, rel=1e-12)
    assert feature.sd == pytest.approx(values.std(), rel=1e-9)
    assert feature.counts[0] == feature.counts[-1] == 0
    groups = [part.count for part in psi_bins(feature)]
    assert len(groups) >= 6
    assert sum(groups) == N


@pytest.mark.parametrize("name", sorted(set(CONTINUOUS) - {"zero inflated"}))
def test_groups_are_nearly_the_deciles_of_a_training_profile(name: str) -> None:
    feature = bootstrap_of(pane_of({"x": CONTINUOUS[name].tolist()})).features[0]
    counts = [part.count for part in psi_bins(feature)]
    assert len(counts) == 10
    assert 0.07 * N <= min(counts) <= max(counts) <= 0.13 * N


@pytest.mark.parametrize("values", [[7.0], [0, 1], list(range(20)), [-0.0, 2.5, True]])
def test_few_distinct_values_give_the_same_bins_as_a_training_profile(values: list[object]) -> None:
    column: list[object] = [None, *(values * 100)]
    bootstrapped = bootstrap_of(pane_of({"x": column}))
    trained = build_profile(model_name="m", task=Task.REGRESSION, columns={"x": column}, created_at=0)
    assert bootstrapped.features == trained.features
    assert bootstrapped.schema_id == trained.schema_id
    assert bootstrapped.id != trained.id


def test_a_point_of_a_continuous_feature_has_its_own_bin() -> None:
    feature = bootstrap_of(pane_of({"x": CONTINUOUS["zero inflated"].tolist()})).features[0]
    assert isinstance(feature, NumericFeature)
    zeros = int((CONTINUOUS["zero inflated"] == 0).sum())
    assert zeros in feature.counts
    assert zeros in [part.count for part in psi_bins(feature)]


def test_categories_are_hashes_and_numbers_among_them_are_their_text() -> None:
    column: list[object] = [*["EU"] * 500, *["US"] * 300, *[5] * 90, *["rare"] * 2, *[None] * 10, *[float("nan")] * 3]
    rng.shuffle(column)  # type: ignore[arg-type]
    profile = bootstrap_of(pane_of({"x": column}))
    [feature] = profile.features
    assert isinstance(feature, CategoricalFeature)
    assert feature.hashed
    assert feature.categories == tuple(hash_key(name, KEY) for name in ("EU", "US", "5"))
    assert feature.counts == (500, 300, 90)
    assert (feature.other, feature.missing, feature.invalid) == (2, 10, 3)
    layout = bin_layout(profile)
    texts = ["EU", "US", "5", "rare", "new", None]
    counts = BinCounter(layout, KEY).count(FeatureColumns(np.zeros((0, 6)), (texts,)), None)[0]  # type: ignore[arg-type]
    assert counts.tolist() == [1, 1, 1, 1, 1, 1, 0]
    with pytest.raises(ProfileError, match="hashes were made with key"):
        BinCounter(layout, b"another")


def test_two_thousand_categories_are_an_open_vocabulary_with_exact_counts_of_the_kept() -> None:
    column: list[object] = [f"user{i % 2000}" for i in range(6000)]
    feature = bootstrap_of(pane_of({"x": column})).features[0]
    assert isinstance(feature, CategoricalFeature)
    assert feature.open_vocabulary
    assert (feature.n, feature.other, feature.categories) == (6000, 6000, ())


def test_a_feature_that_is_always_missing_or_comes_late_counts_its_missing() -> None:
    late: list[object] = [*[None] * 900, *[1.0, 2.0] * 50]
    profile = bootstrap_of(pane_of({"late": late, "other": [1.0] * 1000}))
    assert [feature.missing for feature in profile.features] == [900, 0]
    pane = PredictionPane(n=100)
    pane.add_raw({"never": [None] * 100})
    [feature] = bootstrap_of(pane).features
    assert (feature.n, feature.missing) == (0, 100)


def test_features_come_in_one_order_whatever_the_events_said_first() -> None:
    a = pane_of({"b": [1.0] * 50, "a": [2.0] * 50})
    b = pane_of({"a": [2.0] * 50, "b": [1.0] * 50})
    assert bootstrap_of(a) == bootstrap_of(b)


def test_a_feature_with_the_outputs_name_is_left_out() -> None:
    columns: dict[str, list[object]] = {"__output__": [1.0, "x"] * 50, "x": [1.0] * 100}
    profile = bootstrap_of(pane_of(columns, [0.5] * 100))
    assert [feature.name for feature in profile.features] == ["x"]
    assert profile.output is not None


def test_scores_of_a_binary_model_get_their_own_edges() -> None:
    pane = pane_of({}, CONTINUOUS["scores"].tolist())
    profile = bootstrap_of(pane, Task.BINARY, positive_class="1", effective_from=60_000)
    assert isinstance(profile.output, NumericFeature)
    edges = profile.edges_for("1")
    counts = np.histogram(CONTINUOUS["scores"], [-np.inf, *edges, np.inf])[0]
    assert 150 < len(edges) <= 255
    assert counts.max() < 3 * N / 256
    assert profile.effective_from == 60_000
    assert profile.effective(None).id == profile.id


def test_predicted_classes_are_named_where_the_configuration_knows_them() -> None:
    pane = pane_of({}, ["cat", "dog", "dog", None] * 25)
    named = bootstrap_of(pane, Task.MULTICLASS, classes=("cat", "dog", "fish")).output
    assert isinstance(named, CategoricalFeature)
    assert (named.categories, named.counts, named.hashed) == (("dog", "cat"), (50, 25), False)
    hashed = bootstrap_of(pane, Task.MULTICLASS).output
    assert isinstance(hashed, CategoricalFeature)
    assert hashed.hashed
    assert hashed.categories[0] == hash_key("dog", KEY)


def test_too_few_predictions_make_no_reference() -> None:
    with pytest.raises(ProfileError, match="at least 30 predictions counted raw, found 29"):
        bootstrap_of(pane_of({"x": [1.0] * 29}))
    with pytest.raises(ProfileError, match="found 0"):
        bootstrap_of(PredictionPane(n=100))
