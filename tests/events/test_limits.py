"""Every limit of an event, reached: just within it the event is taken, just beyond it has one named outcome."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from stream_monitor.events.columns import INVALID, FeatureLayout
from stream_monitor.events.decode import LabelDecoder, PredictionDecoder
from stream_monitor.events.fields import MAX_CATEGORY, MAX_CLASSES, MAX_ID, MAX_NAME, MAX_TAGS
from stream_monitor.events.names import INVALID_TAG
from stream_monitor.events.policy import DecodePolicy
from stream_monitor.events.rejects import RejectReason
from tests.events.strategies import RECORD_MS
from tests.events.test_bad_input import GOOD, LABEL

BYTES, DEPTH, FEATURES = 20_000, 8, 50
POLICY = DecodePolicy(max_event_bytes=BYTES, max_depth=DEPTH, max_features=FEATURES)
PREDICTIONS = {
    "without a profile": PredictionDecoder(POLICY),
    "with a profile": PredictionDecoder(POLICY, {"credit": FeatureLayout(("income",), ("numeric",))}),
    "mapped": PredictionDecoder(DecodePolicy(max_event_bytes=BYTES, max_depth=DEPTH, max_features=FEATURES, mapping={
        "latency_seconds": "took"
    })),
}  # fmt: skip


def taken(decoder: PredictionDecoder | LabelDecoder, value: bytes) -> Any:
    """The row, or the reason of the reject."""
    decoded = decoder.decode_batch([value], [RECORD_MS])
    return decoded.rejects[0][1].reason if decoded.rejects else decoded.rows[0]


def event(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


def label(**changes: Any) -> bytes:
    return json.dumps({**LABEL, **changes}).encode()


def text(length: int) -> str:
    return "x" * length


def nested(depth: int) -> Any:
    """Deeper than the event and its features by `depth`."""
    found: Any = 1
    for _ in range(depth):
        found = [found]
    return found


def padded(size: int) -> bytes:
    return event(unknown=text(size - len(event(unknown=""))))


@pytest.mark.parametrize("decoder", PREDICTIONS.values(), ids=PREDICTIONS)
@pytest.mark.parametrize(
    ("within", "beyond", "reason"),
    [
        (padded(BYTES), padded(BYTES + 1), RejectReason.TOO_LARGE),
        (event(model_name=text(MAX_NAME)), event(model_name=text(MAX_NAME + 1)), RejectReason.TOO_LARGE),
        (event(model_version=text(MAX_NAME)), event(model_version=text(MAX_NAME + 1)), RejectReason.TOO_LARGE),
        (event(prediction_id=text(MAX_ID)), event(prediction_id=text(MAX_ID + 1)), RejectReason.TOO_LARGE),
        (
            event(prediction={"label": text(MAX_NAME)}),
            event(prediction={"label": text(MAX_NAME + 1)}),
            RejectReason.TOO_LARGE,
        ),
        (
            event(prediction={"scores": {text(MAX_NAME): 1}}),
            event(prediction={"scores": {text(MAX_NAME + 1): 1}}),
            RejectReason.TOO_LARGE,
        ),
        (
            event(prediction={"scores": {str(i): 0 for i in range(MAX_CLASSES)}}),
            event(prediction={"scores": {str(i): 0 for i in range(MAX_CLASSES + 1)}}),
            RejectReason.TOO_LARGE,
        ),
        (
            event(tags={str(i): "x" for i in range(MAX_TAGS)}),
            event(tags={str(i): "x" for i in range(MAX_TAGS + 1)}),
            RejectReason.TOO_LARGE,
        ),
    ],
    ids=["bytes", "model name", "version", "id", "class", "class of scores", "classes", "tags"],
)
def test_a_prediction_is_taken_up_to_each_limit_and_refused_beyond_it(
    decoder: PredictionDecoder, within: bytes, beyond: bytes, reason: RejectReason
) -> None:
    assert not isinstance(taken(decoder, within), RejectReason)
    assert taken(decoder, beyond) is reason


@pytest.mark.parametrize("name", ["without a profile", "mapped"])
@pytest.mark.parametrize(
    ("within", "beyond", "reason"),
    [
        (
            event(features={str(i): 1 for i in range(FEATURES)}),
            event(features={str(i): 1 for i in range(FEATURES + 1)}),
            RejectReason.TOO_MANY_FEATURES,
        ),
        (
            event(features={text(MAX_NAME): 1}),
            event(features={text(MAX_NAME + 1): 1}),
            RejectReason.TOO_LARGE,
        ),
        (
            event(features={"a": nested(DEPTH - 2)}),
            event(features={"a": nested(DEPTH - 1)}),
            RejectReason.TOO_DEEP,
        ),
    ],
    ids=["features", "name of a feature", "depth"],
)
def test_features_without_a_profile_are_bounded(name: str, within: bytes, beyond: bytes, reason: RejectReason) -> None:
    assert not isinstance(taken(PREDICTIONS[name], within), RejectReason)
    assert taken(PREDICTIONS[name], beyond) is reason


@pytest.mark.parametrize(
    ("within", "beyond", "reason"),
    [
        (label(prediction_id=text(MAX_ID)), label(prediction_id=text(MAX_ID + 1)), RejectReason.TOO_LARGE),
        (label(model_name=text(MAX_NAME)), label(model_name=text(MAX_NAME + 1)), RejectReason.TOO_LARGE),
        (
            label(actual={"label": text(MAX_NAME)}),
            label(actual={"label": text(MAX_NAME + 1)}),
            RejectReason.TOO_LARGE,
        ),
        (label(actual={"value": 1e308}), label(actual={"value": 10**309}), RejectReason.WRONG_TYPE),
    ],
    ids=["id", "model name", "class", "value"],
)
def test_a_label_is_taken_up_to_each_limit_and_refused_beyond_it(
    within: bytes, beyond: bytes, reason: RejectReason
) -> None:
    decoder = LabelDecoder(POLICY)
    assert not isinstance(taken(decoder, within), RejectReason)
    assert taken(decoder, beyond) is reason


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        (text(MAX_CATEGORY), text(MAX_CATEGORY)),
        (text(MAX_CATEGORY + 1), INVALID),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (2**63, 2.0**63),
        (-(10**30), -1e30),
        (10**309, INVALID),
        (1.7976931348623157e308, 1.7976931348623157e308),
        (5e-324, 5e-324),
        (math.nan, INVALID),
        (math.inf, INVALID),
        (True, True),
    ],
)
def test_what_a_feature_may_be_and_what_is_invalid(value: object, becomes: object) -> None:
    row = taken(PREDICTIONS["without a profile"], event(features={"a": value}))
    assert row.features["a"] == becomes
    assert type(row.features["a"]) is type(becomes)


@pytest.mark.parametrize(
    ("value", "becomes"), [(text(MAX_NAME), text(MAX_NAME)), (text(MAX_NAME + 1), INVALID_TAG), (10**40, "1e+40")]
)
def test_what_a_tag_may_be(value: object, becomes: str) -> None:
    assert taken(PREDICTIONS["without a profile"], event(tags={"country": value})).tags["country"] == becomes


@pytest.mark.parametrize(
    ("timestamp", "is_taken"),
    [(RECORD_MS / 1_000 + 60, True), (RECORD_MS / 1_000 + 61, False), (RECORD_MS / 1_000 - 7 * 86_400 - 1, False)]
    + [(each, False) for each in (2**63 - 1, -(2**63), 2**63, 1e308, -1e308, 5e-324, 10**400)],
)
def test_a_time_beyond_every_calendar_is_out_of_range(timestamp: float, is_taken: bool) -> None:
    found = taken(PREDICTIONS["without a profile"], event(timestamp=timestamp))
    if is_taken:
        assert not isinstance(found, RejectReason)
    else:
        assert found is RejectReason.TIMESTAMP_OUT_OF_RANGE
