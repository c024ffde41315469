"""From the config to the policies of the two roles that look outwards: the Prometheus endpoint and the reactions."""

from __future__ import annotations

from pathlib import Path

from stream_monitor.agents.policy import ReactPolicy, WebhookPolicy
from stream_monitor.app.export_config import WebhookConfig
from stream_monitor.app.setup import Setup
from stream_monitor.export.policy import PERFORMANCE_METRICS, ExportPolicy, HttpPolicy
from stream_monitor.kafka.topics import TopicNames


def export_policy(setup: Setup) -> ExportPolicy:
    """Performance metrics may be listed under `metrics` too: each becomes the gauge of its family."""
    config = setup.config.prometheus
    named = frozenset(config.metrics)
    performance = PERFORMANCE_METRICS if config.performance is None else frozenset(config.performance)
    return ExportPolicy(
        drift_metrics=named - PERFORMANCE_METRICS,
        performance_metrics=performance | (named & PERFORMANCE_METRICS),
        segments=None if config.segments is None else frozenset(config.segments),
        windows=None if config.windows is None else frozenset(config.windows),
        versions=config.versions,
        max_series=config.max_series,
        rules=setup.policies.rules,
    )


def http_policy(setup: Setup, port: int | None = None) -> HttpPolicy:
    config = setup.config.prometheus
    basic = config.basic_auth
    return HttpPolicy(
        config.host,
        config.port if port is None else port,
        bearer_token=config.bearer_token,
        basic_auth=None if basic is None else (basic.username, basic.password),
        tls=setup.tls,
    )


def webhook_headers(hook: WebhookConfig) -> dict[str, str]:
    """The configured headers and the token, which gives way to an Authorization that is written out."""
    said = any(name.lower() == "authorization" for name in hook.headers)
    token = {} if said or hook.bearer_token is None else {"Authorization": f"Bearer {hook.bearer_token}"}
    return token | dict(hook.headers)


def react_policy(setup: Setup, names: TopicNames, directory: Path) -> ReactPolicy:
    """An alert older than the live horizon pages nobody, as a historical one does not."""
    config = setup.config.react
    webhooks = () if config.webhook is None else (config.webhook,)
    horizon = setup.config.live_horizon
    return ReactPolicy(
        kafka=setup.client,
        alerts_topic=names.alerts,
        metrics_topic=names.metrics,
        group=f"{names.prefix}react",
        data_dir=directory / "react",
        log_alerts=config.log,
        webhooks=tuple(
            WebhookPolicy(url=hook.url, headers=webhook_headers(hook), timeout_s=hook.timeout / 1000)
            for hook in webhooks
        ),
        max_event_age_s=None if horizon is None else horizon / 1000,
    )
