"""Everything the two folds were told, frozen: built by the composition root from the config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from stream_monitor.alerts.rule import DEFAULT_RULES, RulePolicy
from stream_monitor.detectors.policy import DetectorPolicy
from stream_monitor.events.policy import OutcomePolicy, Task
from stream_monitor.join.policy import JoinPolicy
from stream_monitor.metrics.policy import MetricPolicy
from stream_monitor.windows.grid import WindowSpec, pane_size

_MINUTE = 60_000
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR


@dataclass(frozen=True, slots=True)
class ReferencePolicy:
    """Where a model's reference comes from: a profile file, the stream's first events, or nowhere."""

    kind: Literal["profile", "bootstrap", "none"] = "bootstrap"
    events: int = 10_000
    max_age_ms: int | None = _DAY


@dataclass(frozen=True, slots=True)
class ModelPolicy:
    """One model. `segments` are combinations of tag names; `join` None: neither labels nor deduplication."""

    name: str
    outcome: OutcomePolicy = OutcomePolicy(task=Task.BINARY, positive_class="1")
    reference: ReferencePolicy = ReferencePolicy()
    windows: tuple[WindowSpec, ...] = (WindowSpec(5 * _MINUTE, 5 * _MINUTE), WindowSpec(_HOUR, 5 * _MINUTE))
    max_out_of_order_ms: int = 10_000
    allowed_lateness_ms: int = 2 * _MINUTE
    join: JoinPolicy | None = None
    segments: tuple[tuple[str, ...], ...] = ()
    detectors: tuple[DetectorPolicy, ...] = ()
    metrics: MetricPolicy = MetricPolicy()
    retire_after_ms: int = 7 * _DAY

    @property
    def pane_ms(self) -> int:
        return pane_size(self.windows)

    @property
    def joins_labels(self) -> bool:
        return self.join is not None and self.join.join_window_ms is not None


@dataclass(frozen=True, slots=True)
class DeadLetterPolicy:
    """`redact`: neither key nor value. Of one flush at most `max_per_flush` rejects are kept, with at most
    `max_bytes_per_flush` of values; the others are counted."""

    redact: bool = False
    max_per_flush: int = 10_000
    max_bytes_per_flush: int = 8 << 20


@dataclass(frozen=True, slots=True)
class Policies:
    """The whole monitor. `unlisted` is the template for models that register themselves (no reference).

    `transaction_bytes`: of events, that evaluate puts into one transaction at most: it has to be over in 10 s.
    """

    models: Mapping[str, ModelPolicy]
    unlisted: ModelPolicy = ModelPolicy(name="", reference=ReferencePolicy(kind="none"))
    rules: tuple[RulePolicy, ...] = DEFAULT_RULES
    target_false_alarms_per_day: float = 0.1
    max_models: int = 100
    max_series: int = 1_000
    max_versions: int = 50
    max_unflushed_bytes: int = 128 << 20
    panes_partitions: int = 4
    transaction_bytes: int = 32 * 1024 * 1024
    idle_timeout_ms: int = 30_000
    progress_timeout_ms: int = 5_000  # an owner that says nothing for so long is taken for gone
    stalled_after_ms: int = 5 * _MINUTE
    live_horizon_ms: int | None = _DAY
    revision_interval_ms: int = 10_000
    reject_flood_share: float = 0.1
    duplicate_flood_share: float = 0.1
    late_flood_share: float = 0.1
    hash_key: bytes = field(default=b"stream-monitor", repr=False)
    dead_letters: DeadLetterPolicy = DeadLetterPolicy()
    repartition: bool = False  # ingest reads topics that pipeline/repartition.py filled
    source: str = "stream-monitor"
    topics: Mapping[str, str] = field(default_factory=lambda: {"predictions": "predictions", "labels": "labels"})

    def model(self, name: str) -> ModelPolicy:
        """The policy of `name`, listed or made from the template."""
        found = self.models.get(name)
        return found if found is not None else replace(self.unlisted, name=name)

    def is_historical(self, end_ms: int, now_ms: int) -> bool:
        """True for a window that ended so long ago that nobody is to be woken for it."""
        return self.live_horizon_ms is not None and end_ms < now_ms - self.live_horizon_ms
