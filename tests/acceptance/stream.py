"""An endless stream for the exact-counts test, and what it must add up to.

It holds what breaks counting: disorder, events far too late, repeated predictions and labels (some long after the
first), labels before their predictions and labels nobody waits for, differing second labels, two versions that score
one id, malformed messages. All of it follows from the seed alone. The recount looks at all events at once.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

from tests.acceptance.contract import rfc3339, window_starts
from tests.acceptance.site import event

MODEL = "credit"
START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
STEP_MS = 20
JOIN_WINDOW_MS = 120_000
WINDOWS_MS = ((60_000, 60_000), (300_000, 60_000))  # size, slide
HORIZON = 4_000  # positions an event may be sent after it was made

MODEL_CONFIG: dict[str, Any] = {
    "name": MODEL,
    "positive_class": "1",
    "task": "binary",
    "reference": {"bootstrap": {"events": 5_000}},
    "windows": [{"size": "1m"}, {"size": "5m", "slide": "1m"}],
    "max_past": None,
    "max_future": None,
    "max_out_of_order": "2s",
    "allowed_lateness": "30s",
    "labels": {"join_window": "2m"},
    "segments": [["tags.country"]],
}

Counts = Counter[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Prediction:
    id: str
    at: int
    version: str
    country: str | None
    score: float
    amount: float
    model: str = MODEL

    def encode(self) -> bytes:
        return event(
            model_name=self.model,
            model_version=self.version,
            prediction_id=self.id,
            timestamp=rfc3339(self.at),
            features={"amount": self.amount, "kind": self.id[-1]},
            prediction={"score": self.score},
            latency_seconds=0.01,
            tags={} if self.country is None else {"country": self.country},
        )

    @property
    def answer(self) -> str:
        return "1" if self.score >= 0.5 else "0"


@dataclass(frozen=True, slots=True)
class Label:
    id: str
    at: int
    truth: str
    model: str = MODEL

    def encode(self) -> bytes:
        told = {"model_name": self.model, "prediction_id": self.id, "timestamp": rfc3339(self.at)}
        return event(**told, actual={"label": self.truth})


@dataclass
class Stream:
    """`take` gives the next events; `predictions` and `labels` are those given so far, in the order of sending.

    `model` makes these events; the amounts of every second stretch of `drift_every_ms` are drifted.
    """

    seed: int
    model: str = MODEL
    drift_every_ms: int | None = None
    predictions: list[Prediction] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    malformed: int = 0

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self._made = 0
        self._waiting: list[tuple[float, int, Prediction | Label | bytes]] = []
        self._pushed = 0

    def take(self, steps: int) -> list[tuple[str, str, bytes]]:
        """Events of the next steps, as (predictions | labels, key, value)."""
        for _ in range(steps):
            self._make(self._made)
            self._made += 1
        return self._sent(self._made)

    def rest(self) -> list[tuple[str, str, bytes]]:
        """All that is still to be sent."""
        return self._sent(self._made + 10 * HORIZON)

    def _sent(self, upto: int) -> list[tuple[str, str, bytes]]:
        sent = []
        while self._waiting and self._waiting[0][0] <= upto:
            _, number, made = heapq.heappop(self._waiting)
            if isinstance(made, Prediction):
                self.predictions.append(made)
                sent.append(("predictions", made.id, made.encode()))
            elif isinstance(made, Label):
                self.labels.append(made)
                sent.append(("labels", made.id, made.encode()))
            else:
                self.malformed += 1
                sent.append(("predictions" if number % 2 else "labels", f"bad-{number}", made))
        return sent

    def _push(self, position: float, made: Prediction | Label | bytes) -> None:
        heapq.heappush(self._waiting, (position, self._pushed, made))
        self._pushed += 1

    def _make(self, i: int) -> None:
        rng = self._rng
        at = START_MS + i * STEP_MS + rng.randrange(1_000)
        if i > 5_000 and rng.random() < 0.03:
            at -= rng.randrange(600_000)  # beyond the last revision of its windows, more often than not
        known = f"p{i}"
        country = rng.choice([None, "DE", "FR"])
        versions = ["1", "2"] if rng.random() < 0.1 else [rng.choice("12")]
        for version in versions:
            first = Prediction(known, at, version, country, rng.random(), rng.gauss(*self._amounts(at)), self.model)
            self._push(i + rng.random() * 30, first)
            if rng.random() < 0.08:
                # A producer that tries again, soon or much later; a changed copy is a duplicate as well.
                later = rng.choice([1, 50, HORIZON])
                copy = first if rng.random() < 0.5 else replace(first, at=at + 700, score=0.5, amount=0.0)
                self._push(i + 31 + rng.random() * later, copy)
        if rng.random() < 0.8:
            truth = rng.choice("01")
            wait = rng.choice([-900, 0, 3_000, 30_000, 150_000])  # the last is outside the join window
            label = Label(known, at + wait + rng.randrange(900), truth, self.model)
            sent = i + max(-40.0, min(wait / STEP_MS, HORIZON)) + rng.random() * 40
            self._push(sent, label)
            if rng.random() < 0.1:
                self._push(sent + rng.random() * HORIZON, label)
            elif rng.random() < 0.1:
                other = replace(label, at=label.at + rng.randrange(10_000), truth="1" if truth == "0" else "0")
                self._push(sent + 41 + rng.random() * 500, other)
        if rng.random() < 0.005:
            self._push(i, Label(f"nobody-{i}", at, "1", self.model))
            self._push(i, rng.choice([b"{", b"not json", b"", event(model_name=self.model)]))

    def _amounts(self, at: int) -> tuple[float, float]:
        drifted = self.drift_every_ms is not None and (at - START_MS) // self.drift_every_ms % 2 == 1
        return (160.0, 20.0) if drifted else (100.0, 20.0)


@dataclass(frozen=True, slots=True)
class Recount:
    """By (model, version, segment, window start, size, slide in seconds); `cells` by that and (actual, predicted)."""

    predictions: Counts
    joined: Counts
    cells: dict[tuple[Any, ...], Counter[tuple[str, str]]]


def recount(stream: Stream) -> Recount:
    """Slow and obvious: the first prediction a version counts, and with it the first label within the join window."""
    firsts: dict[tuple[str, str], Prediction] = {}
    for prediction in stream.predictions:
        firsts.setdefault((prediction.id, prediction.version), prediction)
    by_id: dict[str, list[Label]] = defaultdict(list)
    for label in stream.labels:
        by_id[label.id].append(label)
    predictions: Counts = Counter()
    joined: Counts = Counter()
    cells: dict[tuple[Any, ...], Counter[tuple[str, str]]] = defaultdict(Counter)
    for prediction in firsts.values():
        for key in _places(prediction, prediction.at):
            predictions[key] += 1
        for label in by_id[prediction.id]:
            if abs(label.at - prediction.at) <= JOIN_WINDOW_MS:
                for key in _places(prediction, label.at):
                    joined[key] += 1
                    cells[key][label.truth, prediction.answer] += 1
                break
    return Recount(predictions, joined, cells)


def _places(prediction: Prediction, at: int) -> list[tuple[Any, ...]]:
    segments = ("", f"country={prediction.country or '__missing__'}")
    return [
        (prediction.model, prediction.version, segment, rfc3339(start), size // 1000, slide // 1000)
        for size, slide in WINDOWS_MS
        for start in window_starts(at, size, slide)
        for segment in segments
    ]
