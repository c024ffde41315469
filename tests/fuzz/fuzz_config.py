"""The text of a config file: a checked config that becomes policies, or a ConfigError with its problems."""

from __future__ import annotations

import tempfile
from pathlib import Path

from stream_monitor.app.config import load_config
from stream_monitor.app.policies import decode_policy, policies_of
from stream_monitor.cli.starter import STARTER
from stream_monitor.errors import ConfigError

_FOLDER = tempfile.TemporaryDirectory(prefix="fuzz-config-")
_PATH = Path(_FOLDER.name) / "stream-monitor.yaml"

SEEDS = (
    STARTER.encode(),
    b"models:\n  - name: credit\n    task: regression\n    windows: [{size: 5m}, {size: 1h, slide: 5m}]\n"
    b"    labels: {join_window: 24h}\n    segments: [[tags.country]]\n    detectors: [{signal: error, kind: adwin}]\n"
    b"rules:\n  - {name: r, metric: csi, above: 0.2, for: 2, severity: warning}\n",
    b"kafka: {bootstrap.servers: 'a:1'}\ntopics: {prefix: x.}\nmapping: {timestamp: a.b}\ntimestamp_unit: ms\n"
    b"limits: {max_series: 1}\nflush_interval: 250ms\nlive_horizon: null\n",
    b"a: &a [1, 2]\nb: &b [*a, *a]\nmodels: *b\n? [1]\n: 2\n",
    b"date: 2026-11-20\nn: 0x1F\nf: 1e3\nb: !!binary aGk=\ns: !!set {a, b}\n<<: {c: 1}\n",
)


def check(data: bytes) -> None:
    _PATH.write_bytes(data)
    refusal: ConfigError | None = None
    try:
        config = load_config(_PATH)
    except ConfigError as error:
        refusal = error
    if refusal is not None:
        assert refusal.problems
        assert len(str(refusal)) < 100_000, "it is read by people"
        return
    policies_of(config)
    decode_policy(config)
