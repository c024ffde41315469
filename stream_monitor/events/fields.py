"""Types of single wire fields and the limits that keep names, classes and ids small.

The limits bound memory: names become keys of state and topics, classes become keys of the confusion counts.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from stream_monitor.events.times import AwareDatetime

MAX_NAME = 256  # characters of a model name, version, feature's name, class or tag value
MAX_ID = 1_024  # characters of a prediction_id
MAX_CATEGORY = 1_024  # characters of a categorical feature's value; longer text is no category
MAX_CLASSES = 1_000  # entries of `scores`
MAX_TAGS = 100

# Beyond 64 bits an integer is read as a float: msgspec, orjson and numpy then agree on it.
INT_MIN, INT_MAX = -(2**63), 2**63 - 1

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
PredictionId = Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
Integer = Annotated[int, Meta(ge=INT_MIN, le=INT_MAX)]
ClassText = Annotated[str, Meta(max_length=MAX_NAME)]
ClassLabel = ClassText | Integer | float | bool
FeatureName = Annotated[str, Meta(max_length=MAX_NAME)]  # where no profile says which there are
CategoryText = Annotated[str, Meta(max_length=MAX_CATEGORY)]
Timestamp = AwareDatetime | Integer | float
Seconds = Annotated[float, Meta(ge=0.0)]
Scores = Annotated[dict[ClassText, float], Meta(max_length=MAX_CLASSES)]
Tags = Annotated[dict[str, ClassText], Meta(max_length=MAX_TAGS)]
