"""From a transition to the alert event that people and machines read.

Promises: deterministic: the same transition has the same id in every run; one sentence says what happened, with the
figure, the threshold and what would be seen without drift. Costs: nothing much. Leaves to others: the metric event of
the figure (pipeline), where the alert is sent (agents).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import uuid5

from stream_monitor.alerts.judge import ActiveAlert, JudgedTransition
from stream_monitor.alerts.rule import RulePolicy
from stream_monitor.events.alert import AlertEvent, AlertEvidence, FeatureEvidence
from stream_monitor.events.metric import METRIC_NAMESPACE, Bin, MetricEvent
from stream_monitor.events.names import METRICS, MetricName, Status
from stream_monitor.events.times import format_timestamp
from stream_monitor.metrics.figure import Figure

TOP = 5  # bins and features named as evidence
_SAID = {
    "stale": "no usable figure came for too long",
    "version_retired": "the model version is no longer served",
    "rule_removed": "the rule is no longer configured",
    "recovered": "the metric is back within the threshold",
}


def alert_event(
    judged: JudgedTransition,
    metric: MetricEvent | None,
    *,
    performance_moved: bool | None = None,
    generator_url: str = "",
) -> AlertEvent:
    """`metric`: the published event of judged.observed.figure, null where there is none."""
    transition = judged.transition
    observed = judged.observed
    return AlertEvent(
        id=alert_event_id(judged.fingerprint, transition.state, transition.starts_ms, transition.at_ms),
        fingerprint=judged.fingerprint,
        state=transition.state,
        reason=transition.reason,
        labels=dict(judged.labels),
        annotations=_annotations(judged),
        starts_at=format_timestamp(transition.starts_ms),
        ends_at=None if transition.ends_ms is None else format_timestamp(transition.ends_ms),
        generator_url=generator_url,
        historical=transition.historical,
        evidence=AlertEvidence(
            metric=metric,
            top_bins=() if observed is None else top_bins(observed.figure.bins),
            top_features=() if observed is None else top_features(observed.window.figures),
            performance_moved=performance_moved,
        ),
    )


def alert_event_id(fingerprint: str, state: str, starts_ms: int, at_ms: int) -> str:
    """UUID5: an alert enters a state once at one time."""
    return str(uuid5(METRIC_NAMESPACE, f"alert/{fingerprint}/{state}/{starts_ms}/{at_ms}"))


def top_bins(bins: Sequence[Bin]) -> tuple[Bin, ...]:
    """The bins that contribute most, in falling order."""
    return tuple(sorted(bins, key=lambda one: (-one.contribution, one.bin))[:TOP])


def top_features(figures: Iterable[Figure]) -> tuple[FeatureEvidence, ...]:
    """The features of the window that moved most by CSI, in falling order; those with enough rows only."""
    moved = [
        (figure.value, figure.feature, figure.p_value)
        for figure in figures
        if figure.metric is MetricName.CSI and figure.status is Status.OK and figure.value is not None
    ]
    moved.sort(key=lambda found: (-found[0], found[1] or ""))
    return tuple(
        FeatureEvidence(feature or "", MetricName.CSI, value, p_value) for value, feature, p_value in moved[:TOP]
    )


def performance_moved(active: Iterable[ActiveAlert], labels: Mapping[str, str], *, labels_came: bool) -> bool | None:
    """True if an alert on performance or on a change fires for the same model and version; null without labels."""
    if not labels_came:
        return None
    families = {"performance", "change"}
    return any(
        alert.state.phase == "firing"
        and METRICS[alert.labels["metric"]].family in families
        and all(alert.labels.get(key) == labels.get(key) for key in ("model_name", "model_version"))
        for alert in active
    )


def _annotations(judged: JudgedTransition) -> dict[str, str]:
    labels = judged.labels
    where = f"model {labels['model_name']}"
    if "model_version" in labels:
        where += f" version {labels['model_version']}"
    if labels["segment"] != "all":
        where += f", {labels['segment']}"
    summary = f"{labels['alertname']} {judged.transition.state}: {_subject(labels)} of {where}"
    return {"summary": summary, "description": _description(judged)}


def _subject(labels: Mapping[str, str]) -> str:
    subject = labels["metric"]
    for key in ("feature", "class", "signal", "detector"):
        if key in labels:
            subject += f" {key}={labels[key]}"
    return subject


def _description(judged: JudgedTransition) -> str:
    parts = []
    if judged.observed is not None and judged.rule is not None:
        parts.append(_measured(judged.observed.figure, judged.rule, judged.labels["window"]))
    if judged.transition.state == "resolved":
        parts.append(f"Resolved: {_SAID.get(judged.transition.reason, judged.transition.reason)}.")
    return " ".join(parts)


def _measured(figure: Figure, rule: RulePolicy, window: str) -> str:
    side = "above" if rule.above is not None else "below"
    value = "null" if figure.value is None else f"{figure.value:.4g}"
    text = f"{figure.metric} is {value} over a window of {window} with {figure.n} rows"
    text += f"; the rule is {side} {rule.threshold:g} for {rule.for_windows} window(s)."
    if figure.null_band is not None:
        text += f" Without drift it would be at most {figure.null_band.p95:.4g} in 95 % of such windows"
        text += "." if figure.p_value is None else f" (p = {figure.p_value:.2g})."
    return text
