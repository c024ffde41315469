"""Fields of other names are found; the input stays as it was."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from stream_monitor.events.decode import LabelDecoder, PredictionDecoder
from stream_monitor.events.mapping import compile_mapping
from stream_monitor.events.policy import DecodePolicy
from tests.events.strategies import RECORD_MS


@pytest.mark.parametrize(
    ("mapping", "document", "expected"),
    [
        ({"model_name": "model"}, {"model": "m"}, {"model": "m", "model_name": "m"}),
        ({"features": "in.x"}, {"in": {"x": {"a": 1}}}, {"in": {"x": {"a": 1}}, "features": {"a": 1}}),
        ({"prediction.score": "p"}, {"p": 0.5}, {"p": 0.5, "prediction": {"score": 0.5}}),
        ({"prediction.score": "p"}, {"p": 1, "prediction": {"label": "a"}},
         {"p": 1, "prediction": {"label": "a", "score": 1}}),
        ({"features.a": "x.y"}, {"x.y": 1}, {"x.y": 1, "features": {"a": 1}}),
        ({"features.a": "x.y.z"}, {"x": {"y": 0}, "x.y": {"z": 1}},
         {"x": {"y": 0}, "x.y": {"z": 1}, "features": {"a": 1}}),
        ({"model_name": "gone"}, {"model_name": "kept"}, {"model_name": "kept"}),
        ({"model_name": "a.b"}, {"a": 5}, {"a": 5}),
        ({"prediction.score": "p", "prediction": "out"}, {"p": 1, "out": {"label": 0}},
         {"p": 1, "out": {"label": 0}, "prediction": {"label": 0, "score": 1}}),
        ({"a": "b", "b": "a"}, {"a": 1, "b": 2}, {"a": 2, "b": 1}),
    ],
)  # fmt: skip
def test_fields_are_found_by_path(mapping: dict[str, str], document: dict[str, Any], expected: Any) -> None:
    before = copy.deepcopy(document)
    rename = compile_mapping(mapping)
    assert rename is not None
    assert rename(document) == expected
    assert document == before


def test_no_mapping_is_no_function() -> None:
    assert compile_mapping({}) is None


def test_a_foreign_event_is_decoded_through_its_mapping() -> None:
    mapping = {
        "model_name": "meta.model", "prediction_id": "request_id", "timestamp": "ts", "features": "inputs",
        "prediction.score": "output.prob", "actual.label": "outcome",
    }  # fmt: skip
    event = {
        "meta": {"model": "credit"}, "request_id": "1", "ts": RECORD_MS, "inputs": {"a": 1}, "output": {"prob": 0.5},
        "outcome": True,
    }  # fmt: skip
    policy = DecodePolicy(timestamp_unit="ms", mapping=mapping)
    data = json.dumps(event).encode()
    row = PredictionDecoder(policy).decode_batch([data], [RECORD_MS]).rows[0]
    assert (row.model_name, row.prediction_id, row.features, row.prediction.score) == ("credit", "1", {"a": 1}, 0.5)
    assert LabelDecoder(policy).decode_batch([data], [RECORD_MS]).rows[0].actual.label is True
