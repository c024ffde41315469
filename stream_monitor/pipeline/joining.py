"""Predictions and labels of one model against the join overlay: which rows count, which pairs were made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from stream_monitor.events.label import LabelEvent
from stream_monitor.events.outcome import Predicted, actual, predicted
from stream_monitor.events.policy import OutcomePolicy
from stream_monitor.events.prediction import UNKNOWN_VERSION, PredictionRow
from stream_monitor.join.entry import Effect, LabelRecord, Outcome, Pair, PredictionRecord, add_label, add_prediction
from stream_monitor.join.overlay import Overlay
from stream_monitor.pipeline.policy import ModelPolicy


class Joined(NamedTuple):
    """What a batch did.

    `kept`: places of the rows that are no repeats.  `awaited`, `settled`: predictions whose wait for a label began or
    ended.  `pairs` with the prediction_id of each.  `moments`: (label time, labels, change of waiting).  `outcomes`:
    counts of joined, duplicate, revised, ineligible.
    """

    kept: list[int]
    awaited: list[PredictionRecord]
    settled: list[PredictionRecord]
    ids: list[str]
    pairs: list[Pair]
    moments: list[tuple[int, int, int]]
    outcomes: Counter[str]


def _nothing() -> Joined:
    return Joined([], [], [], [], [], [], Counter())


def join_key(model: str, prediction_id: str) -> bytes:
    return f"{model}\0{prediction_id}".encode()


def join_predictions(
    overlay: Overlay,
    policy: ModelPolicy,
    rows: Sequence[PredictionRow],
    timestamps: Sequence[int],
    partitions: Sequence[int],
    offsets: Sequence[int],
) -> Joined:
    """Predictions in the order of their partitions. Each counts once a version; waiting labels make pairs."""
    join = policy.join
    assert join is not None
    tags = sorted({name for combination in policy.segments for name in combination})
    pane_ms = policy.pane_ms
    result = _nothing()
    for partition, places in _by_partition(partitions).items():
        keys = [join_key(policy.name, rows[i].prediction_id) for i in places]
        for i, entry in zip(places, overlay.load(partition, keys, join), strict=True):
            row = rows[i]
            says = predicted(row.prediction, policy.outcome)
            record = _record(row.model_version, timestamps[i], says, row.tags, tags, offsets[i])
            record.deadline_ms = join.deadline_ms(timestamps[i], pane_ms)
            effect = add_prediction(entry, record, join.join_window_ms)
            if effect.outcome is Outcome.DUPLICATE:
                result.outcomes["duplicate_prediction"] += 1
                continue
            result.kept.append(i)
            _take(result, row.prediction_id, effect)
            if effect.waiting:
                result.moments.append((entry.labels[0].timestamp_ms, 0, effect.waiting))
    result.kept.sort()
    return result


def join_labels(
    overlay: Overlay,
    policy: ModelPolicy,
    rows: Sequence[LabelEvent],
    timestamps: Sequence[int],
    partitions: Sequence[int],
    offsets: Sequence[int],
) -> Joined:
    """Labels in the order of their partitions; `kept` stays empty."""
    join = policy.join
    assert join is not None
    assert join.join_window_ms is not None
    tags = sorted({name for combination in policy.segments for name in combination})
    result = _nothing()
    for partition, places in _by_partition(partitions).items():
        keys = [join_key(policy.name, rows[i].prediction_id) for i in places]
        for i, entry in zip(places, overlay.load(partition, keys, join), strict=True):
            row = rows[i]
            truth = actual(row, policy.outcome)
            label = LabelRecord(
                timestamps[i],
                truth.label,
                truth.value,
                offsets[i],
                _carried(row, timestamps[i], policy.outcome, tags, offsets[i]),
            )
            first = not entry.labels
            effect = add_label(entry, label, join.join_window_ms)
            result.outcomes[str(effect.outcome)] += 1
            _take(result, row.prediction_id, effect)
            if first or effect.waiting:
                result.moments.append((entry.labels[0].timestamp_ms, int(first), effect.waiting))
    return result


def _take(result: Joined, prediction_id: str, effect: Effect) -> None:
    result.awaited.extend(effect.awaited)
    result.settled.extend(effect.settled)
    if effect.pairs:
        result.ids.extend([prediction_id] * len(effect.pairs))
        result.pairs.extend(effect.pairs)
        result.outcomes["joined"] += len(effect.pairs)


def _by_partition(partitions: Sequence[int]) -> dict[int, list[int]]:
    places: dict[int, list[int]] = {}
    for i, partition in enumerate(partitions):
        places.setdefault(partition, []).append(i)
    return places


def _record(
    version: str, timestamp_ms: int, says: Predicted, tags: dict[str, str] | None, kept_tags: list[str], offset: int
) -> PredictionRecord:
    found = tags or {}
    return PredictionRecord(
        version,
        timestamp_ms,
        says.label,
        says.score,
        says.value,
        says.scores,
        {name: found[name] for name in kept_tags if name in found},
        offset,
    )


def _carried(
    row: LabelEvent, timestamp_ms: int, outcome: OutcomePolicy, tags: list[str], offset: int
) -> PredictionRecord | None:
    if row.prediction is None:
        return None
    at = row.prediction_timestamp if isinstance(row.prediction_timestamp, int) else timestamp_ms
    return _record(row.model_version or UNKNOWN_VERSION, at, predicted(row.prediction, outcome), row.tags, tags, offset)
