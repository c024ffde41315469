"""The electricity stream as a model's predictions and labels: real drift, real numbers, the same in every run.

A river pipeline learns online: at each half-hour step it first learns the labels that have come by then, then
predicts. Row i's label comes `delay(i)` steps later, so predictions are honest and labels come out of order.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.acceptance.site import event

FOLDER_VARIABLE = "STREAM_MONITOR_TEST_DATA"
MODEL = "electricity"
FEATURES = ("period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer")
CONSTANT_FEATURES = ("vicprice", "vicdemand", "transfer")  # one value each until this row:
FIRST_VARYING_ROW = 17_424
REFERENCE_ROWS = 10_000
START_MS = 831_427_200_000  # 1996-05-07T00:00:00Z
STEP_MS = 1_800_000

Floats = NDArray[np.float64]


def data_file() -> Path:
    """elec.csv, or a skip that names it."""
    folder = os.environ.get(FOLDER_VARIABLE) or Path(__file__).parents[2] / ".." / "shared" / "data"
    file = Path(folder) / "elec.csv"
    if not file.is_file():
        pytest.skip(f"no file {file} ({FOLDER_VARIABLE} names another folder)")
    return file


@dataclass(frozen=True, slots=True)
class Electricity:
    """Columns of equal length, by row: features, truth (0 or 1), score, latency in seconds, times in ms."""

    features: dict[str, Floats]
    truth: NDArray[np.int64]
    score: Floats
    latency: Floats
    predicted_ms: NDArray[np.int64]
    labelled_ms: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def answer(self) -> NDArray[np.int64]:
        return (self.score >= 0.5).astype(np.int64)

    def prediction(self, i: int, *, with_actual: bool = False) -> bytes:
        fields = {
            "model_name": MODEL,
            "model_version": "1",
            "prediction_id": f"row-{i}",
            "timestamp": int(self.predicted_ms[i]) // 1000,
            "features": {name: float(column[i]) for name, column in self.features.items()},
            "prediction": {"label": int(self.answer[i]), "score": float(self.score[i])},
            "latency_seconds": float(self.latency[i]),
        }
        if with_actual:
            fields["actual"] = {"label": int(self.truth[i])}
        return event(**fields)

    def label(self, i: int) -> bytes:
        return event(
            model_name=MODEL,
            prediction_id=f"row-{i}",
            timestamp=int(self.labelled_ms[i]) // 1000,
            actual={"label": int(self.truth[i])},
        )

    def in_order(self) -> Iterator[tuple[str, str, bytes]]:
        """(predictions | labels, prediction_id, value) by event time."""
        moments = [(int(at), 0, i) for i, at in enumerate(self.predicted_ms)]
        moments += [(int(at), 1, i) for i, at in enumerate(self.labelled_ms)]
        for _, is_label, i in sorted(moments):
            yield ("labels", f"row-{i}", self.label(i)) if is_label else ("predictions", f"row-{i}", self.prediction(i))


def delay(i: int) -> int:
    """Steps from a prediction to its label: 1 to 47."""
    return 1 + i * 29 % 47


def read_electricity(file: Path) -> Electricity:
    """Reads the rows and lets the model predict them; about 3 s."""
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    n = len(rows)
    columns = {name: np.array([float(row[name]) for row in rows]) for name in FEATURES}
    truth = np.array([int(row["class"]) for row in rows])
    steps = np.arange(n)
    delays = np.array([delay(i) for i in range(n)])
    return Electricity(
        features=columns,
        truth=truth,
        score=_predict(columns, truth, delays),
        # A service of 2 to 32 ms with a slow answer now and then.
        latency=0.002 + 0.00003 * (steps * 7_919 % 997) + np.where(steps % 61 == 0, 0.25, 0.0),
        predicted_ms=START_MS + STEP_MS * steps,
        labelled_ms=START_MS + STEP_MS * (steps + delays),
    )


def _predict(columns: dict[str, Floats], truth: NDArray[np.int64], delays: NDArray[np.int64]) -> Floats:
    from river import compose, linear_model, preprocessing

    model = compose.Pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression())
    rows = [
        dict(zip(columns, values, strict=True)) for values in zip(*(c.tolist() for c in columns.values()), strict=True)
    ]
    arriving: dict[int, list[int]] = {}
    scores = np.empty(len(rows))
    for step, row in enumerate(rows):
        for known in arriving.pop(step, ()):
            model.learn_one(rows[known], bool(truth[known]))
        scores[step] = model.predict_proba_one(row).get(True, 0.5)
        arriving.setdefault(step + int(delays[step]), []).append(step)
    return scores
