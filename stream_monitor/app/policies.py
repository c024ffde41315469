"""From the checked config to the frozen policies of the core: a translation, with no decision of its own."""

from __future__ import annotations

from stream_monitor.alerts.rule import DEFAULT_RULES, RulePolicy
from stream_monitor.app.config import MonitorConfig
from stream_monitor.app.model_config import ModelConfig, ReferenceConfig
from stream_monitor.app.rule_config import RuleConfig
from stream_monitor.detectors.policy import DetectorPolicy
from stream_monitor.events.metric import segment_label
from stream_monitor.events.policy import DecodePolicy, OutcomePolicy, TimeBounds
from stream_monitor.join.policy import JoinPolicy
from stream_monitor.metrics.policy import MetricPolicy
from stream_monitor.pipeline.policy import DeadLetterPolicy, ModelPolicy, Policies, ReferencePolicy
from stream_monitor.windows.grid import WindowSpec

_HOUR_MS = 3_600_000


def policies_of(config: MonitorConfig) -> Policies:
    """What the two folds are told."""
    return Policies(
        models={model.name: model_policy(model) for model in config.models},
        rules=DEFAULT_RULES if config.rules is None else tuple(map(rule_policy, config.rules)),
        target_false_alarms_per_day=config.alerts.target_false_alarms_per_day,
        max_models=config.limits.max_models,
        max_series=config.limits.max_series,
        max_versions=config.limits.max_versions,
        max_unflushed_bytes=config.limits.max_unflushed_bytes,
        panes_partitions=config.topics.panes_partitions,
        idle_timeout_ms=config.idle_timeout,
        # An owner says something at each flush; a busy one may leave out a few.
        progress_timeout_ms=max(5_000, 3 * config.flush_interval),
        stalled_after_ms=config.alerts.stalled_after,
        live_horizon_ms=config.live_horizon,
        revision_interval_ms=config.revision_interval,
        reject_flood_share=config.alerts.reject_flood,
        duplicate_flood_share=config.alerts.duplicate_flood,
        late_flood_share=config.alerts.late_flood,
        hash_key=config.privacy.hash_key.encode(),
        dead_letters=DeadLetterPolicy(
            redact=not config.dead_letters.include_value,
            max_per_flush=config.dead_letters.max_per_flush,
            max_bytes_per_flush=config.dead_letters.max_bytes_per_flush,
        ),
        topics={"predictions": config.topics.predictions, "labels": config.topics.labels},
    )


def decode_policy(config: MonitorConfig) -> DecodePolicy:
    """How ingest reads events."""
    return DecodePolicy(
        timestamp_unit=config.timestamp_unit,
        per_model={m.name: TimeBounds(max_past_ms=m.max_past, max_future_ms=m.max_future) for m in config.models},
        max_event_bytes=config.limits.max_event_bytes,
        max_features=config.limits.max_features,
        mapping=dict(config.mapping),
    )


def model_policy(model: ModelConfig) -> ModelPolicy:
    return ModelPolicy(
        name=model.name,
        outcome=OutcomePolicy(
            task=model.kind_of_task,
            positive_class=model.positive_class,
            decision_threshold=model.decision_threshold,
            score_of=model.score_of,
            classes=tuple(model.classes),
            class_aliases=dict(model.class_aliases),
        ),
        reference=_reference(model.reference),
        windows=tuple(WindowSpec(window.size, window.slide or window.size) for window in model.windows),
        max_out_of_order_ms=model.max_out_of_order,
        allowed_lateness_ms=model.allowed_lateness,
        join=_join(model),
        segments=tuple(tuple(key.removeprefix("tags.") for key in keys) for keys in model.segments),
        detectors=tuple(
            DetectorPolicy(d.signal, d.kind, d.direction, dict(d.parameters)) for d in model.detectors if model.labels
        ),
        metrics=MetricPolicy(min_samples=model.min_samples),
        retire_after_ms=model.retire_after,
    )


def rule_policy(rule: RuleConfig) -> RulePolicy:
    return RulePolicy(
        name=rule.name,
        metric=rule.metric,
        above=rule.above,
        below=rule.below,
        clear=rule.clear,
        for_windows=rule.for_,
        severity=rule.severity,
        model=rule.model,
        feature=rule.feature,
        class_=rule.class_,
        segment=None if rule.segment is None else segment_label(rule.segment),
        window=rule.window,
        cooldown_ms=rule.cooldown,
        keep_firing_for_ms=rule.keep_firing_for,
        stale_after_ms=rule.stale_after,
    )


def _reference(reference: ReferenceConfig) -> ReferencePolicy:
    if reference.profile is not None:
        return ReferencePolicy(kind="profile")
    if reference.bootstrap is None:
        return ReferencePolicy(kind="bootstrap")
    return ReferencePolicy("bootstrap", reference.bootstrap.events, reference.bootstrap.max_age)


def _join(model: ModelConfig) -> JoinPolicy | None:
    """None without labels and deduplication. With labels, an id is known for as long as its label may come."""
    if model.labels is None and model.deduplicate is None:
        return None
    join_window = model.labels.join_window if model.labels is not None else None
    deduplicate = model.deduplicate.window if model.deduplicate is not None else join_window or 0
    # What comes out of order by more than an hour must find its entry too.
    slack = max(_HOUR_MS, model.max_out_of_order + model.allowed_lateness)
    return JoinPolicy(join_window, deduplicate, slack)
