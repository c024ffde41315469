"""What a prediction or a label says, in canonical classes and numbers.

Conventions as in columns.py: None is missing, +inf is present but invalid (NaN on the wire, or no probability where
one is needed). Canonical classes: 1, 1.0 and "1" are "1", true is "true", then aliases.

Binary models have exactly two classes, `known_classes`: the positive one and the negative one, which is
  - the other of two configured classes;
  - else by convention: "0" ↔ "1", "false" ↔ "true" (and true is read as 1, or 1 as true, whichever is configured);
  - else "not_<positive>", and every label that is not positive is read as it: one class against the rest.
A label that is none of the known classes stays as it is, for the caller to count as unknown. Keeps nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from stream_monitor.events.label import LabelEvent
from stream_monitor.events.policy import OutcomePolicy, Task
from stream_monitor.events.prediction import PredictionBody
from stream_monitor.events.scalars import canonical_scalar

_OPPOSITE = {"0": "1", "1": "0", "true": "false", "false": "true"}
_NUMERIC_ALIASES = {"true": "1", "false": "0"}
_BOOLEAN_ALIASES = {"1": "true", "0": "false"}
_DEFAULT_ALIASES: dict[str, Mapping[str, str]] = {
    "0": _NUMERIC_ALIASES,
    "1": _NUMERIC_ALIASES,
    "true": _BOOLEAN_ALIASES,
    "false": _BOOLEAN_ALIASES,
}


class Predicted(Struct, frozen=True, gc=False):
    """`label`: canonical class. `score`: P(positive class), binary only. `scores`: by canonical class."""

    label: str | None
    score: float | None
    value: float | None
    scores: dict[str, float] | None


class Actual(Struct, frozen=True, gc=False):
    """`label`: canonical class, `value`: finite."""

    label: str | None
    value: float | None


class PredictedColumns(NamedTuple):
    """`Predicted` of many, as columns: NaN for no score and no value. `by_class` None: nobody gave scores by class."""

    labels: list[str | None]
    scores: NDArray[np.float64]
    values: NDArray[np.float64]
    by_class: list[dict[str, float] | None] | None

    def at(self, places: NDArray[np.intp]) -> PredictedColumns:
        """The columns of some of them."""
        by_class = None if self.by_class is None else [self.by_class[i] for i in places.tolist()]
        labels = [self.labels[i] for i in places.tolist()]
        return PredictedColumns(labels, self.scores[places], self.values[places], by_class)

    @staticmethod
    def joined(parts: Sequence[PredictedColumns]) -> PredictedColumns:
        """The columns of one after the other."""
        if len(parts) == 1:
            return parts[0]
        by_class: list[dict[str, float] | None] | None = None
        if any(part.by_class is not None for part in parts):
            by_class = [each for part in parts for each in part.by_class or [None] * len(part.labels)]
        return PredictedColumns(
            [label for part in parts for label in part.labels],
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.values for part in parts]),
            by_class,
        )

    def output(self, task: Task) -> OutputColumn:
        """As `output_column`."""
        if task is Task.REGRESSION:
            return self.values
        return self.scores if task is Task.BINARY else self.labels


def canonical_class(value: str | float | bool, policy: OutcomePolicy) -> str:
    """The one spelling of a class. Configured aliases come before those for 1/true and 0/false."""
    text = value if isinstance(value, str) else canonical_scalar(value)
    alias = policy.class_aliases.get(text)
    if alias is not None:
        return alias
    defaults = _DEFAULT_ALIASES.get(policy.positive_class or "")
    return defaults.get(text, text) if defaults is not None else text


def negative_class(policy: OutcomePolicy) -> str:
    """The other class of a binary model."""
    positive = policy.positive_class or ""
    if len(policy.classes) == 2:
        return next(name for name in policy.classes if name != positive)
    if not policy.classes and positive in _OPPOSITE:
        return _OPPOSITE[positive]
    return f"not_{positive}"


def known_classes(policy: OutcomePolicy) -> tuple[str, ...]:
    """Classes that are scored: (negative, positive) if binary; the configured ones if multiclass, () for any."""
    if policy.task is Task.BINARY:
        return (negative_class(policy), policy.positive_class or "")
    return policy.classes


def predicted(body: PredictionBody, policy: OutcomePolicy) -> Predicted:
    label = None if body.label is None else _class(body.label, policy)
    scores = None if body.scores is None else _by_class(body.scores, policy)
    if policy.task is Task.BINARY:
        score = _positive_score(body.score, label, scores, policy)
        if label is None and score is not None and math.isfinite(score):
            is_positive = score >= policy.decision_threshold
            label = policy.positive_class if is_positive else negative_class(policy)
        return Predicted(label, score, body.value, scores)
    if policy.task is Task.MULTICLASS and label is None and scores:
        label = _most_likely(scores)
    return Predicted(label, None, body.value, scores)


OutputColumn = NDArray[np.float64] | Sequence[object]


def output_column(bodies: Sequence[PredictionBody], policy: OutcomePolicy) -> OutputColumn:
    """What PSI is of: the score of a binary model, the class of a multiclass one, the value of a regression."""
    if policy.task is Task.REGRESSION:
        return np.array([body.value for body in bodies], np.float64)  # None becomes NaN
    if policy.task is Task.BINARY and policy.score_of == "positive":
        scores = [body.score for body in bodies]
        if None not in scores:
            return np.array(scores, np.float64)
    return predicted_columns(bodies, policy).output(policy.task)


def predicted_columns(bodies: Sequence[PredictionBody], policy: OutcomePolicy) -> PredictedColumns:
    """What `predicted` says of each body; of binary models that give P(positive class) without a loop."""
    if policy.task is Task.BINARY and policy.score_of == "positive":
        scores = np.array([body.score for body in bodies], np.float64)  # None becomes NaN
        silent = ([body.label for body in bodies], [body.scores for body in bodies])
        if np.isfinite(scores).all() and all(column.count(None) == len(bodies) for column in silent):
            negative, positive = known_classes(policy)
            at_least = (scores >= policy.decision_threshold).tolist()
            labels: list[str | None] = [positive if each else negative for each in at_least]
            return PredictedColumns(labels, scores, np.array([body.value for body in bodies], np.float64), None)
    says = [predicted(body, policy) for body in bodies]
    by_class = [each.scores for each in says]
    return PredictedColumns(
        [each.label for each in says],
        np.array([each.score for each in says], np.float64),
        np.array([each.value for each in says], np.float64),
        by_class if any(by_class) else None,
    )


def actual(event: LabelEvent, policy: OutcomePolicy) -> Actual:
    return Actual(actual_class(event.actual.label, policy), event.actual.value)


def actual_class(label: str | float | bool | None, policy: OutcomePolicy) -> str | None:
    """The canonical class of a label event's `actual.label`."""
    return None if label is None else _class(label, policy)


def _class(value: str | float | bool, policy: OutcomePolicy) -> str:
    label = canonical_class(value, policy)
    if policy.task is not Task.BINARY or label == policy.positive_class:
        return label
    rest = negative_class(policy)
    if rest.startswith("not_") and (not policy.classes or label in policy.classes):
        return rest
    return label


def _by_class(scores: dict[str, float], policy: OutcomePolicy) -> dict[str, float]:
    return {canonical_class(name, policy): score for name, score in scores.items()}


def _positive_score(
    score: float | None, label: str | None, scores: dict[str, float] | None, policy: OutcomePolicy
) -> float | None:
    if score is None:
        return None if scores is None else scores.get(policy.positive_class or "")
    if policy.score_of == "positive":
        return score
    if label is None:
        # Of which class it is the probability nobody said.
        return math.inf
    if not 0.0 <= score <= 1.0:
        return math.inf
    return score if label == policy.positive_class else 1.0 - score


def _most_likely(scores: dict[str, float]) -> str | None:
    finite = [(-score, name) for name, score in scores.items() if math.isfinite(score)]
    return min(finite)[1] if finite else None
