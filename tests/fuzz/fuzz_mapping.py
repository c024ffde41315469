"""A mapping (first line, JSON, as the config would accept it) and an event (the rest) read through it."""

from __future__ import annotations

import copy

import msgspec

from stream_monitor.app.config import MonitorConfig
from stream_monitor.events.decode import LabelDecoder, PredictionDecoder
from stream_monitor.events.mapping import compile_mapping
from stream_monitor.events.policy import DecodePolicy
from stream_monitor.pipeline.event_times import EventTimes
from tests.events.strategies import LAYOUTS, RECORD_MS
from tests.events.test_decode_laws import bounded

SEEDS = (
    b'{"model_name":"meta.model","prediction_id":"id","timestamp":"meta.at","prediction":"out","prediction.score":"p",'
    b'"features.income":"in.x","tags.a":"meta.tag"}\n'
    b'{"meta":{"model":"credit","at":1795169730,"tag":"t"},"id":"1","out":{"label":1},"p":0.5,"in":{"x":3}}',
    b'{"actual.label":"y.z","timestamp":"a.b.c"}\n'
    b'{"model_name":"fraud","prediction_id":"1","y.z":true,"a.b":{"c":1795169730},"a":{"b":1}}',
    b'{"features":"prediction","prediction":"features"}\n{"features":{"score":1},"prediction":{"income":2}}',
)


def check(data: bytes) -> None:
    head, _, event = data.partition(b"\n")
    try:
        mapping = msgspec.json.decode(head, type=dict[str, str])
        mapping = MonitorConfig._our_fields(mapping)  # type: ignore[operator]
    except (msgspec.DecodeError, ValueError, RecursionError):
        return
    policy = DecodePolicy(mapping=mapping)
    for decoder in (PredictionDecoder(policy), PredictionDecoder(policy, LAYOUTS), LabelDecoder(policy)):
        bounded(decoder.decode_batch([event], [RECORD_MS]), [event])
    EventTimes(policy).of_all([event])
    rename = compile_mapping(mapping)
    try:
        document = msgspec.json.decode(event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if rename is not None and isinstance(document, dict):
        before = copy.deepcopy(document)
        rename(document)
        assert document == before, "the input was changed"
