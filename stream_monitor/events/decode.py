"""From Kafka values to rows: every event becomes a row or a reject, and nothing raises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from stream_monitor.events.columns import FeatureLayout
from stream_monitor.events.label import LabelEvent
from stream_monitor.events.policy import DecodePolicy
from stream_monitor.events.prediction import PredictionRow
from stream_monitor.events.rejects import Reject

RowT = TypeVar("RowT")


@dataclass(slots=True)
class Decoded(Generic[RowT]):
    """A batch in input order: row i came from values[index[i]] and happened at timestamps[i] (ms)."""

    rows: list[RowT]
    timestamps: list[int]
    index: list[int]
    rejects: list[tuple[int, Reject]]


class PredictionDecoder:
    def __init__(self, policy: DecodePolicy, layouts: Mapping[str, FeatureLayout] | None = None) -> None:
        raise NotImplementedError

    def with_layouts(self, layouts: Mapping[str, FeatureLayout]) -> PredictionDecoder:
        raise NotImplementedError

    def decode_batch(self, values: Sequence[bytes | None], record_ms: Sequence[int]) -> Decoded[PredictionRow]:
        raise NotImplementedError


class LabelDecoder:
    def __init__(self, policy: DecodePolicy) -> None:
        raise NotImplementedError

    def decode_batch(self, values: Sequence[bytes | None], record_ms: Sequence[int]) -> Decoded[LabelEvent]:
        raise NotImplementedError
