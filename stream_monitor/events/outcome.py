"""What a prediction or a label says, in canonical classes and numbers.

Conventions as in columns.py: None is missing, +inf is present but invalid. Keeps nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from stream_monitor.events.label import LabelEvent
from stream_monitor.events.policy import OutcomePolicy
from stream_monitor.events.prediction import PredictionBody


@dataclass(frozen=True, slots=True)
class Predicted:
    """`label`: canonical class. `score`: P(positive class), binary only. `scores`: by canonical class."""

    label: str | None
    score: float | None
    value: float | None
    scores: dict[str, float] | None


@dataclass(frozen=True, slots=True)
class Actual:
    label: str | None
    value: float | None


def canonical_class(value: str | float | bool, policy: OutcomePolicy) -> str:
    """The one spelling of a class: 1, 1.0 and "1" are "1"; then aliases."""
    raise NotImplementedError


def known_classes(policy: OutcomePolicy) -> tuple[str, ...]:
    """Classes that are scored; empty: any."""
    raise NotImplementedError


def predicted(body: PredictionBody, policy: OutcomePolicy) -> Predicted:
    raise NotImplementedError


def actual(event: LabelEvent, policy: OutcomePolicy) -> Actual:
    raise NotImplementedError
