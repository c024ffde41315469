"""The config sections about what leaves the monitor: Prometheus, reactions, dead letters, privacy."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator

from stream_monitor.app.durations import ACCEPTED
from stream_monitor.app.metric_names import check_metric_name
from stream_monitor.app.section import Name, PositiveDuration, Section, Size, default
from stream_monitor.app.sizes import ACCEPTED as SIZES
from stream_monitor.errors import Problem


def _http_address(value: str) -> str:
    try:
        parts = urlsplit(value)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, an IPv6 address that is none
        fits = False
    if not fits or not value.isprintable() or " " in value:
        raise ValueError(_ADDRESS)
    return value


def _header_mapping(value: dict[str, str]) -> dict[str, str]:
    if not all(_HEADER_NAME.fullmatch(name) and text.isprintable() for name, text in value.items()):
        raise ValueError(_HEADERS)
    return value


_ADDRESS = 'an address that starts with "http://" or "https://"'
_HEADERS = "a mapping of header names to values of one line each"
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,200}")
_PASSWORD = "a text of 8 to 1,000 characters"
_TOKEN = "printable ASCII characters without blanks"

HttpAddress = Annotated[str, AfterValidator(_http_address)]
Headers = Annotated[dict[str, str], AfterValidator(_header_mapping)]
Token = Annotated[str, Field(pattern=r"^[!-~]{1,4096}$")]
UserName = Annotated[str, Field(pattern=r"^[ -9;-~]{1,200}$")]
Password = Annotated[str, Field(min_length=8, max_length=1000)]


class BasicAuthConfig(Section):
    """HTTP basic authentication."""

    username: UserName = Field(description="1 to 200 printable ASCII characters without a colon")
    password: Password = Field(description=_PASSWORD, repr=False)


class TlsConfig(Section):
    """HTTPS; with `client_ca` only for clients with a certificate of that authority. Paths as elsewhere."""

    certificate: str = Field(description="the path of a PEM file with the certificate and its chain", min_length=1)
    key: str = Field(description="the path of a PEM file with the private key, without a password", min_length=1)
    client_ca: str | None = default(None, "the path of a PEM file, or null: any client", min_length=1)


class PrometheusConfig(Section):
    """Where `/metrics` is, who may read it, and which metric events become gauges there."""

    host: str = default("127.0.0.1", "the address to listen on", min_length=1)
    port: int = default(9108, "a port from 0 (any free one) to 65535", ge=0, le=65535)
    bearer_token: Token | None = default(None, f"16 to 4,096 {_TOKEN}, or null", min_length=16, repr=False)
    basic_auth: BasicAuthConfig | None = default(None, "{username: NAME, password: TEXT}, or null")
    tls: TlsConfig | None = default(None, "{certificate: PATH, key: PATH}, or null")
    allow_unauthenticated: bool = default(False, "true or false")
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
    """Alerts are sent as one JSON POST each; `bearer_token` is sent as `Authorization`, unless headers say it."""

    url: HttpAddress = Field(description=_ADDRESS, repr=False)
    headers: Headers = default({}, _HEADERS, repr=False)
    bearer_token: Token | None = default(None, _TOKEN, repr=False)
    timeout: PositiveDuration = default("10s", ACCEPTED)


def door_problems(config: PrometheusConfig) -> list[Problem]:
    """Whoever reads /metrics learns what the models do: beyond this machine only with credentials, or by choice."""
    authority = config.tls is not None and config.tls.client_ca is not None
    guarded = config.bearer_token is not None or config.basic_auth is not None or authority
    if is_loopback(config.host) or guarded or config.allow_unauthenticated:
        return []
    accepted = (
        "127.0.0.1 or ::1; or any address with bearer_token, basic_auth {username, password} or tls {client_ca}; or, "
        "where something else keeps others out, allow_unauthenticated: true"
    )
    return [Problem("prometheus.host", f"{config.host!r}, open to other machines without credentials", accepted)]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener there; a name other than localhost may be anything."""
    try:
        address = ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


class ReactConfig(Section):
    """What is done about an alert."""

    webhook: WebhookConfig | None = default(None, "{url: ADDRESS}, or null")
    log: bool = default(True, "true or false")


class DeadLettersConfig(Section):
    """Rejected events; `include_value: false` keeps the original bytes out of them. `stop_on_flood`: ingest stops, with
    exit code 1, where the share `alerts.reject_flood` of what it reads is rejected."""

    enabled: bool = default(True, "true or false")
    include_value: bool = default(True, "true or false")
    max_per_flush: int = default(10_000, "a whole number from 1 to 1,000,000", ge=1, le=10**6)
    max_bytes_per_flush: Size = default("8MiB", f"{SIZES}, from 1MiB to 256MiB", ge=1 << 20, le=1 << 28)
    stop_on_flood: bool = default(False, "true or false")


class PrivacyConfig(Section):
    """Unseen categories leave as hashes keyed by `hash_key`, unless `expose_values` is set."""

    hash_key: Name = default("stream-monitor", "a secret text of 1 to 200 characters", repr=False)
    expose_values: bool = default(False, "true or false")

    @field_validator("expose_values")
    @classmethod
    def _not_yet(cls, value: bool) -> bool:
        if value:
            raise ValueError("false: showing the values of unseen categories is not available yet")
        return value
