"""The events of the benches: numeric and categorical features, latency and score; the same in every run.

Values are drawn here, plainer than those of `stream-monitor generate`; the text is made by the same code.
Of 20 features one is about 630 bytes. Event time moves 4 ms an event, so that 300,000 of them span twenty minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from stream_monitor.app.generate_json import EventWriter
from stream_monitor.app.generate_world import Columns

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
    numeric = [f"feature_{j:02d}" for j in range(shape.numeric)]
    writer = EventWriter([*numeric, *categories])
    for first in range(0, n, _CHUNK):
        rows = min(_CHUNK, n - first)
        numbers = np.round(rng.normal(50, 10, (rows, shape.numeric)), 4).T.tolist()
        words = [rng.choice(values, rows).tolist() for values in categories.values()]
        scores = np.round(rng.beta(2, 5, rows), 6).tolist()
        latencies = np.round(rng.lognormal(-4, 0.5, rows), 6).tolist()
        features = dict(zip([*numeric, *categories], [*numbers, *words], strict=True))
        columns = Columns(features, {"score": scores}, {}, latencies, np.empty(0))
        ids = _ids(first, rows)
        events = writer.predictions(columns, repeat(MODEL), repeat("2026-01"), ids, _moments(first, rows))
        if with_actual:
            events = [
                b'%s,"actual":{"label":%d}}' % (event[:-1], score > 0.3)
                for event, score in zip(events, scores, strict=True)
            ]
        yield from zip(ids, events, strict=True)


def labels(n: int) -> Iterator[tuple[str, bytes]]:
    """The label of every prediction, a minute later."""
    writer = EventWriter((), classes=(False, True))
    for first in range(0, n, _CHUNK):
        rows = min(_CHUNK, n - first)
        ids = _ids(first, rows)
        truth = (np.arange(first, first + rows) % 3 == 0).astype(np.float64)
        yield from zip(ids, writer.labels(repeat(MODEL), ids, _moments(first, rows) + 60_000, truth), strict=True)


def _ids(first: int, rows: int) -> list[str]:
    return [f"0198c0de-0000-7000-8000-{i:012d}" for i in range(first, first + rows)]


def _moments(first: int, rows: int) -> NDArray[np.int64]:
    return START_MS + np.arange(first, first + rows) * STEP_MS
