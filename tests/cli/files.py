"""Small input files for the commands: a binary model whose inputs shift in the second half."""

import json
import random
from pathlib import Path

START = 1_767_225_600  # 2026-01-01T00:00:00Z
STEP = 5  # seconds between events

CONFIG = """
models:
  - name: credit
    task: binary
    positive_class: "1"
    reference: {REFERENCE}
    windows: [{size: 10m}]
    max_past: null
    labels: {join_window: 1h}
    segments: [[tags.country]]
"""


def prediction(i: int, rng: random.Random, shift: float = 0.0) -> dict[str, object]:
    score = rng.random()
    return {
        "model_name": "credit",
        "model_version": "7",
        "prediction_id": f"p{i}",
        "timestamp": START + STEP * i,
        "features": {"income": rng.gauss(50 + shift, 10), "region": rng.choice(["EU", "US"])},
        "prediction": {"score": score},
        "latency_seconds": rng.random() / 50,
        "tags": {"country": rng.choice(["DE", "FR"])},
    }


def label(event: dict[str, object], rng: random.Random) -> dict[str, object]:
    score = event["prediction"]["score"]  # type: ignore[index]
    return {
        "model_name": "credit",
        "prediction_id": event["prediction_id"],
        "timestamp": int(str(event["timestamp"])) + 60,
        "actual": {"label": int(rng.random() < score)},
    }


def write_ndjson(path: Path, events: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


def write_inputs(folder: Path, *, n: int = 2_000, shift: float = 0.0) -> tuple[Path, Path, Path]:
    """(reference, predictions, labels): the reference carries `actual`; the shift begins at half time."""
    rng = random.Random(7)
    reference = [prediction(-i - 1, rng) for i in range(1_000)]
    for event in reference:
        event["actual"] = label(event, rng)["actual"]
    events = [prediction(i, rng, shift if i >= n // 2 else 0.0) for i in range(n)]
    return (
        write_ndjson(folder / "reference.ndjson", reference),
        write_ndjson(folder / "predictions.ndjson", events),
        write_ndjson(folder / "labels.ndjson", [label(event, rng) for event in events]),
    )


def write_config(folder: Path, *, reference: str = "{profile: credit.json}", more: str = "") -> Path:
    path = folder / "monitor.yaml"
    path.write_text(CONFIG.replace("{REFERENCE}", reference) + more)
    return path
