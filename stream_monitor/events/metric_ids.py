"""Ids of many metric events of one series and window: those of `metric_event_id`, with what they share made once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha1

from stream_monitor.events.metric import METRIC_NAMESPACE, DetectorRef
from stream_monitor.events.names import TimeBasis


class MetricIds:
    """One series, window and revision. Costs 2 µs an id."""

    def __init__(
        self,
        *,
        model_name: str,
        model_version: str | None,
        segment: Mapping[str, str],
        start_ms: int,
        end_ms: int,
        slide_ms: int,
        time_basis: TimeBasis,
        revision: int,
    ) -> None:
        series = (model_name, model_version, sorted(segment.items()))
        shared = [*series, start_ms, end_ms, slide_ms, str(time_basis)]
        self._revision = revision
        self._hash = sha1(METRIC_NAMESPACE.bytes + _json(shared)[:-1].encode(), usedforsecurity=False)

    def of(
        self,
        metric: str,
        feature: str | None = None,
        class_: str | None = None,
        detector: DetectorRef | None = None,
        reference_id: str | None = None,
        schema_id: str | None = None,
    ) -> str:
        hashed = self._hash.copy()
        hashed.update(_rest(str(metric), feature, class_, detector, reference_id, schema_id, self._revision))
        digits = hashed.hexdigest()
        # The version, and the two bits of the variant, of RFC 9562.
        variant = "89ab"[int(digits[16], 16) & 3]
        return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


@lru_cache(maxsize=20_000)
def _rest(
    metric: str,
    feature: str | None,
    class_: str | None,
    detector: DetectorRef | None,
    reference_id: str | None,
    schema_id: str | None,
    revision: int,
) -> bytes:
    """What follows in the name: the same in every window of every series."""
    told = None if detector is None else [detector.kind, detector.signal]
    return f",{_json([metric, feature, class_, told, reference_id, schema_id, revision, None])[1:]}".encode()


def _json(parts: Sequence[object]) -> str:
    return json.dumps(parts, separators=(",", ":"))
