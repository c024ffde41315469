"""Every kind of bad input has one named outcome, and costs no more than it must."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from stream_monitor.events.columns import INVALID, FeatureColumns, FeatureLayout, feature_columns
from stream_monitor.events.decode import Decoded, LabelDecoder, PredictionDecoder
from stream_monitor.events.policy import DecodePolicy, TimeBounds
from stream_monitor.events.prediction import UNKNOWN_VERSION, PredictionRow
from stream_monitor.events.rejects import Reject, RejectReason
from stream_monitor.events.times import MAX_MS
from stream_monitor.events.untrusted import nesting_depth
from tests.events.strategies import RECORD_MS

LAYOUT = FeatureLayout(("income", "region"), ("numeric", "categorical"))
GOOD: dict[str, Any] = {
    "model_name": "credit",
    "model_version": "7",
    "prediction_id": "9f2",
    "timestamp": "2026-11-20T10:15:30.123Z",
    "features": {"income": 52000, "region": "EU"},
    "prediction": {"label": "1", "score": 0.83},
    "latency_seconds": 0.012,
    "tags": {"country": "DE"},
}
LABEL: dict[str, Any] = {
    "model_name": "credit",
    "prediction_id": "9f2",
    "timestamp": "2026-11-20T10:15:30.123Z",
    "actual": {"label": "1"},
}


def decode(*values: bytes | None, policy: DecodePolicy | None = None) -> Decoded[PredictionRow]:
    decoder = PredictionDecoder(policy or DecodePolicy(), {"credit": LAYOUT})
    return decoder.decode_batch(values, [RECORD_MS] * len(values))


def event(**changes: Any) -> bytes:
    return json.dumps({k: v for k, v in {**GOOD, **changes}.items() if v is not ...}).encode()


def label(**changes: Any) -> bytes:
    return json.dumps({k: v for k, v in {**LABEL, **changes}.items() if v is not ...}).encode()


def reject(value: bytes | None, policy: DecodePolicy | None = None) -> Reject:
    """The one reject, with good events before and after, which must not be lost."""
    decoded = decode(event(), value, event(), policy=policy)
    assert decoded.index == [0, 2]
    ((index, found),) = decoded.rejects
    assert index == 1
    return found


def label_reject(value: bytes) -> Reject:
    decoded = LabelDecoder(DecodePolicy()).decode_batch([label(), value, label()], [RECORD_MS] * 3)
    assert decoded.index == [0, 2]
    return decoded.rejects[0][1]


def row(value: bytes) -> PredictionRow:
    decoded = decode(value)
    assert decoded.rejects == []
    return decoded.rows[0]


def columns(value: bytes) -> FeatureColumns:
    return feature_columns([row(value).features], LAYOUT)


@pytest.mark.parametrize("value", [None, b""])
def test_an_empty_message_is_named_empty(value: bytes | None) -> None:
    assert reject(value).reason is RejectReason.EMPTY


def test_an_oversized_message_is_refused_unparsed() -> None:
    found = reject(b"[" * 2_000, DecodePolicy(max_event_bytes=1_000))
    assert found.reason is RejectReason.TOO_LARGE
    assert "2000 bytes" in found.sentence
    assert "max_event_bytes" in found.sentence


@pytest.mark.parametrize(
    "value",
    [
        b"{",
        b"not json",
        event()[:-1],
        event() + b"}",
        b'{"a": "\xff"}',
        b"\xff\xfe{\x00",
        b'{"a": "\\ud800"}',
        b'"\\',
        b" ",
    ],
)
def test_malformed_json_is_named_malformed(value: bytes) -> None:
    assert reject(value).reason is RejectReason.MALFORMED_JSON


@pytest.mark.parametrize("value", [b"[]", b"1", b"null", b"NaN", b'"text"'])
def test_json_that_is_no_object_has_the_wrong_type(value: bytes) -> None:
    assert reject(value).reason is RejectReason.WRONG_TYPE


@pytest.mark.parametrize("field", ["model_name", "prediction_id", "timestamp", "prediction"])
@pytest.mark.parametrize("missing", [..., None])
def test_a_missing_required_field_is_named(field: str, missing: object) -> None:
    found = reject(event(**{field: missing}))
    assert found.reason is RejectReason.MISSING_FIELD
    assert f'"{field}"' in found.sentence


@pytest.mark.parametrize("field", ["model_name", "prediction_id"])
def test_an_empty_name_is_missing_and_a_huge_one_too_large(field: str) -> None:
    assert reject(event(**{field: ""})).reason is RejectReason.MISSING_FIELD
    assert reject(event(**{field: "x" * 5_000})).reason is RejectReason.TOO_LARGE


@pytest.mark.parametrize(
    "changes",
    [
        {"model_name": ["credit"]},
        {"model_name": True},
        {"prediction_id": 1.5},
        {"prediction_id": 2**100},
        {"prediction_id": {}},
        {"model_version": []},
        {"timestamp": True},
        {"timestamp": "yesterday"},
        {"timestamp": "2026-11-20T10:15:30"},
        {"timestamp": {}},
        {"prediction": 0.83},
        {"prediction": {"score": "0.83"}},
        {"prediction": {"score": True}},
        {"prediction": {"label": ["1"]}},
        {"prediction": {"label": math.nan}},
        {"prediction": {"scores": [0.1]}},
        {"prediction": {"scores": {"1": "high"}}},
        {"features": [1, 2]},
        {"tags": "DE"},
    ],
)
def test_a_field_of_the_wrong_type_is_named(changes: dict[str, Any]) -> None:
    found = reject(event(**changes))
    assert found.reason is RejectReason.WRONG_TYPE
    assert next(iter(changes)) in found.sentence


def test_numbers_as_names_are_read_as_their_digits() -> None:
    found = row(event(prediction_id=12345, model_version=7))
    assert (found.prediction_id, found.model_version) == ("12345", "7")
    assert row(event(model_version=1.5)).model_version == "1.5"


@pytest.mark.parametrize("version", [..., None, ""])
def test_an_event_without_version_is_of_the_unknown_one(version: object) -> None:
    assert row(event(model_version=version)).model_version == UNKNOWN_VERSION


@pytest.mark.parametrize("opener", ["[", '{"a":', '[{"a":'])
@pytest.mark.parametrize("field", ["features", "trace_id", None])
def test_a_nesting_bomb_is_refused_before_it_is_parsed(opener: str, field: str | None) -> None:
    bomb = opener.encode() * 50_000
    value = bomb if field is None else event()[:-1] + f', "{field}": '.encode() + bomb
    found = reject(value)
    assert found.reason is RejectReason.TOO_DEEP
    assert "at most 32" in found.sentence


def test_nesting_as_deep_as_allowed_is_read() -> None:
    deep: Any = 1
    for _ in range(30):
        deep = [deep]
    decoded = decode(event(features={"income": deep, "region": "EU"}))
    assert decoded.rejects == []
    assert reject(event(features={"income": [deep]})).reason is RejectReason.TOO_DEEP


@pytest.mark.parametrize(
    ("data", "depth"),
    [
        (b"", 0),
        (b"1", 0),
        (b"{}", 1),
        (b'{"a": [1, {"b": 2}], "c": []}', 3),
        (b'{"[[[[": "{{{{"}', 1),
        (b'{"a\\"[[[": 1}', 1),
        (b'["\\\\", [[]]]', 3),
        (b'["unterminated [[[', 1),
        (b'"\\', 0),
        (b"]]]][[[[", 0),
        (b"[[]" * 3, 4),
    ],
)
def test_nesting_is_counted_outside_strings(data: bytes, depth: int) -> None:
    assert nesting_depth(data) == depth


def test_an_unterminated_string_of_escapes_does_not_stall_the_scan() -> None:
    # A quadratic scan of this mebibyte would run into the suite's timeout.
    assert nesting_depth(b'{"a": "' + b'\\"' * 500_000 + b"[" * 100) == 1


@pytest.mark.parametrize("literal", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"9" * 400, b"9" * 5_000])
def test_a_number_that_is_none_costs_only_its_feature(literal: bytes) -> None:
    found = columns(event(features={"income": 1, "region": "EU"}).replace(b'"income": 1', b'"income": ' + literal))
    assert np.isinf(found.numeric[0, 0])
    assert found.categorical == (["EU"],)


@pytest.mark.parametrize("value", ["text", [1], {"a": 1}, ""])
def test_a_numeric_feature_of_another_type_is_invalid(value: object) -> None:
    found = columns(event(features={"income": value, "region": "EU"}))
    assert np.isinf(found.numeric[0, 0])
    assert found.categorical == (["EU"],)


@pytest.mark.parametrize("value", [[1], {"a": 1}, "x" * 2_000])
def test_a_category_that_is_none_is_invalid(value: object) -> None:
    found = columns(event(features={"income": 5, "region": value}))
    assert found.numeric[0, 0] == 5.0
    assert found.categorical == ([INVALID],)


def test_a_feature_that_changes_type_changes_nothing_else() -> None:
    batch = decode(*(event(features={"income": v, "region": v}) for v in (1, "1", None, True, [1], 2.5)))
    found = feature_columns([r.features for r in batch.rows], LAYOUT)
    np.testing.assert_array_equal(found.numeric[0], [1.0, np.inf, np.nan, 1.0, np.inf, 2.5])
    assert found.categorical[0] == [1, "1", None, True, INVALID, 2.5]


@pytest.mark.parametrize("features", [..., None, {}])
def test_absent_features_are_missing(features: object) -> None:
    found = columns(event(features=features))
    assert np.isnan(found.numeric[0, 0])
    assert found.categorical == ([None],)


def test_too_many_features_are_refused_where_no_profile_says_which_matter() -> None:
    many = {f"f{i}": 1 for i in range(11)}
    policy = DecodePolicy(max_features=10)
    assert reject(event(model_name="new", features=many), policy).reason is RejectReason.TOO_MANY_FEATURES
    bad = {**many, "f0": [1]}
    assert reject(event(model_name="new", features=bad), policy).reason is RejectReason.TOO_MANY_FEATURES
    assert decode(event(features=many), event(features=bad), policy=policy).rejects == []


@pytest.mark.parametrize("latency", [0.1, "fast"])  # typed and lenient
def test_a_name_of_a_feature_is_bounded_where_no_profile_says_which_matter(latency: object) -> None:
    absurd = event(model_name="new", features={"x" * 257: 1}, latency_seconds=latency)
    assert reject(absurd).reason is RejectReason.TOO_LARGE
    assert decode(event(features={"x" * 257: 1}, latency_seconds=latency)).rejects == []


def test_an_unknown_model_is_read_with_all_its_features() -> None:
    found = row(event(model_name="new", features={"x": 1, "y": "a", "z": None}))
    assert found.model_name == "new"
    assert found.features == {"x": 1, "y": "a", "z": None}


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_an_output_that_is_no_number_is_invalid_not_lost(score: float) -> None:
    assert row(event(prediction={"label": "1", "score": score})).prediction.score == math.inf
    assert row(event(prediction={"value": score})).prediction.value == math.inf
    assert row(event(prediction={"scores": {"a": score, "b": 0.5}})).prediction.scores == {"a": math.inf, "b": 0.5}


@pytest.mark.parametrize("latency", ["fast", -1, math.nan, math.inf, True, [1]])
def test_a_latency_that_is_none_costs_only_itself(latency: object) -> None:
    assert math.isnan(row(event(latency_seconds=latency)).latency_seconds or 0.0)


def test_tags_of_other_types_become_text_or_a_visible_mark() -> None:
    found = row(event(tags={"a": 1, "b": True, "c": [1], "d": None, "e": "x" * 5_000, "f": 1.5, "g": math.nan}))
    assert found.tags == {"a": "1", "b": "true", "c": "__invalid__", "e": "__invalid__", "f": "1.5", "g": "__invalid__"}


def test_too_many_tags_or_classes_are_refused() -> None:
    assert reject(event(tags={str(i): "x" for i in range(1_000)})).reason is RejectReason.TOO_LARGE
    scores = {str(i): 0.0 for i in range(5_000)}
    assert reject(event(prediction={"scores": scores})).reason is RejectReason.TOO_LARGE
    assert reject(event(prediction={"label": "x" * 5_000})).reason is RejectReason.TOO_LARGE


@pytest.mark.parametrize(
    ("timestamp", "hint"),
    [
        (RECORD_MS, "timestamp_unit: ms"),
        (RECORD_MS * 1_000, "timestamp_unit: us"),
        (RECORD_MS * 1_000_000, "timestamp_unit: ns"),
        (float(RECORD_MS), "timestamp_unit: ms"),
        (0, "max_past is 7d"),
        (-(10**30), "1900 to 2999"),
        (10**400, "finite"),
        (math.nan, "finite"),
        ("1970-01-01T00:00:00Z", "max_past is 7d"),
        ("2026-11-20T10:20:30Z", "max_future is 1m"),
        ("2026-11-12T10:15:30Z", "max_past is 7d"),
    ],
)
def test_an_absurd_timestamp_is_refused_with_the_likely_cause(timestamp: Any, hint: str) -> None:
    found = reject(event(timestamp=timestamp))
    assert found.reason is RejectReason.TIMESTAMP_OUT_OF_RANGE
    assert hint in found.sentence


def test_seconds_read_as_milliseconds_name_seconds() -> None:
    value = event(timestamp=RECORD_MS // 1_000)
    decoded = PredictionDecoder(DecodePolicy(timestamp_unit="ms")).decode_batch([value], [RECORD_MS])
    assert "timestamp_unit: s" in decoded.rejects[0][1].sentence


def test_bounds_are_inclusive_and_of_the_model() -> None:
    policy = DecodePolicy(
        timestamp_unit="ms",
        max_past_ms=1_000,
        max_future_ms=500,
        per_model={"old": TimeBounds(max_past_ms=None), "wide": TimeBounds(5_000, None)},
    )
    decoder = PredictionDecoder(policy)

    def taken(model: str, offset: int) -> bool:
        value = event(model_name=model, timestamp=RECORD_MS + offset)
        return bool(decoder.decode_batch([value], [RECORD_MS]).rows)

    assert [taken("any", x) for x in (-1_001, -1_000, 0, 500, 501)] == [False, True, True, True, False]
    assert [taken("old", x) for x in (-RECORD_MS, 60_000, 60_001)] == [True, True, False]
    assert [taken("wide", x) for x in (-5_001, -5_000, 10**9)] == [False, True, True]


def test_a_record_without_time_judges_nothing() -> None:
    assert PredictionDecoder(DecodePolicy()).decode_batch([event()], [-1]).rejects == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"actual": ...}, RejectReason.MISSING_FIELD),
        ({"actual": {}}, RejectReason.MISSING_FIELD),
        ({"actual": {"label": None, "value": None}}, RejectReason.MISSING_FIELD),
        ({"actual": 1}, RejectReason.WRONG_TYPE),
        ({"actual": {"label": [1]}}, RejectReason.WRONG_TYPE),
        ({"actual": {"value": "12"}}, RejectReason.WRONG_TYPE),
        ({"actual": {"value": math.nan}}, RejectReason.WRONG_TYPE),
        ({"actual": {"value": 10**400}}, RejectReason.WRONG_TYPE),
        ({"prediction_id": ...}, RejectReason.MISSING_FIELD),
        ({"timestamp": 0}, RejectReason.TIMESTAMP_OUT_OF_RANGE),
        ({"prediction_timestamp": "soon"}, RejectReason.WRONG_TYPE),
        ({"prediction_timestamp": "2026-11-21T10:15:30Z"}, RejectReason.TIMESTAMP_OUT_OF_RANGE),
        ({"prediction": 0.5}, RejectReason.WRONG_TYPE),
    ],
)
def test_a_bad_label_is_refused_with_its_reason(changes: dict[str, Any], reason: RejectReason) -> None:
    assert label_reject(label(**changes)).reason is reason


def test_a_self_contained_label_may_be_of_a_prediction_months_ago() -> None:
    value = label(
        prediction={"score": 0.4}, model_version="3", prediction_timestamp="2026-03-01T00:00:00Z", tags={"a": "b"}
    )
    decoded = LabelDecoder(DecodePolicy()).decode_batch([value, label()], [RECORD_MS] * 2)
    found, plain = decoded.rows
    assert (found.prediction_timestamp, found.model_version, found.tags) == (1_772_323_200_000, "3", {"a": "b"})
    assert found.prediction is not None
    assert found.prediction.score == 0.4
    assert (plain.prediction_timestamp, plain.model_version, plain.prediction) == (None, None, None)


def test_the_name_that_stands_for_no_model_is_a_model_name_like_any_other() -> None:
    decoded = decode(event(), event(model_name="\x00no model has this name"), event())
    assert [row.model_name for row in decoded.rows] == ["credit", "\x00no model has this name", "credit"]


@pytest.mark.parametrize("record_ms", [2**62, 2**63 - 1, MAX_MS + 1])
def test_a_record_time_that_no_calendar_holds_is_shown_as_it_is(record_ms: int) -> None:
    for decoder in (PredictionDecoder(DecodePolicy(), {"credit": LAYOUT}), LabelDecoder(DecodePolicy())):
        decoded = decoder.decode_batch([event() if isinstance(decoder, PredictionDecoder) else label()], [record_ms])
        ((_, found),) = decoded.rejects
        assert found.reason is RejectReason.TIMESTAMP_OUT_OF_RANGE
        assert f"{record_ms} ms" in found.sentence


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "\x00", ""])
def test_a_layout_may_hold_any_name_of_a_feature(name: str) -> None:
    layout = FeatureLayout(("income", name), ("numeric", "categorical"))
    decoder = PredictionDecoder(DecodePolicy(), {"credit": layout, "other": LAYOUT})
    values = [event(features={"income": 1, name: "EU"}), event(features={"f1": "x"}), event(model_name="other")]
    decoded = decoder.decode_batch(values, [RECORD_MS] * 3)
    assert decoded.rejects == []
    columns = feature_columns([row.features for row in decoded.rows[:2]], layout)
    assert columns.categorical == (["EU", None],)
    np.testing.assert_array_equal(columns.numeric, [[1.0, np.nan]])
    assert feature_columns([decoded.rows[2].features], LAYOUT).categorical == (["EU"],)


def test_a_byte_order_mark_is_read_over() -> None:
    assert row(b"\xef\xbb\xbf" + event()).prediction_id == "9f2"


def test_sentences_hold_no_feature_values() -> None:
    secret = "s3cret"
    for changes in ({"features": [secret]}, {"features": secret}, {"prediction": {"label": [secret]}}):
        assert secret not in reject(event(**changes)).sentence
    assert secret not in reject(event(features={"region": secret})[:-1]).sentence
