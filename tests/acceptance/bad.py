"""Every line of bad input, with what must become of it: a dead letter of a reason, or a count.

Events lie in one hour of event time, so that one window holds them all and its counts can be told in advance.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.acceptance.contract import rfc3339

MODEL = "credit"
MAX_EVENT_BYTES = 200_000
MAX_FEATURES = 50


@dataclass(frozen=True, slots=True)
class Bad:
    """A message and the dead letter it must become: its reason, and words that its sentence must have."""

    what: str
    value: bytes | None
    reason: str
    words: tuple[str, ...] = ()


class Maker:
    """Well-formed events with single fields changed; `...` leaves a field out. Ids never repeat."""

    def __init__(self, hour_ms: int) -> None:
        self.hour_ms = hour_ms
        self._made = 0

    def id(self) -> str:
        self._made += 1
        return f"p{self._made}"

    def prediction(self, **changes: Any) -> dict[str, Any]:
        made = {
            "model_name": MODEL,
            "model_version": "7",
            "prediction_id": self.id(),
            "timestamp": rfc3339(self.hour_ms + 60_000 + self._made * 100),
            "features": {"income": 50.0 + self._made % 10, "region": "EU", "constant": 7},
            "prediction": {"score": 0.25},
            "latency_seconds": 0.01,
        }
        return {name: value for name, value in {**made, **changes}.items() if value is not ...}

    def features(self, **changes: Any) -> dict[str, Any]:
        event = self.prediction()
        return {**event, "features": {**event["features"], **changes}}

    def label(self, prediction_id: str, truth: object, **changes: Any) -> dict[str, Any]:
        at = rfc3339(self.hour_ms + 1_800_000)
        made = {"model_name": MODEL, "prediction_id": prediction_id, "timestamp": at, "actual": {"label": truth}}
        return {name: value for name, value in {**made, **changes}.items() if value is not ...}


def text(event: dict[str, Any]) -> bytes:
    """As Python's json writes it, NaN and Infinity included."""
    return json.dumps(event).encode()


def bad_predictions(make: Maker) -> Iterator[Bad]:
    good = make.prediction
    seconds = make.hour_ms // 1_000 + 100
    yield Bad("half a message", text(good())[:-10], "malformed_json")
    yield Bad("no JSON", b"prediction p1 was 0.5", "malformed_json", ("not JSON",))
    yield Bad("not UTF-8", b'{"model_name": "\xff\xfe"}', "malformed_json", ("UTF-8",))
    yield Bad("an empty message", b"", "empty", ("no value",))
    yield Bad("a tombstone", None, "empty", ("no value",))
    yield Bad("an oversized message", text(good(trace_id="x" * MAX_EVENT_BYTES)), "too_large", ("200000",))
    yield Bad("a nesting bomb", b'{"a":' * 30_000 + b"1" + b"}" * 30_000, "too_deep", ("30000",))
    yield Bad("a bomb of lists never closed", b"[" * 100_000, "too_deep", ("100000",))
    for field in ("model_name", "prediction_id", "timestamp", "prediction"):
        yield Bad(f"no {field}", text(good(**{field: ...})), "missing_field", (f'"{field}"',))
    yield Bad("a list instead of an event", b"[1, 2, 3]", "wrong_type", ("a JSON object", "a list"))
    yield Bad("a list as model name", text(good(model_name=[MODEL])), "wrong_type", ("model_name", "a list"))
    yield Bad("text as prediction", text(good(prediction="yes")), "wrong_type", ("prediction", "text"))
    yield Bad("text as score", text(good(prediction={"score": "high"})), "wrong_type", ("prediction.score", "a number"))
    yield Bad("features as list", text(good(features=[1, 2])), "wrong_type", ("features", "an object"))
    yield Bad("a huge integer as id", text(good(prediction_id=10**40)), "wrong_type", ("prediction_id",))
    yield Bad("words as time", text(good(timestamp="yesterday")), "wrong_type", ("RFC 3339",))
    yield Bad(
        "milliseconds as seconds",
        text(good(timestamp=seconds * 1_000)),
        "timestamp_out_of_range",
        ("timestamp_unit: ms",),
    )
    yield Bad("the year 1970", text(good(timestamp=0)), "timestamp_out_of_range", ("max_past",))
    yield Bad("a day ahead", text(good(timestamp=seconds + 90_000)), "timestamp_out_of_range", ("max_future",))
    yield Bad("a time of 400 digits", text(good(timestamp=10**400)), "timestamp_out_of_range")
    many = {f"f{i}": i for i in range(MAX_FEATURES + 1)}
    yield Bad("too many features", text(good(model_name="stranger", features=many)), "too_many_features", ("51",))


def bad_labels(make: Maker) -> Iterator[Bad]:
    yield Bad("half a label", b'{"model_name": "credit", "pred', "malformed_json")
    yield Bad("an empty label", b"", "empty")
    yield Bad("no actual", text(make.label("p1", "1", actual=...)), "missing_field", ('"actual"',))
    yield Bad("an empty actual", text(make.label("p1", "1", actual={})), "missing_field", ("label", "value"))
    yield Bad("NaN as actual", text(make.label("p1", "1", actual={"value": float("nan")})), "wrong_type", ("finite",))
    yield Bad("a list as class", text(make.label("p1", ["1"])), "wrong_type", ("actual.label",))
