"""The config sections about what leaves the monitor: Prometheus, reactions, dead letters, privacy."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from stream_monitor.app.durations import ACCEPTED
from stream_monitor.app.metric_names import check_metric_name
from stream_monitor.app.section import Name, PositiveDuration, Section, default


def _http_address(value: str) -> str:
    from urllib.parse import urlsplit

    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError('an address that starts with "http://" or "https://"')
    return value


HttpAddress = Annotated[str, AfterValidator(_http_address)]


class PrometheusConfig(Section):
    """Where `/metrics` is, and which metric events become gauges there."""

    host: str = default("127.0.0.1", "the address to listen on", min_length=1)
    port: int = default(9108, "a port from 0 (any free one) to 65535", ge=0, le=65535)
    metrics: list[Annotated[str, AfterValidator(check_metric_name)]] = default(["psi", "csi"], "a list of metric names")
    performance: list[Annotated[str, AfterValidator(check_metric_name)]] | None = default(
        None, "a list of names of performance metrics, or null for all"
    )
    segments: list[str] | None = default(
        ["all"], 'a list of segment labels such as "country=DE", or null for every one'
    )
    windows: list[str] | None = default(
        None, 'a list of windows such as "5m" or "1h/5m", or null for the smallest of each model'
    )
    versions: int = default(2, "how many of the newest versions of a model, 1 or more", ge=1)
    max_series: int = default(2_000, "how many series a model may have, 1 or more", ge=1)


class WebhookConfig(Section):
    """Alerts are sent as one JSON POST each."""

    url: HttpAddress = Field(description='an address that starts with "http://" or "https://"')
    headers: dict[str, str] = default({}, "a mapping of header names to values")
    timeout: PositiveDuration = default("10s", ACCEPTED)


class ReactConfig(Section):
    """What is done about an alert."""

    webhook: WebhookConfig | None = default(None, "{url: ADDRESS}, or null")
    log: bool = default(True, "true or false")


class DeadLettersConfig(Section):
    """Rejected events; `include_value: false` keeps the original bytes out of them."""

    enabled: bool = default(True, "true or false")
    include_value: bool = default(True, "true or false")


class PrivacyConfig(Section):
    """Unseen categories leave as hashes keyed by `hash_key`, unless `expose_values` is set."""

    hash_key: Name = default("stream-monitor", "a secret text of 1 to 200 characters")
    expose_values: bool = default(False, "true or false")

    @field_validator("expose_values")
    @classmethod
    def _not_yet(cls, value: bool) -> bool:
        if value:
            raise ValueError("false: showing the values of unseen categories is not available yet")
        return value
