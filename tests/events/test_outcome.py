"""Classes and scores mean the same however a producer spells them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.events.label import ActualBody, LabelEvent
from stream_monitor.events.outcome import (
    actual,
    canonical_class,
    known_classes,
    output_column,
    predicted,
    predicted_columns,
)
from stream_monitor.events.policy import OutcomePolicy, Task
from stream_monitor.events.prediction import PredictionBody
from stream_monitor.events.scalars import canonical_scalar

ONE = OutcomePolicy(Task.BINARY, "1")
MANY = OutcomePolicy(Task.MULTICLASS)


def truth(label: Any, policy: OutcomePolicy) -> str | None:
    return actual(LabelEvent("m", "1", 0, ActualBody(label=label)), policy).label


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1"), (1.0, "1"), ("1", "1"), (True, "true"), (False, "false"), (1.5, "1.5"), (-0.0, "0"),
     (10**18, str(10**18)), (1e300, "1e+300"), ("1.0", "1.0"), ("", "")],
)  # fmt: skip
def test_one_text_for_one_scalar(value: Any, text: str) -> None:
    assert canonical_scalar(value) == text


@given(st.integers(-(2**53), 2**53))
def test_integers_and_their_floats_are_the_same_class(value: int) -> None:
    assert canonical_scalar(value) == canonical_scalar(float(value)) == str(value)


@pytest.mark.parametrize("value", [1, 1.0, "1", True, "true"])
def test_true_is_one_where_classes_are_numbers(value: Any) -> None:
    assert canonical_class(value, ONE) == "1"
    assert canonical_class(value, OutcomePolicy(Task.BINARY, "true")) == "true"


def test_without_a_positive_class_nothing_is_aliased_by_default() -> None:
    assert canonical_class(True, MANY) == "true"
    assert canonical_class(1, MANY) == "1"


def test_configured_aliases_come_first() -> None:
    policy = OutcomePolicy(Task.BINARY, "1", class_aliases={"true": "0", "yes": "1"})
    assert canonical_class(True, policy) == "0"
    assert canonical_class("yes", policy) == "1"
    assert canonical_class(False, policy) == "0"


@pytest.mark.parametrize(
    ("positive", "classes", "negative"),
    [
        ("1", (), "0"),
        ("0", (), "1"),
        ("true", (), "false"),
        ("yes", (), "not_yes"),
        ("bad", ("good", "bad"), "good"),
        ("1", ("1", "2"), "2"),
        ("a", ("a", "b", "c"), "not_a"),
    ],
)
def test_a_binary_model_has_a_negative_class(positive: str, classes: tuple[str, ...], negative: str) -> None:
    policy = OutcomePolicy(Task.BINARY, positive, classes=classes)
    assert known_classes(policy) == (negative, positive)
    assert predicted(PredictionBody(score=0.1), policy).label == negative
    assert predicted(PredictionBody(score=0.5), policy).label == positive


def test_one_class_against_the_rest_where_the_rest_has_no_name() -> None:
    policy = OutcomePolicy(Task.BINARY, "yes")
    assert [truth(x, policy) for x in ("yes", "no", "maybe", None)] == ["yes", "not_yes", "not_yes", None]
    three = OutcomePolicy(Task.BINARY, "a", classes=("a", "b", "c"))
    assert [truth(x, three) for x in ("a", "b", "z")] == ["a", "not_a", "z"]
    assert known_classes(three) == ("not_a", "a")


def test_unknown_classes_stay_visible() -> None:
    assert truth("2", ONE) == "2"
    assert "2" not in known_classes(ONE)
    assert known_classes(MANY) == ()


def test_the_threshold_decides_only_where_no_label_is_given() -> None:
    policy = OutcomePolicy(Task.BINARY, "1", decision_threshold=0.7)
    assert predicted(PredictionBody(score=0.7), policy).label == "1"
    assert predicted(PredictionBody(score=0.69), policy).label == "0"
    assert predicted(PredictionBody(score=0.1, label=1), policy).label == "1"
    assert predicted(PredictionBody(), policy).label is None
    assert predicted(PredictionBody(score=math.inf), policy).label is None


def test_a_score_of_the_predicted_class_is_turned() -> None:
    policy = OutcomePolicy(Task.BINARY, "1", score_of="predicted")
    assert predicted(PredictionBody(label=0, score=0.75), policy).score == 0.25
    assert predicted(PredictionBody(label=1, score=0.75), policy).score == 0.75
    for unusable in (PredictionBody(score=0.75), PredictionBody(label=1, score=1.5)):
        assert predicted(unusable, policy).score == math.inf


def test_a_binary_score_may_stand_among_the_scores() -> None:
    assert predicted(PredictionBody(scores={"0": 0.25, "true": 0.75}), ONE).score == 0.75
    assert predicted(PredictionBody(scores={"0": 0.25}), ONE).score is None


def test_the_most_likely_class_is_predicted_where_no_label_is_given() -> None:
    assert predicted(PredictionBody(scores={"b": 0.4, "a": 0.4, "c": 0.2}), MANY).label == "a"
    assert predicted(PredictionBody(scores={"b": 0.4, "a": math.inf}), MANY).label == "b"
    assert predicted(PredictionBody(scores={}), MANY).label is None


def test_regression_has_a_value_only() -> None:
    found = predicted(PredictionBody(value=12.5, score=0.3), OutcomePolicy(Task.REGRESSION))
    assert (found.value, found.score, found.label) == (12.5, None, None)


def test_policies_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="positive_class"):
        OutcomePolicy(Task.BINARY)
    with pytest.raises(ValueError, match="not among classes"):
        OutcomePolicy(Task.BINARY, "1", classes=("a", "b"))


bodies = st.builds(
    PredictionBody,
    label=st.none() | st.sampled_from(["1", "0", "2", 1, True, 0.0]),
    score=st.none() | st.sampled_from([0.0, 0.5, 0.7, 1.0, 3.0, math.inf]),
    scores=st.none() | st.just({"1": 0.2, "0": 0.8}),
    value=st.none() | st.sampled_from([1.5, math.inf]),
)


@given(
    st.lists(bodies, max_size=5) | st.lists(st.builds(PredictionBody, score=st.floats(0, 1)), max_size=5),
    st.sampled_from([ONE, MANY, OutcomePolicy(Task.BINARY, "1", score_of="predicted"), OutcomePolicy(Task.REGRESSION)]),
)
def test_columns_say_what_each_body_says(some: list[PredictionBody], policy: OutcomePolicy) -> None:
    columns = predicted_columns(some, policy)
    says = [predicted(body, policy) for body in some]
    assert columns.labels == [each.label for each in says]
    assert [None if x != x else x for x in columns.scores.tolist()] == [each.score for each in says]
    assert [None if x != x else x for x in columns.values.tolist()] == [each.value for each in says]
    by_class = columns.by_class or [None] * len(some)
    assert by_class == [each.scores for each in says]
    output = output_column(some, policy)
    np.testing.assert_array_equal(output, columns.output(policy.task))
