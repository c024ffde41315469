"""The events of the benches: numeric and categorical features, latency and score; the same in every run.

Of 20 features one is about 630 bytes. Event time moves 4 ms an event, so that 300,000 of them span twenty minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

MODEL = "bench"
START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
STEP_MS = 4
CATEGORIES = {
    "region": ("EU", "US", "ASIA", "AFRICA"),
    "device": ("phone", "tablet", "desktop"),
    "channel": tuple(f"channel-{i}" for i in range(12)),
    "product": tuple(f"product-{i}" for i in range(40)),
}
_CHUNK = 10_000


@dataclass(frozen=True, slots=True)
class Shape:
    """How many features an event has. Categorical ones beyond the four of CATEGORIES repeat them, numbered."""

    numeric: int
    categorical: int

    @property
    def features(self) -> int:
        return self.numeric + self.categorical

    def categories(self) -> dict[str, tuple[str, ...]]:
        known = list(CATEGORIES.items())
        found = {}
        for i in range(self.categorical):
            again, which = divmod(i, len(known))
            name, values = known[which]
            found[f"{name}_{again}" if again else name] = values
        return found


TWENTY = Shape(16, 4)


def predictions(
    n: int, *, seed: int = 0, shape: Shape = TWENTY, with_actual: bool = False
) -> Iterator[tuple[str, bytes]]:
    """(prediction_id, event), n times."""
    rng = np.random.default_rng(seed)
    categories = shape.categories()
    for first in range(0, n, _CHUNK):
        rows = min(_CHUNK, n - first)
        numbers = np.round(rng.normal(50, 10, (rows, shape.numeric)), 4).tolist()
        words = [rng.choice(values, rows).tolist() for values in categories.values()]
        scores = np.round(rng.beta(2, 5, rows), 6).tolist()
        latencies = np.round(rng.lognormal(-4, 0.5, rows), 6).tolist()
        for i in range(rows):
            features: dict[str, Any] = {f"feature_{j:02d}": value for j, value in enumerate(numbers[i])}
            features |= {name: column[i] for name, column in zip(categories, words, strict=True)}
            event = {
                "model_name": MODEL,
                "model_version": "2026-01",
                "prediction_id": _id(first + i),
                "timestamp": _time(first + i),
                "features": features,
                "prediction": {"score": scores[i]},
                "latency_seconds": latencies[i],
            }
            if with_actual:
                event["actual"] = {"label": int(scores[i] > 0.3)}
            yield _id(first + i), orjson.dumps(event)


def labels(n: int) -> Iterator[tuple[str, bytes]]:
    """The label of every prediction, a minute later."""
    for i in range(n):
        event = {
            "model_name": MODEL,
            "prediction_id": _id(i),
            "timestamp": _time(i + 60_000 // STEP_MS),
            "actual": {"label": i % 3 == 0},
        }
        yield _id(i), orjson.dumps(event)


def _id(i: int) -> str:
    return f"0198c0de-0000-7000-8000-{i:012d}"


def _time(i: int) -> str:
    ms = START_MS + i * STEP_MS
    moment = np.datetime64(ms, "ms")
    return f"{moment}Z"
