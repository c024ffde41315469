"""What was configured about one alert rule, and the rules that hold without any configuration. Frozen."""

from __future__ import annotations

from dataclasses import dataclass

from stream_monitor.events.alert import Severity

SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")


@dataclass(frozen=True, slots=True)
class RulePolicy:
    """A metric beyond a threshold for some windows. Selectors that are null match everything.

    above | below        exactly one; the value must lie strictly beyond it
    clear                a firing alert ends when the value is no longer strictly beyond this (null: threshold)
    for_windows          windows in a row without overlap: 12 slides of one hour are one piece of evidence
    class_               null: the binary or macro figure, not those of single classes
    segment              canonical label: "all" or "country=DE,plan=x"
    window               canonical label: "5m" or "1h/5m"
    cooldown_ms          after the end of an alert no new one fires for so long (event time)
    keep_firing_for_ms   the alert ends only when the metric has been clear for so long (event time)
    stale_after_ms       without a usable figure for so long the alert ends as stale (null: 10 windows)
    """

    name: str
    metric: str
    above: float | None = None
    below: float | None = None
    clear: float | None = None
    for_windows: int = 1
    severity: Severity = "warning"
    model: str | None = None
    feature: str | None = None
    class_: str | None = None
    segment: str | None = None
    window: str | None = None
    cooldown_ms: int = 0
    keep_firing_for_ms: int = 0
    stale_after_ms: int | None = None

    def __post_init__(self) -> None:
        if (self.above is None) == (self.below is None):
            raise ValueError(f"rule {self.name}: exactly one of above and below, found {self.above} and {self.below}")
        if self.clear is not None and not (
            self.clear <= self.above if self.above is not None else self.clear >= (self.below or 0.0)
        ):
            raise ValueError(f"rule {self.name}: clear {self.clear} must be on the quiet side of the threshold")
        if self.for_windows < 1:
            raise ValueError(f"rule {self.name}: for must be at least 1 window, found {self.for_windows}")
        if self.severity not in SEVERITIES:
            raise ValueError(f"rule {self.name}: severity {self.severity!r}; accepted: {SEVERITIES}")
        for name in ("cooldown_ms", "keep_firing_for_ms", "stale_after_ms"):
            if (value := getattr(self, name)) is not None and value < 0:
                raise ValueError(f"rule {self.name}: {name} must not be negative, found {value}")

    @property
    def threshold(self) -> float:
        return self.above if self.above is not None else self.below or 0.0

    def beyond(self, value: float) -> bool:
        """True if the value breaches the threshold: strictly beyond it."""
        return value > self.threshold if self.above is not None else value < self.threshold

    def cleared(self, value: float) -> bool:
        """True if the value is back on the quiet side, hysteresis included."""
        limit = self.threshold if self.clear is None else self.clear
        return value <= limit if self.above is not None else value >= limit


DEFAULT_RULES: tuple[RulePolicy, ...] = (
    RulePolicy(name="input-drift", metric="csi", above=0.2, for_windows=2, severity="warning"),
    RulePolicy(name="output-drift", metric="psi", above=0.2, for_windows=2, severity="warning"),
    # A detector says 1 in the one window of the change and 0 afterwards; an hour keeps the alert visible.
    RulePolicy(
        name="concept-drift",
        metric="change_detected",
        above=0.0,
        severity="critical",
        keep_firing_for_ms=3_600_000,
    ),
)
