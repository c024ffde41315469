"""One prediction event, under three sets of layouts: the typed fast path against the lenient one."""

from __future__ import annotations

import re
from typing import Any

from stream_monitor.events.columns import feature_columns, raw_features
from stream_monitor.events.decode import Decoded
from stream_monitor.events.prediction import PredictionEvent
from stream_monitor.events.rejects import RejectReason
from tests.events.strategies import LAYOUTS, RECORD_MS
from tests.events.test_decode_laws import FAST_DECODERS, LENIENT_DECODERS, as_data, bounded

# msgspec reads longer ones as a neighbouring float, and skips fields it does not know without a look (lenient.py).
LONG_INTEGER = re.compile(rb"[0-9]{19}")
UNREAD = (RejectReason.MALFORMED_JSON, RejectReason.TOO_DEEP)

SEEDS = (
    b'{"model_name":"credit","model_version":"7","prediction_id":"9f2","timestamp":"2026-11-20T10:15:30.123Z",'
    b'"features":{"income":52000,"region":"EU","age":null,"a.b":1.5},"prediction":{"label":"1","score":0.83,'
    b'"scores":{"0":0.17,"1":0.83},"value":12.5},"latency_seconds":0.012,"tags":{"country":"DE"},"trace_id":"x"}',
    b'{"model_name":"fraud","prediction_id":5,"timestamp":1795169730,"features":{"region":[1],"income":NaN},'
    b'"prediction":{"score":Infinity},"latency_seconds":-1,"tags":{"a":{},"b":true,"c":1.0}}',
    b'{"model_name":"new","prediction_id":"\\ud83d\\ude00","timestamp":1795169730.5,"features":{"x":1e999,"y":true},'
    b'"prediction":{}}',
    b'\xef\xbb\xbf{"model_name":"new","prediction_id":"\\ud800"}',
)


def check(data: bytes) -> None:
    for fast_decoder, lenient_decoder in zip(FAST_DECODERS, LENIENT_DECODERS, strict=True):
        fast, lenient = (decoder.decode_batch([data], [RECORD_MS]) for decoder in (fast_decoder, lenient_decoder))
        for decoded in (fast, lenient):
            bounded(decoded, [data])
            for name, layout in LAYOUTS.items():
                rows = decoded.rows
                typed = [r.features for r in rows if r.model_name == name and not isinstance(r, PredictionEvent)]
                feature_columns(typed, layout)
            raw_features([r.features for r in decoded.rows if isinstance(r, PredictionEvent)])
        if comparable(data, fast, lenient):
            assert as_data(fast) == as_data(lenient)


def comparable(data: bytes, fast: Decoded[Any], lenient: Decoded[Any]) -> bool:
    """False where the two may differ: an integer beyond 64 bits, or what only a look at unknown fields tells."""
    refused = {reject.reason for _, reject in lenient.rejects} - {reject.reason for _, reject in fast.rejects}
    return refused.isdisjoint(UNREAD) and not LONG_INTEGER.search(data)
