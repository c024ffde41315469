"""What was configured about the Prometheus endpoint. Frozen; no behaviour beyond refusing nonsense."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from stream_monitor.alerts.rule import DEFAULT_RULES, RulePolicy
from stream_monitor.events.names import ALL_SEGMENTS, METRICS, MetricName

PERFORMANCE_METRICS = frozenset(
    str(spec.name)
    for spec in METRICS.values()
    if (spec.family == "performance" and spec.name != MetricName.CONFUSION_MATRIX)
    or spec.name == MetricName.LABEL_COVERAGE
)


@dataclass(frozen=True, slots=True)
class ExportPolicy:
    """Which of the published figures become gauges. The defaults keep a Prometheus small; the rest is by choice.

    drift_metrics         metrics shown as drift_score and drift_ratio
    performance_metrics   metrics shown as model_performance (macro or overall only, never per class)
    segments              labels ("all", "country=DE"); null: every segment
    windows               labels ("5m", "1h/5m"); null: the smallest of each model
    versions              how many versions of a model, newest first
    max_series            gauges a model may have; the rest is left out and counted
    max_counter_labels    label sets a counter may have; what comes later counts under "__other__"
    session_timeout_s     gauges vanish when the last commit is older: somebody else may own the model by then
    rules                 thresholds of drift_ratio: the lowest `above` of the rules that match
    """

    drift_metrics: frozenset[str] = frozenset({"psi", "csi"})
    performance_metrics: frozenset[str] = PERFORMANCE_METRICS
    segments: frozenset[str] | None = frozenset({ALL_SEGMENTS})
    windows: frozenset[str] | None = None
    versions: int = 2
    max_series: int = 2_000
    max_counter_labels: int = 10_000
    session_timeout_s: float = 45.0
    rules: tuple[RulePolicy, ...] = DEFAULT_RULES

    def __post_init__(self) -> None:
        for name in ("versions", "max_series", "max_counter_labels"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"{name} must be at least 1, found {value}")
        if self.session_timeout_s <= 0:
            raise ValueError(f"session_timeout_s must be positive, found {self.session_timeout_s}")

    def threshold(self, metric: str, *, model: str, feature: str | None, segment: str, window: str) -> float | None:
        """The lowest positive `above` that a rule sets for this figure; null where no rule does."""
        wanted = {"metric": metric, "model": model, "feature": feature, "segment": segment, "window": window}
        values = [
            rule.above
            for rule in self.rules
            if rule.above is not None
            and rule.above > 0
            and all(getattr(rule, key) in (None, value) for key, value in wanted.items())
        ]
        return min(values, default=None)


@dataclass(frozen=True, slots=True)
class TlsPolicy:
    """PEM files; with `client_ca` only clients with a certificate of that authority are heard."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class HttpPolicy:
    """Where the endpoint listens, to whom it answers, and what one client may take.

    port              0: any free one
    bearer_token, basic_auth   either opens /metrics; null: it is open
    max_clients       connections at once; one more is turned away
    max_scrapes       answers of /metrics being sent at once: each holds its text in memory
    max_head_bytes    of a request's first line and headers
    head_timeout_s    from the connection to the end of the head, TLS included
    answer_timeout_s  from the head to the last byte taken
    """

    host: str = "127.0.0.1"
    port: int = 9108
    bearer_token: str | None = field(default=None, repr=False)
    basic_auth: tuple[str, str] | None = field(default=None, repr=False)
    tls: TlsPolicy | None = None
    max_clients: int = 64
    max_scrapes: int = 4
    max_head_bytes: int = 16_384
    head_timeout_s: float = 5.0
    answer_timeout_s: float = 30.0
