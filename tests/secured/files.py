"""Configs of one monitor on the secured broker: the same for every role but for who the client is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tests.broker.topics import TopicSpace


def write_config(folder: Path, client: Mapping[str, object], topics: TopicSpace, name: str = "monitor") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(f"""
kafka: {json.dumps(dict(client))}
topics: {{predictions: {topics.name("predictions")}, labels: {topics.name("labels")}, prefix: {topics.name("mon.")},
         partitions: 2, panes_partitions: 2}}
models:
  - name: credit
    task: binary
    positive_class: "1"
    reference: {{bootstrap: {{events: 500}}}}
    windows: [{{size: 10m}}]
    max_past: null
    max_future: null
    labels: {{join_window: 1h}}
rules: [{{name: slow, metric: latency_mean, above: 0.00001, severity: warning}}]
prometheus: {{port: 0}}
idle_timeout: 2s
flush_interval: 250ms
live_horizon: null
""")
    return path
