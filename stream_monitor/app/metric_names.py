"""Which metric names a config may use: those of the contract that are computed now."""

from __future__ import annotations

from stream_monitor.app.problems import did_you_mean
from stream_monitor.events.names import METRICS


def check_metric_name(name: str) -> str:
    """The name itself; ValueError with the nearest known one, or with the news that it is not available yet."""
    spec = METRICS.get(name)
    available = [str(known) for known, spec in METRICS.items() if spec.computed]
    if spec is None:
        raise ValueError(did_you_mean(name, available))
    if not spec.computed:
        raise ValueError(f"a metric that is available; {name} is not yet: one of {', '.join(available)}")
    return name
