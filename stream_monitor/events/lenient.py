"""The slow, forgiving reading of an event, field by field.

It is what the fast path means: every event the fast path takes, it reads to an equal row (but for integers beyond
64 bits, which msgspec may round to the neighbouring float, and fields we do not know, which msgspec skips unread: it
overlooks bad text and deep nesting there). Beyond that it takes
what is wrong in one place only: a bad feature is invalid, a bad latency NaN, a bad tag "__invalid__", a NaN score
+inf. Events it cannot take raise Rejected with a sentence. Costs about 10 µs an event.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from stream_monitor.events.columns import INVALID
from stream_monitor.events.fields import (
    INT_MAX,
    INT_MIN,
    MAX_CATEGORY,
    MAX_CLASSES,
    MAX_ID,
    MAX_NAME,
    MAX_TAGS,
)
from stream_monitor.events.label import ActualBody, LabelEvent
from stream_monitor.events.names import INVALID_TAG
from stream_monitor.events.policy import DecodePolicy
from stream_monitor.events.prediction import (
    UNKNOWN_VERSION,
    PredictionBody,
    PredictionEvent,
    PredictionRow,
)
from stream_monitor.events.rejects import RejectReason
from stream_monitor.events.scalars import canonical_scalar
from stream_monitor.events.typed import TypedModel
from stream_monitor.events.untrusted import Rejected

Document = dict[str, Any]


def read_prediction(document: object, models: Mapping[str, TypedModel], policy: DecodePolicy) -> PredictionRow:
    event = _event(document)
    model_name = _text(event, "model_name", MAX_NAME)
    prediction_id = _text(event, "prediction_id", MAX_ID)
    timestamp = _required(event, "timestamp")
    body = _body(_required(event, "prediction"))
    version = _version(event) or UNKNOWN_VERSION
    latency = _latency(event.get("latency_seconds"))
    tags = _tags(event.get("tags"))
    given = event.get("features")
    features: Document = {} if given is None else _object("features", given)
    model = models.get(model_name)
    if model is not None:
        typed = _typed_features(features, model)
        return model.row(prediction_id, timestamp, body, typed, version, latency, tags)
    if len(features) > policy.max_features:
        raise too_many_features(len(features), policy)
    if (longest := max(map(len, features), default=0)) > MAX_NAME:
        raise _long("a feature's name", longest, MAX_NAME)
    values = {name: category_value(value) for name, value in features.items()}
    return PredictionEvent(model_name, prediction_id, timestamp, body, values, version, latency, tags)


def read_label(document: object) -> LabelEvent:
    event = _event(document)
    prediction = event.get("prediction")
    return LabelEvent(
        model_name=_text(event, "model_name", MAX_NAME),
        prediction_id=_text(event, "prediction_id", MAX_ID),
        timestamp=_required(event, "timestamp"),
        actual=_actual(_required(event, "actual")),
        prediction=None if prediction is None else _body(prediction),
        model_version=_version(event),
        prediction_timestamp=event.get("prediction_timestamp"),
        tags=_tags(event.get("tags")),
    )


def too_many_features(count: int, policy: DecodePolicy) -> Rejected:
    return Rejected(
        RejectReason.TOO_MANY_FEATURES,
        f"the event has {count} features; a model without profile may have {policy.max_features}",
    )


def number_value(value: object) -> float | bool | None:
    """A numeric feature: None is missing, +inf is invalid."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return _finite(value)
    return math.inf


def category_value(value: object) -> Any:
    """A categorical or unlaid feature: str, int, float or bool as it came, None missing, else INVALID."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value if len(value) <= MAX_CATEGORY else INVALID
    if isinstance(value, int) and INT_MIN <= value <= INT_MAX:
        return value
    if isinstance(value, int | float):
        number = _finite(value)
        return number if number != math.inf else INVALID
    return INVALID


def _typed_features(features: Document, model: TypedModel) -> Any:
    get = features.get
    readers: list[Callable[[object], Any]] = [
        number_value if kind == "numeric" else category_value for kind in model.layout.kinds
    ]
    return model.features(*(read(get(name)) for name, read in zip(model.layout.names, readers, strict=True)))


def _event(document: object) -> Document:
    if not isinstance(document, dict):
        raise _wrong("the event", "a JSON object", document)
    return document


def _required(event: Document, field: str) -> Any:
    value = event.get(field)
    if value is None:
        raise Rejected(
            RejectReason.MISSING_FIELD,
            f'the event has no "{field}"; if it stands under another name, say so in mapping',
        )
    return value


def _text(event: Document, field: str, limit: int) -> str:
    value = _required(event, field)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise _wrong(field, "text or an integer of at most 64 bits", value)
    if not value:
        raise Rejected(RejectReason.MISSING_FIELD, f'"{field}" is empty')
    if len(value) > limit:
        raise _long(field, len(value), limit)
    return value


def _version(event: Document) -> str | None:
    value = event.get("model_version")
    if value is None or value == "":
        return None
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    return _text(event, "model_version", MAX_NAME)


def _body(value: object) -> PredictionBody:
    body = _object("prediction", value)
    return PredictionBody(
        label=_class("prediction.label", body.get("label")),
        score=_output("prediction.score", body.get("score")),
        scores=_scores(body.get("scores")),
        value=_output("prediction.value", body.get("value")),
    )


def _actual(value: object) -> ActualBody:
    body = _object("actual", value)
    actual = ActualBody(_class("actual.label", body.get("label")), _output("actual.value", body.get("value")))
    check_actual(actual)
    return actual


def check_actual(actual: ActualBody) -> None:
    """A label says something, or it is refused."""
    if actual.label is None and actual.value is None:
        raise Rejected(RejectReason.MISSING_FIELD, '"actual" has neither "label" nor "value"')
    if actual.value == math.inf:
        raise Rejected(RejectReason.WRONG_TYPE, "actual.value must be a finite number")


def _class(field: str, value: object) -> str | float | bool | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if len(value) > MAX_NAME:
            raise _long(field, len(value), MAX_NAME)
        return value
    if isinstance(value, int) and INT_MIN <= value <= INT_MAX:
        return value
    if isinstance(value, int | float) and (number := _finite(value)) != math.inf:
        return number
    raise _wrong(field, "text, a finite number, true or false", value)


def _output(field: str, value: object) -> float | None:
    """A NaN is an answer of the model, and counted as invalid; text is an error of the producer."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(field, "a number", value)
    return _finite(value)


def _scores(value: object) -> dict[str, float] | None:
    if value is None:
        return None
    scores = _object("prediction.scores", value)
    if len(scores) > MAX_CLASSES:
        raise Rejected(RejectReason.TOO_LARGE, f"prediction.scores has {len(scores)} classes; at most {MAX_CLASSES}")
    result = {}
    for name, score in scores.items():
        if len(name) > MAX_NAME:
            raise _long("a class of prediction.scores", len(name), MAX_NAME)
        number = _output("a score of prediction.scores", score)
        if number is not None:
            result[name] = number
    return result


def _latency(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    number = _finite(value)
    return number if 0.0 <= number < math.inf else math.nan


def _tags(value: object) -> dict[str, str] | None:
    if value is None:
        return None
    tags = _object("tags", value)
    if len(tags) > MAX_TAGS:
        raise Rejected(RejectReason.TOO_LARGE, f"the event has {len(tags)} tags; at most {MAX_TAGS}")
    return {name: _tag(tag) for name, tag in tags.items() if tag is not None}


def _tag(value: object) -> str:
    scalar = category_value(value)
    if scalar is INVALID:
        return INVALID_TAG
    text = canonical_scalar(scalar)
    return text if len(text) <= MAX_NAME else INVALID_TAG


def _finite(value: float) -> float:
    """The number as a float, +inf if it is none: NaN, infinite, or an integer beyond all floats."""
    try:
        number = float(value)
    except OverflowError:
        return math.inf
    return number if math.isfinite(number) else math.inf


def _object(field: str, value: object) -> Document:
    if not isinstance(value, dict):
        raise _wrong(field, "an object", value)
    return value


def _long(field: str, length: int, limit: int) -> Rejected:
    return Rejected(RejectReason.TOO_LARGE, f"{field} has {length} characters; at most {limit}")


def _wrong(field: str, accepted: str, value: object) -> Rejected:
    return Rejected(RejectReason.WRONG_TYPE, f"{field} must be {accepted}, found {_kind(value)}")


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    names = {dict: "an object", list: "a list", str: "text", int: "an integer", float: "a number"}
    return "null" if value is None else names.get(type(value), type(value).__name__)
