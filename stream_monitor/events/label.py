"""The label event: what turned out to be true of a prediction.

A label may carry the whole prediction (self-contained); it then needs no join. Which predictions it joins is
join/'s business.
"""

from __future__ import annotations

from msgspec import Struct

from stream_monitor.events.fields import ClassLabel, Name, PredictionId, Tags, Timestamp
from stream_monitor.events.prediction import PredictionBody


class ActualBody(Struct, gc=False):
    """The truth: a class, or a finite value. The decoder refuses a label with neither."""

    label: ClassLabel | None = None
    value: float | None = None


class LabelEvent(Struct, gc=False):
    """One label as JSON.

    `model_version` None: the label joins every version that scored the id. `prediction_timestamp` is None or, once
    decoded, int milliseconds.
    """

    model_name: Name
    prediction_id: PredictionId
    timestamp: Timestamp
    actual: ActualBody
    prediction: PredictionBody | None = None
    model_version: Name | None = None
    prediction_timestamp: Timestamp | None = None
    tags: Tags | None = None
