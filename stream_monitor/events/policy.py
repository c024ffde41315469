"""What was configured about events: how to read them (DecodePolicy) and what their outputs mean (OutcomePolicy).

Frozen values, made once by the composition root; nothing here is state. Durations are milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

from stream_monitor.events.times import TimestampUnit

DAY_MS = 86_400_000
_NONE: Mapping[str, str] = MappingProxyType({})


class Task(StrEnum):
    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


@dataclass(frozen=True, slots=True)
class OutcomePolicy:
    """How a model's predictions and labels are read as classes, scores and values (outcome.py does it).

    `classes` are canonical and include the positive class; empty means: see outcome.known_classes.
    """

    task: Task
    positive_class: str | None = None
    decision_threshold: float = 0.5
    score_of: Literal["positive", "predicted"] = "positive"
    classes: tuple[str, ...] = ()
    class_aliases: Mapping[str, str] = field(default_factory=lambda: _NONE)

    def __post_init__(self) -> None:
        if self.task is Task.BINARY and self.positive_class is None:
            raise ValueError("a binary model needs positive_class: the class its score is the probability of")
        if self.positive_class is not None and self.classes and self.positive_class not in self.classes:
            raise ValueError(f"positive_class {self.positive_class!r} is not among classes {list(self.classes)}")


@dataclass(frozen=True, slots=True)
class TimeBounds:
    """How far an event's time may lie from its Kafka record's: [record - max_past, record + max_future].

    None: any age, or any future.
    """

    max_past_ms: int | None = 7 * DAY_MS
    max_future_ms: int | None = 60_000


@dataclass(frozen=True, slots=True)
class DecodePolicy:
    """Limits of what is accepted, and where our fields stand in the input.

    `per_model` replaces both bounds for the models it names. `mapping` is our dotted field → dotted path in the
    input; with a mapping every event takes the lenient path.
    """

    timestamp_unit: TimestampUnit = "s"
    max_past_ms: int | None = 7 * DAY_MS
    max_future_ms: int | None = 60_000
    per_model: Mapping[str, TimeBounds] = field(default_factory=dict)
    max_event_bytes: int = 1 << 20
    max_depth: int = 32
    max_features: int = 2_000
    mapping: Mapping[str, str] = field(default_factory=lambda: _NONE)

    def bounds(self, model_name: str) -> TimeBounds:
        return self.per_model.get(model_name) or TimeBounds(self.max_past_ms, self.max_future_ms)
