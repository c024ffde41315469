"""A model whose events lie on a broker, ready to be read again and again by the stages of `benches.stage`.

Each run is a consumer group of its own from the beginning, with topics and a state folder of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from benches.events import MODEL, TWENTY, Shape, labels, predictions
from benches.harness import Space, produce, python, say, stream_monitor

PARTITIONS = 4
Measured = dict[str, float]  # what benches.stage prints: events, seconds, cpu_seconds


class Monitored:
    """Produces `events` predictions of one shape, and as many labels where asked for; builds the profile.

    `fill`, where given, produces the predictions instead, to the topic it is given; it returns the bytes of all values.
    """

    def __init__(
        self,
        space: Space,
        events: int,
        *,
        shape: Shape = TWENTY,
        with_labels: bool = False,
        fill: Callable[[str], int] | None = None,
    ) -> None:
        self.events = events
        self._topics = space.topics
        self._name = f"{shape.numeric}-{shape.categorical}"
        self._folder = space.folder / self._name
        self._folder.mkdir()
        self.predictions = space.topics.create(f"predictions-{self._name}", PARTITIONS)
        self.labels = space.topics.create(f"labels-{self._name}", PARTITIONS)
        if fill is None:
            _, size = produce(space.topics, self.predictions, predictions(events, shape=shape))
        else:
            size = fill(self.predictions)
        if with_labels:
            produce(space.topics, self.labels, labels(events))
        say(f"{events:,} predictions of {size / events:.0f} bytes{', as many labels' if with_labels else ''}")
        data, self._profile = self._folder / "reference.ndjson", self._folder / "profile.json"
        with data.open("wb") as file:
            file.writelines(event + b"\n" for _, event in predictions(5_000, seed=1, shape=shape, with_actual=True))
        config = str(self.config("profile"))
        stream_monitor("profile", "build", str(data), "--model", MODEL, "-o", str(self._profile), "-c", config)

    def consume(self, run: str, *, parse: bool, both: bool = False, usual: bool = False) -> Measured:
        """Consume the predictions, or the labels too, without and with `orjson.loads` of each value; `usual`: with the
        client's own defaults."""
        stage = f"{'parse' if parse else 'consume'}{'-both' if both else ''}{'-usual' if usual else ''}"
        return self._measured(self.events * (1 + both), stage=stage, config=str(self.config(run)))

    def ingest(self, run: str, *, with_labels: bool = False) -> Measured:
        """Everything `stream-monitor run --role ingest` does, until the last event is committed."""
        config = self.ready(run, with_labels=with_labels)
        joined = self.events if with_labels else 0
        return self._measured(
            self.events + joined, stage="ingest", config=str(config), predictions=self.events, joined=joined
        )

    def repartition(self, run: str) -> Measured:
        """Everything `stream-monitor run --role repartition` does, until the last prediction is committed."""
        config = self.ready(run, repartition=True)
        return self._measured(self.events, stage="repartition", config=str(config), events=self.events)

    def ready(self, run: str, **how: Any) -> Path:
        """The config of a run whose topics exist; `how`: as `config` takes it."""
        config = self.config(run, **how)
        stream_monitor("topics", "create", "-c", str(config))
        return config

    def config(
        self,
        run: str,
        *,
        with_labels: bool = False,
        repartition: bool = False,
        client: dict[str, object] | None = None,
    ) -> Path:
        model: dict[str, object] = {
            "name": MODEL,
            "task": "binary",
            "positive_class": "1",
            "reference": {"profile": str(self._profile)} if run != "profile" else {},
            "max_past": None,
            "max_future": None,
        }
        if with_labels:
            model["labels"] = {"join_window": "1h"}
        document = {
            "kafka": {"bootstrap.servers": self._topics.bootstrap, **(client or {})},
            "topics": {
                "predictions": self.predictions,
                "labels": self.labels,
                "prefix": self._topics.name(f"{self._name}-{run}."),
            },
            "models": [model],
            "repartition": repartition,
            "state_dir": str(self._folder / f"state-{run}"),
        }
        path = self._folder / f"{run}.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    def _measured(self, expected: int, **given: object) -> Measured:
        found: Measured = python("-m", "benches.stage", json.dumps(given)).last
        if found["events"] != expected:
            raise RuntimeError(f"{given['stage']} read {found['events']} events, expected {expected}")
        return found
