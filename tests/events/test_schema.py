"""Schemas accept what is really encoded and taken, and refuse what is not."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings

from stream_monitor.events.rejects import Reject, RejectReason, dead_letter
from stream_monitor.events.schema import json_schemas
from tests.events.strategies import labels, predictions
from tests.events.test_metric import alert_event, metric_event

VALIDATORS = {
    name: jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    for name, schema in json_schemas().items()
}


def test_all_public_events_have_a_valid_schema() -> None:
    assert set(VALIDATORS) == {"prediction", "label", "metric", "alert", "dead_letter"}
    for schema in json_schemas().values():
        jsonschema.Draft202012Validator.check_schema(schema)
        json.dumps(schema)


@given(predictions(value=lambda good: good), labels(value=lambda good: good))
@settings(max_examples=50, deadline=None)
def test_well_formed_inputs_fit(prediction: Any, label: Any) -> None:
    VALIDATORS["prediction"].validate(prediction)
    VALIDATORS["label"].validate(label)


def test_encoded_outputs_fit() -> None:
    VALIDATORS["metric"].validate(json.loads(metric_event().encode()))
    VALIDATORS["metric"].validate(json.loads(metric_event(class_=None, value=None, model_version=None).encode()))
    VALIDATORS["alert"].validate(json.loads(alert_event().encode()))
    letter = dead_letter(
        Reject(RejectReason.EMPTY, "no value"), topic="t", partition=0, offset=1, record_ms=0, key=None, value=None,
        emitted_ms=0,
    )  # fmt: skip
    VALIDATORS["dead_letter"].validate(json.loads(letter.encode()))


@pytest.mark.parametrize("name", ["prediction", "label", "metric", "alert", "dead_letter"])
@pytest.mark.parametrize("value", [{}, [], {"model_name": 1}])
def test_what_is_no_event_does_not_fit(name: str, value: Any) -> None:
    assert not VALIDATORS[name].is_valid(value)
