"""Small policies and real bytes that the targets of the internal formats start from: made by the folds themselves."""

from __future__ import annotations

import json
from collections.abc import Iterable

from stream_monitor.detectors.policy import DetectorPolicy
from stream_monitor.events.metric import MetricEvent
from stream_monitor.events.policy import OutcomePolicy, Task
from stream_monitor.join.policy import JoinPolicy
from stream_monitor.join.store import MemoryStore
from stream_monitor.metrics.policy import MetricPolicy
from stream_monitor.pipeline.evaluate import EvaluateFold, EvaluateOutput
from stream_monitor.pipeline.horizon import Span
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS, IngestFold, Records
from stream_monitor.pipeline.policy import ModelPolicy, Policies, ReferencePolicy
from stream_monitor.pipeline.records import StateRecord
from stream_monitor.reference.build import build_profile
from stream_monitor.reference.profile import Profile
from stream_monitor.windows.grid import WindowSpec
from tests.fuzz.harness import all_finite
from tests.pipeline.world import DECODE, label, prediction

NOW = 1_795_169_730_000


def _model(name: str, outcome: OutcomePolicy, reference: ReferencePolicy) -> ModelPolicy:
    return ModelPolicy(
        name=name,
        outcome=outcome,
        reference=reference,
        windows=(WindowSpec(20_000, 20_000), WindowSpec(60_000, 20_000)),
        max_out_of_order_ms=0,
        allowed_lateness_ms=40_000,
        join=JoinPolicy(120_000, 0),
        segments=(("country",),),
        detectors=(DetectorPolicy(parameters={"warmup": 2.0}), DetectorPolicy(kind="page_hinkley")),
        metrics=MetricPolicy(2, 1),
    )


POLICIES = Policies(
    models={
        "m": _model("m", OutcomePolicy(Task.BINARY, "1"), ReferencePolicy("profile")),
        "c": _model("c", OutcomePolicy(Task.MULTICLASS), ReferencePolicy("bootstrap", events=2)),
        "r": _model("r", OutcomePolicy(Task.REGRESSION), ReferencePolicy("bootstrap", events=2)),
    },
    max_models=2,
    max_series=8,
    panes_partitions=1,
    live_horizon_ms=None,
)
PROFILES: dict[str, Profile] = {
    "m": build_profile(
        model_name="m",
        task=Task.BINARY,
        positive_class="1",
        columns={"x": [i / 7 for i in range(200)], "c": ["aab"[i % 3] for i in range(200)]},
        outputs=[i / 200 for i in range(200)],
        actuals=[str(i % 2) for i in range(200)],
        created_at=0,
    )
}
PREDICTED = (
    prediction("1", 5, features={"x": 3, "c": "a"}, tags={"country": "DE"}, score=0.7),
    prediction("2", 6, features={"x": None, "c": "zz"}, score=0.2),
    prediction("3", 30, model="c", features={"y": 1.5, "t": "u"}, label="a", scores={"a": 0.6, "b": 0.4}),
    prediction("4", 31, model="r", value=2.5, features={"y": True}),
    prediction("5", 90, version="2", score=0.9),
)
LABELLED = (
    label("1", 8, label=1),
    label("2", 9, label="0"),
    label("3", 40, model="c", label="b"),
    label("4", 50, model="r", value=3.0),
    label("1", 70, label=0),
    label("9", 71, label=1),
)


def folds() -> tuple[IngestFold, EvaluateFold]:
    ingest = IngestFold(POLICIES, DECODE, PROFILES, MemoryStore(), instance="0")
    return ingest, EvaluateFold(POLICIES, PROFILES, partition=0)


def messages(predictions: Iterable[bytes], labels: Iterable[bytes]) -> list[bytes]:
    """What one flush of these events writes to the panes topic."""
    ingest, _ = folds()
    spans = {}
    for role, lines in ((PREDICTIONS, list(predictions)), (LABELS, list(labels))):
        n = len(lines)
        records = Records([0] * n, range(n), [NOW] * n, [None] * n, lines)
        (ingest.predictions if role == PREDICTIONS else ingest.labels)(records)
        spans[role, 0] = Span(0, n, True)
    return [message.value for message in ingest.flush(NOW, spans, {PREDICTIONS: 1, LABELS: 1}).messages]


def records() -> list[StateRecord]:
    """What evaluate keeps of them, in the middle of the stream."""
    _, evaluate = folds()
    for offset, message in enumerate(messages(PREDICTED, LABELLED)):
        evaluate.apply(message, offset, NOW)
    return [record for record in evaluate.drain().state if record.value is not None]


def published(output: EvaluateOutput) -> None:
    """Everything that would be published can be, and read again; what is not finite is null."""
    for event in output.metrics:
        encoded = event.encode()
        all_finite(json.loads(encoded))
        assert MetricEvent.decode(encoded).encode() == encoded
    for alert in output.alerts:
        assert type(alert).decode(alert.encode()).encode() == alert.encode()
    for profile in output.profiles:
        assert Profile.from_json(profile.to_json()) == profile
