"""One label event: the typed fast path against the lenient one."""

from __future__ import annotations

from stream_monitor.events.decode import LabelDecoder
from tests.events.strategies import RECORD_MS
from tests.events.test_decode_laws import LENIENT, POLICY, as_data, bounded
from tests.fuzz.fuzz_predictions import comparable

FAST, SLOW = LabelDecoder(POLICY), LabelDecoder(LENIENT)

SEEDS = (
    b'{"model_name":"credit","prediction_id":"9f2","timestamp":"2026-11-20T10:15:00Z","actual":{"label":"1"}}',
    b'{"model_name":"credit","prediction_id":"9f2","timestamp":1795169730,"actual":{"value":3.5},"model_version":"7",'
    b'"prediction":{"label":true,"score":0.5},"prediction_timestamp":"2026-01-20T10:15:00+01:00","tags":{"a":"b"}}',
    b'{"model_name":"credit","prediction_id":7,"timestamp":1795169730.25,"actual":{"label":1.0,"value":NaN}}',
)


def check(data: bytes) -> None:
    fast, lenient = (decoder.decode_batch([data], [RECORD_MS]) for decoder in (FAST, SLOW))
    for decoded in (fast, lenient):
        bounded(decoded, [data])
    if comparable(data, fast, lenient):
        assert as_data(fast) == as_data(lenient)
