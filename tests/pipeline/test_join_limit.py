"""A join store at its limit forgets the oldest: what is lost are joins, and every event still counts once."""

from __future__ import annotations

from stream_monitor.join.policy import JoinPolicy
from stream_monitor.join.store import Dropped, MemoryStore
from stream_monitor.pipeline.horizon import Span
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS, IngestFold, Records
from stream_monitor.pipeline.messages import Delta, decode
from stream_monitor.pipeline.policy import ModelPolicy, Policies
from stream_monitor.sketches.pane import LabelPane, PredictionPane
from stream_monitor.windows.grid import WindowSpec
from tests.pipeline.world import DECODE, label, prediction

MOST, HOURS, EACH = 300, 10, 100
MODEL = ModelPolicy("m", windows=(WindowSpec(3_600_000, 3_600_000),), join=JoinPolicy(86_400_000, 86_400_000))


class Worker:
    """One fold of one partition, flushed after each batch; the panes of all flushes are added up."""

    def __init__(self, most: int | None) -> None:
        self.most, self.store = most, MemoryStore(most)
        self.fold = IngestFold(Policies({"m": MODEL}), DECODE, {}, self.store, instance="0")
        self.positions = {PREDICTIONS: 0, LABELS: 0}
        self.predicted, self.labelled = PredictionPane(), LabelPane()
        self.evicted = 0

    def take(self, role: str, values: list[bytes]) -> None:
        start = self.positions[role]
        self.positions[role] += len(values)
        n = len(values)
        records = Records([0] * n, range(start, start + n), [0] * n, [None] * n, values)
        (self.fold.predictions if role == PREDICTIONS else self.fold.labels)(records)
        spans = {(each, 0): Span(start if each == role else end, end, True) for each, end in self.positions.items()}
        for message in self.fold.flush(0, spans, {PREDICTIONS: 1, LABELS: 1}).messages:
            if isinstance(delta := decode(message.value), Delta):
                for pane in delta.panes:
                    if pane.basis == "prediction":
                        self.predicted.merge(PredictionPane.from_bytes(pane.data))
                    else:
                        self.labelled.merge(LabelPane.from_bytes(pane.data))
        dropped = self.fold.committed()
        assert dropped.expired == 0
        self.evicted += dropped.evicted
        assert self.most is None or self.store.entries(0) <= self.most


def events() -> list[tuple[str, list[bytes]]]:
    """Predictions of ten hours, then the labels of all of them."""
    ids = [[f"{hour}-{i}" for i in range(EACH)] for hour in range(HOURS)]
    predictions = [
        (PREDICTIONS, [prediction(id_, 3_600 * hour + i, score=0.5) for i, id_ in enumerate(mine)])
        for hour, mine in enumerate(ids)
    ]
    labels = [
        (LABELS, [label(id_, 3_600 * (HOURS + hour) + i, label="1") for i, id_ in enumerate(mine)])
        for hour, mine in enumerate(reversed(ids))
    ]
    return [*predictions, *labels]


def test_beyond_the_limit_the_oldest_predictions_find_no_label_and_everything_still_counts() -> None:
    limited, whole = Worker(MOST), Worker(None)
    for role, values in events():
        limited.take(role, values)
        whole.take(role, values)
    total = HOURS * EACH
    assert whole.evicted == 0
    assert (whole.labelled.joined, whole.labelled.waiting, whole.labelled.deadlines) == (total, 0, 0)
    assert limited.predicted.n == whole.predicted.n == total
    # Joined are those of the newest hours; of the others the label waits and the prediction will expire.
    joined = limited.labelled.joined
    assert 200 <= joined <= MOST
    assert limited.evicted >= total - MOST
    assert limited.labelled.labels == total
    assert limited.labelled.waiting == total - joined
    assert limited.labelled.deadlines == total - joined


def test_below_the_limit_nothing_is_forgotten() -> None:
    store = MemoryStore(1)
    assert store.write(0, {b"a": b"\x80" + bytes(7)}, {}, {}, None) == Dropped()
