"""Metric events: the contract's fields in the contract's order, and ids that tell figures apart."""

from __future__ import annotations

import json
import math
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.errors import FormatError
from stream_monitor.events.alert import AlertEvent, AlertEvidence, FeatureEvidence
from stream_monitor.events.cloudevents import METRIC_TYPE, cloudevents_headers
from stream_monitor.events.metric import (
    Bin,
    Cell,
    DetectorRef,
    MetricEvent,
    NullBand,
    ReferenceRef,
    metric_event_id,
    segment_label,
    window_label,
    window_ref,
)
from stream_monitor.events.metric_ids import MetricIds
from stream_monitor.events.names import METRICS, MetricName, ReferenceKind, Status, TimeBasis

FIGURE: dict[str, Any] = {
    "model_name": "credit", "model_version": "7", "segment": {"country": "DE"}, "start_ms": 0, "end_ms": 300_000,
    "slide_ms": 300_000, "time_basis": TimeBasis.PREDICTION, "metric": "csi", "feature": "income", "class_": None,
    "detector": None, "reference_id": "r", "schema_id": "s", "revision": 0, "panes_offset": None,
}  # fmt: skip


def metric_event(**changes: Any) -> MetricEvent:
    fields: dict[str, Any] = {
        "id": metric_event_id(**FIGURE), "metric": "csi", "model_name": "credit", "model_version": "7",
        "segment": {"country": "DE"}, "feature": "income", "status": Status.OK, "value": 0.31, "n": 4210,
        "window": window_ref(0, 300_000, 300_000, TimeBasis.PREDICTION), "n_reference": 30_000, "error_bound": 0.0,
        "null_band": NullBand(0.003, 0.006), "p_value": 1e-9, "reference": ReferenceRef("r", ReferenceKind.TRAINING),
        "schema_id": "s",
        "bins": (Bin("[0.2,0.4)", 0.2, 0.4, 0.1, 0.22, 0.09), Bin("novel", None, None, 0.0, 0.1, 0.2)),
        "emitted_at": "2026-11-20T10:15:30.123Z",
    }  # fmt: skip
    return MetricEvent(**{**fields, **changes})


def alert_event() -> AlertEvent:
    evidence = AlertEvidence(metric_event(), (), (FeatureEvidence("income", "csi", 0.31, 1e-9),), None)
    return AlertEvent(
        id="1", fingerprint="f", state="firing", reason="above", labels={"alertname": "input-drift"}, annotations={},
        starts_at="2026-11-20T10:15:30.123Z", evidence=evidence,
    )  # fmt: skip


def test_fields_stand_in_the_contract_s_order() -> None:
    assert list(json.loads(metric_event().encode())) == [
        "id", "metric", "model_name", "model_version", "segment", "feature", "window", "revision", "final",
        "historical", "status", "value", "n", "n_reference", "error_bound", "null_band", "p_value", "reference",
        "schema_id", "bins", "emitted_at",
    ]  # fmt: skip


def test_class_detector_and_cells_stand_only_where_they_apply() -> None:
    event = metric_event(
        class_=None, detector=DetectorRef("adwin", "error"), cells=(Cell("1", "0", 3),), metric="confusion_matrix"
    )
    found = json.loads(event.encode())
    assert found["class"] is None
    assert found["detector"] == {"kind": "adwin", "signal": "error"}
    assert found["cells"] == [{"actual": "1", "predicted": "0", "count": 3}]
    assert not {"class", "detector", "cells"} & set(json.loads(metric_event().encode()))


def test_numbers_that_are_none_are_null() -> None:
    assert json.loads(metric_event(value=math.nan, p_value=math.inf).encode())["value"] is None


def test_metric_and_alert_events_read_back() -> None:
    for event in (metric_event(), metric_event(class_="1", model_version=None), metric_event(class_=None)):
        assert MetricEvent.decode(event.encode()) == event
    assert AlertEvent.decode(alert_event().encode()) == alert_event()
    assert {"startsAt", "endsAt", "generatorURL"} <= set(json.loads(alert_event().encode()))


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b"[" * 100_000, b'{"id": 1}'])
def test_bytes_that_are_no_event_are_a_format_error(data: bytes) -> None:
    for decode in (MetricEvent.decode, AlertEvent.decode):
        with pytest.raises(FormatError):
            decode(data)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model_name", "other"), ("model_version", None), ("model_version", "null"), ("segment", {}),
        ("segment", {"country": "FR"}), ("start_ms", 1), ("end_ms", 1), ("slide_ms", 60_000),
        ("time_basis", TimeBasis.LABEL), ("metric", "psi"), ("feature", None), ("class_", "1"),
        ("detector", DetectorRef("adwin", "error")), ("reference_id", None), ("schema_id", None), ("revision", 1),
        ("panes_offset", 0),
    ],
)  # fmt: skip
def test_whatever_differs_makes_another_id(field: str, value: Any) -> None:
    assert metric_event_id(**{**FIGURE, field: value}) != metric_event_id(**FIGURE)


def test_ids_are_stable_version_5_uuids_and_blind_to_the_order_of_segments() -> None:
    both = [metric_event_id(**{**FIGURE, "segment": s}) for s in ({"a": "1", "b": "2"}, {"b": "2", "a": "1"})]
    assert both[0] == both[1]
    assert UUID(both[0]).version == 5
    # Published ids must survive upgrades, so one is written down.
    assert metric_event_id(**FIGURE) == "0e9a35da-b1c9-593f-97b5-4e052232804d"
    assert metric_event_id(**FIGURE) == metric_event_id(**{**FIGURE, "metric": MetricName.CSI})
    assert metric_event_id(**{**FIGURE, "segment": {"a": "1,b=2"}}) not in both


def test_labels_for_prometheus() -> None:
    assert segment_label({}) == "all"
    assert segment_label({"plan": "x", "country": "DE"}) == "country=DE,plan=x"
    assert window_label(300_000, 300_000) == "5m"
    assert window_label(3_600_000, 300_000) == "1h/5m"
    assert window_ref(0, 500, 500, TimeBasis.LABEL).size_seconds == 0.5


_TAGS = st.dictionaries(st.text("ab=,\\", max_size=3), st.text("ab=,\\", max_size=5), max_size=3)


@given(_TAGS, _TAGS)
def test_no_two_segments_share_a_label(one: dict[str, str], other: dict[str, str]) -> None:
    assert (segment_label(one) == segment_label(other)) == (one == other)


def test_separators_within_tags_are_escaped() -> None:
    assert segment_label({"a": "x,b=y"}) == r"a=x\,b=y"
    assert segment_label({"a": "x", "b": "y"}) == "a=x,b=y"


def test_every_metric_is_specified_once_with_unit_and_one_line_of_help() -> None:
    assert set(METRICS) == set(MetricName)
    for name, spec in METRICS.items():
        assert spec.name == name
        assert spec.help.endswith(".")
        assert "\n" not in spec.help
    assert not METRICS["csi_points"].computed
    assert METRICS["auc_roc"].computed


def test_cloudevents_headers_are_complete_and_bytes() -> None:
    headers = dict(cloudevents_headers(METRIC_TYPE, "id-1", "/stream-monitor/credit", 0))
    assert headers == {
        "content-type": b"application/json", "ce_specversion": b"1.0", "ce_type": b"streammonitor.metric.v1",
        "ce_source": b"/stream-monitor/credit", "ce_id": b"id-1", "ce_time": b"1970-01-01T00:00:00.000Z",
    }  # fmt: skip


texts = st.text(max_size=5) | st.sampled_from(["csi", "income", "größe", 'a"b', "\ud83d\ude00"])
maybe = st.none() | texts


@given(
    texts, maybe, st.dictionaries(texts, texts, max_size=2), st.integers(0, 1 << 45), st.sampled_from(list(TimeBasis)),
    st.integers(0, 3),
    st.lists(st.tuples(texts, maybe, maybe, st.builds(DetectorRef, texts, texts) | st.none(), maybe, maybe), max_size=4)
)  # fmt: skip
def test_ids_made_together_are_those_made_one_by_one(
    model: str, version: str | None, segment: dict[str, str], start: int, basis: TimeBasis, revision: int, figures: list
) -> None:
    shared: dict[str, Any] = {
        "model_name": model, "model_version": version, "segment": segment, "start_ms": start, "end_ms": start + 60_000,
        "slide_ms": 30_000, "time_basis": basis, "revision": revision,
    }  # fmt: skip
    ids = MetricIds(**shared)
    for metric, feature, class_, detector, reference_id, schema_id in figures:
        one = metric_event_id(
            **shared, metric=metric, feature=feature, class_=class_, detector=detector, reference_id=reference_id,
            schema_id=schema_id,
        )  # fmt: skip
        assert ids.of(metric, feature, class_, detector, reference_id, schema_id) == one
