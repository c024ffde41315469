"""The prediction event: what a model was given and what it answered.

PredictionEvent is the public wire form, and the row of a model without feature layout. With a layout the decoder
generates a struct of the same attributes whose `features` is a flat struct in layout order (typed.py). Readers
use the protocol PredictionRow and cannot tell them apart; features go through columns.py only.
`gc=False`: rows hold no cycles, and a batch of thousands would otherwise trigger the collector again and again.
"""

from __future__ import annotations

from typing import Any, Protocol

from msgspec import Struct, field

from stream_monitor.events.fields import (
    CategoryText,
    ClassLabel,
    FeatureName,
    Integer,
    Name,
    PredictionId,
    Scores,
    Seconds,
    Tags,
    Timestamp,
)

UNKNOWN_VERSION = "unknown"


class PredictionBody(Struct, gc=False):
    """A model's answer; what is absent is None. Numbers that are NaN or infinite on the wire are +inf here.

    Binary: `score`; multiclass: `label` and `scores`; regression: `value`. `label` is raw: read it through
    outcome.predicted, which makes it canonical.
    """

    label: ClassLabel | None = None
    score: float | None = None
    scores: Scores | None = None
    value: float | None = None


class PredictionRow(Protocol):
    """What every decoded prediction offers, however it was decoded."""

    @property
    def model_name(self) -> str: ...
    @property
    def model_version(self) -> str:
        """`UNKNOWN_VERSION` if the event has none."""

    @property
    def prediction_id(self) -> str: ...
    @property
    def features(self) -> Any:
        """Opaque; give a list of these to columns.feature_columns (model with layout) or raw_features."""

    @property
    def prediction(self) -> PredictionBody: ...
    @property
    def latency_seconds(self) -> float | None:
        """Seconds ≥ 0; None if absent; NaN if present but no such number."""

    @property
    def tags(self) -> dict[str, str] | None: ...


class PredictionEvent(Struct, gc=False):
    """One prediction as JSON. Unknown fields, such as trace_id, are ignored."""

    model_name: Name
    prediction_id: PredictionId
    timestamp: Timestamp
    prediction: PredictionBody
    features: dict[FeatureName, CategoryText | Integer | float | bool | None] = field(default_factory=dict)
    model_version: Name = UNKNOWN_VERSION
    latency_seconds: Seconds | None = None
    tags: Tags | None = None
