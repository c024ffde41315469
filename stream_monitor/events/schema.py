"""JSON Schemas (2020-12) of the public events, made from the very types that are encoded and decoded.

They describe what producers should write and readers will get. The decoders accept more than the first two say:
numbers as ids, tags of any scalar type, wrong features (counted as invalid).
"""

from __future__ import annotations

from typing import Any

import msgspec

from stream_monitor.events.alert import AlertEvent
from stream_monitor.events.label import LabelEvent
from stream_monitor.events.metric import MetricEvent
from stream_monitor.events.prediction import PredictionEvent
from stream_monitor.events.rejects import DeadLetter

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_EVENTS: dict[str, tuple[type[msgspec.Struct], str]] = {
    "prediction": (PredictionEvent, "What a model was given and what it answered."),
    "label": (LabelEvent, "What turned out to be true of a prediction."),
    "metric": (MetricEvent, "One figure of one series in one window."),
    "alert": (AlertEvent, "One transition of one rule on one series."),
    "dead_letter": (DeadLetter, "An event that was not taken, and why."),
}


def json_schemas() -> dict[str, dict[str, Any]]:
    """Event name → schema; each stands alone."""
    return {name: _schema(name, type_, title) for name, (type_, title) in _EVENTS.items()}


def _schema(name: str, type_: type[msgspec.Struct], title: str) -> dict[str, Any]:
    schema = msgspec.json.schema(type_)
    return {"$schema": _DIALECT, "$id": f"urn:stream-monitor:{name}:v1", "title": title, **schema}
