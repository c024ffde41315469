"""Lines of events, predictions and labels mixed, through both folds: everything published can be read again."""

from __future__ import annotations

from stream_monitor.pipeline.backtest import backtest
from stream_monitor.pipeline.evaluate import EvaluateFold
from tests.fuzz.world import LABELLED, POLICIES, PREDICTED, PROFILES, published
from tests.pipeline.world import DECODE

SEEDS = (
    b"\n".join((*PREDICTED, *LABELLED)),
    b"\n".join((PREDICTED[2], LABELLED[2])),
    b"\n".join((PREDICTED[3], LABELLED[3])),
    b"\n".join((LABELLED[0], PREDICTED[0], LABELLED[4])),
)


def check(data: bytes) -> None:
    lines = data.split(b"\n")
    predictions = [line for line in lines if b'"actual"' not in line]
    labels = [line for line in lines if b'"actual"' in line]
    consumed = rejected = 0
    state: dict[bytes, bytes | None] = {}
    for step in backtest(POLICIES, DECODE, PROFILES, predictions, labels, most_waiting=1):
        published(step.output)
        state.update(step.output.state)
        consumed += sum(step.counters.consumed.values())
        rejected += sum(step.counters.rejected.values())
        assert rejected <= consumed
    assert consumed == len(lines)
    kept = [(key, value) for key, value in state.items() if value is not None]
    EvaluateFold.restore(POLICIES, PROFILES, map(_record, kept), partition=0)


def _record(item: tuple[bytes, bytes]) -> object:
    from stream_monitor.pipeline.records import StateRecord

    return StateRecord(*item)
