"""The fast path means what the lenient path says, and no bytes make a decoder raise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict, astuple

from stream_monitor.events.columns import feature_columns, raw_features
from stream_monitor.events.decode import Decoded, LabelDecoder, PredictionDecoder
from stream_monitor.events.policy import DecodePolicy
from stream_monitor.events.prediction import PredictionEvent
from stream_monitor.events.rejects import RejectReason
from tests.events.strategies import LAYOUT, LAYOUTS, RECORD_MS, encoded, labels, predictions

POLICY = DecodePolicy()
# With any mapping every event takes the lenient path; this one renames nothing.
LENIENT = DecodePolicy(mapping={"model_name": "model_name"})
ONE = {"credit": LAYOUT}
FAST_DECODERS = [PredictionDecoder(POLICY), PredictionDecoder(POLICY, ONE), PredictionDecoder(POLICY, LAYOUTS)]
LENIENT_DECODERS = [
    PredictionDecoder(LENIENT),
    PredictionDecoder(LENIENT, ONE),
    PredictionDecoder(LENIENT, LAYOUTS),
]


def plain(value: Any) -> Any:
    """Comparable form: structs as tuples, NaN equal to itself, numbers by value and type."""
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "__struct_fields__"):
        return [type(value).__name__, *map(plain, astuple(value))]
    return (type(value).__name__, value)


def row_of(row: Any) -> Any:
    # The raw timestamp is text on the lenient path; the parsed one is compared beside it.
    fields = {name: plain(value) for name, value in asdict(row).items() if name != "timestamp"}
    return {"model_name": row.model_name, **fields}


def as_data(decoded: Decoded[Any]) -> Any:
    return (list(map(row_of, decoded.rows)), decoded.timestamps.tolist(), list(decoded.index), decoded.rejects)


def same_columns(fast: Decoded[Any], lenient: Decoded[Any]) -> None:
    ours = [feature_columns([r.features for r in d.rows if r.model_name == "credit"], LAYOUT) for d in (fast, lenient)]
    np.testing.assert_array_equal(ours[0].numeric, ours[1].numeric)
    assert ours[0].categorical == ours[1].categorical


@given(st.lists(predictions(), max_size=4), st.sampled_from([0, 1, 2]))
@settings(max_examples=300, deadline=None)
def test_the_fast_path_reads_predictions_as_the_lenient_path_does(events: list[Any], which: int) -> None:
    values = [encoded(event) for event in events]
    times = [RECORD_MS] * len(values)
    fast = FAST_DECODERS[which].decode_batch(values, times)
    lenient = LENIENT_DECODERS[which].decode_batch(values, times)
    assert as_data(fast) == as_data(lenient)
    if which:
        same_columns(fast, lenient)
    else:
        raw = [raw_features([row.features for row in d.rows]) for d in (fast, lenient)]
        assert plain(raw[0]) == plain(raw[1])


@given(st.lists(labels(), max_size=4))
@settings(max_examples=200, deadline=None)
def test_the_fast_path_reads_labels_as_the_lenient_path_does(events: list[Any]) -> None:
    values = [encoded(event) for event in events]
    times = [RECORD_MS] * len(values)
    fast = LabelDecoder(POLICY).decode_batch(values, times)
    assert as_data(fast) == as_data(LabelDecoder(LENIENT).decode_batch(values, times))


@given(predictions(value=lambda good: good), st.sampled_from([0, 1, 2]))
@settings(max_examples=100, deadline=None)
def test_well_formed_predictions_are_rows(event: Any, which: int) -> None:
    decoded = FAST_DECODERS[which].decode_batch([encoded(event)], [RECORD_MS])
    assert decoded.rejects == []
    assert decoded.rows[0].model_name == event["model_name"]
    assert decoded.rows[0].prediction_id == event["prediction_id"]


def test_well_formed_events_are_parsed_once_and_never_leniently() -> None:
    decoder = PredictionDecoder(POLICY, LAYOUTS)

    def refuse(value: bytes, error: Exception | None) -> Any:
        raise AssertionError(f"{value!r} took the lenient path: {error}")

    decoder._reader._fallback = refuse
    for model in LAYOUTS:
        features = {"income": 1.5, "age": True, "region": None, "a.b": 3}
        if model == "fraud":
            features = {"region": "EU", "income": 7}
        event = {
            "model_name": model,
            "prediction_id": "1",
            "timestamp": 1_795_169_730,
            "features": features,
            "prediction": {"label": 1, "score": 1, "scores": {"1": 1}, "value": None},
            "tags": {"country": "DE"},
            "trace_id": {"a": [1]},
        }
        assert len(decoder.decode_batch([encoded(event)], [RECORD_MS]).rows) == 1


def test_models_without_layout_beside_others_are_not_read_leniently_either() -> None:
    decoder = PredictionDecoder(POLICY, LAYOUTS)
    lenient = decoder._leniently
    seen: list[bytes] = []

    def watched(value: bytes, error: Exception | None) -> Any:
        seen.append(value)
        return lenient(value, error)

    decoder._leniently = watched  # type: ignore[method-assign]
    event = {"model_name": "new", "prediction_id": "1", "timestamp": RECORD_MS / 1_000, "prediction": {}}
    rows = decoder.decode_batch([encoded({**event, "features": {"a": 1}})], [RECORD_MS]).rows
    assert rows[0].features == {"a": 1}
    assert seen == []
    decoder.decode_batch([encoded({**event, "features": {"a": [1]}})], [RECORD_MS])
    assert len(seen) == 1


def test_new_layouts_make_a_new_decoder_and_leave_the_old_one_alone() -> None:
    old = PredictionDecoder(POLICY)
    new = old.with_layouts(ONE)
    event = encoded(
        {
            "model_name": "credit",
            "prediction_id": "1",
            "timestamp": RECORD_MS / 1_000,
            "prediction": {},
            "features": {"age": 3},
        }
    )
    assert old.decode_batch([event], [RECORD_MS]).rows[0].features == {"age": 3}
    typed = new.decode_batch([event], [RECORD_MS]).rows[0].features
    assert feature_columns([typed], LAYOUT).numeric[1, 0] == 3.0


def bounded(decoded: Decoded[Any], values: list[Any]) -> None:
    """Every event has exactly one outcome."""
    assert sorted([*decoded.index, *(i for i, _ in decoded.rejects)]) == list(range(len(values)))
    assert len(decoded.rows) == len(decoded.timestamps) == len(decoded.index)
    for _, reject in decoded.rejects:
        assert isinstance(reject.reason, RejectReason)
        assert 0 < len(reject.sentence) < 500


def decode_all(values: list[bytes | None]) -> None:
    times = [RECORD_MS] * len(values)
    for decoder in (*FAST_DECODERS, *LENIENT_DECODERS):
        decoded = decoder.decode_batch(values, times)
        bounded(decoded, values)
        for name, layout in LAYOUTS.items():
            rows = [r.features for r in decoded.rows if r.model_name == name and not isinstance(r, PredictionEvent)]
            feature_columns(rows, layout)
        raw_features([r.features for r in decoded.rows if isinstance(r, PredictionEvent)])
    for policy in (POLICY, LENIENT):
        bounded(LabelDecoder(policy).decode_batch(values, times), values)


@given(st.lists(st.none() | st.binary(max_size=60), max_size=6))
@settings(max_examples=200, deadline=None)
@example([b"\xff\xfe", b"[" * 5_000, b'{"a":' * 5_000, b"9" * 5_000, b'"' + b'\\"' * 5_000, b"\xef\xbb\xbf{}"])
def test_no_bytes_make_a_decoder_raise(values: list[bytes | None]) -> None:
    decode_all(values)


tokens = st.sampled_from(
    [
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b",",
        b":",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"\\ud800",
        b"\xff",
        b"null",
        b"-",
        b"\x00",
        b"9" * 50,
    ]
)


@given(predictions(), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3), tokens), max_size=4))
@settings(max_examples=300, deadline=None)
def test_no_damage_to_an_event_makes_a_decoder_raise(event: Any, damage: list[Any]) -> None:
    data = encoded(event)
    for at, cut, token in damage:
        at = at % (len(data) + 1)
        data = data[:at] + token + data[at + cut :]
    decode_all([data])


@given(st.lists(st.one_of(predictions(), st.just(None)), max_size=6), st.integers(0, 6))
@settings(max_examples=50, deadline=None)
def test_any_split_into_batches_gives_the_same(events: list[Any], at: int) -> None:
    values = [None if event is None else encoded(event) for event in events]
    times = [RECORD_MS] * len(values)
    decoder = FAST_DECODERS[2]
    whole = decoder.decode_batch(values, times)
    first, second = decoder.decode_batch(values[:at], times[:at]), decoder.decode_batch(values[at:], times[at:])
    shift = len(values[:at])
    assert [*map(row_of, whole.rows)] == [*map(row_of, first.rows + second.rows)]
    assert whole.timestamps.tolist() == [*first.timestamps.tolist(), *second.timestamps.tolist()]
    assert list(whole.index) == [*first.index, *(i + shift for i in second.index)]
    assert whole.rejects == first.rejects + [(i + shift, reject) for i, reject in second.rejects]
