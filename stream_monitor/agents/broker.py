"""librdkafka's connection properties in Faust's words.

Promises: the brokers, TLS and SASL (PLAIN, SCRAM, OAUTHBEARER with client credentials) of the two confluent stages,
from the same config; a security setting that Faust has no word for is refused, never dropped. Costs: nothing.
Properties that only tune librdkafka (buffers, batching) have no meaning here and are ignored.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path

import faust
from faust.types.auth import CredentialsT

from stream_monitor.agents.tokens import TokenPolicy, Tokens
from stream_monitor.errors import ConfigError, Problem

_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
_TOKEN = "sasl.oauthbearer."
_UNDERSTOOD = {
    "security.protocol",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.username",
    "sasl.password",
    f"{_TOKEN}method",
    f"{_TOKEN}client.id",
    f"{_TOKEN}client.credentials.client.id",
    f"{_TOKEN}client.secret",
    f"{_TOKEN}client.credentials.client.secret",
    f"{_TOKEN}scope",
    f"{_TOKEN}extensions",
    f"{_TOKEN}token.endpoint.url",
    "https.ca.location",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.endpoint.identification.algorithm",
}


def broker_urls(kafka: Mapping[str, object]) -> list[str]:
    """["kafka://host:port", …] of bootstrap.servers, which may name a protocol."""
    servers = str(kafka.get("bootstrap.servers", "localhost:9092")).split(",")
    return [f"kafka://{server.strip().rpartition('//')[2]}" for server in servers if server.strip()]


def credentials(kafka: Mapping[str, object]) -> CredentialsT | None:
    """Null for plaintext. Raises ConfigError, with every problem, for what Faust cannot do."""
    protocol = str(kafka.get("security.protocol", "plaintext")).lower()
    mechanism = str(kafka.get("sasl.mechanism", kafka.get("sasl.mechanisms", "PLAIN"))).upper()
    problems = [
        Problem(f"kafka.{key}", "a setting the react role cannot use", ", ".join(sorted(_UNDERSTOOD)))
        for key in sorted(kafka)
        if key.startswith(("ssl.", "sasl.", "https.")) and key not in _UNDERSTOOD
    ]
    if protocol not in ("plaintext", "ssl", "sasl_plaintext", "sasl_ssl"):
        accepted = "plaintext, ssl, sasl_plaintext or sasl_ssl"
        problems.append(Problem("kafka.security.protocol", repr(protocol), accepted))
    by_token = protocol.startswith("sasl") and mechanism == "OAUTHBEARER"
    if protocol.startswith("sasl") and mechanism not in _MECHANISMS:
        problems.append(Problem("kafka.sasl.mechanism", repr(mechanism), ", ".join(_MECHANISMS)))
    if by_token:
        problems += _token_problems(kafka)
    if problems:
        raise ConfigError(problems)
    context = tls_context(kafka) if protocol.endswith("ssl") else None
    if by_token:
        return faust.OAuthCredentials(oauth_cb=Tokens(_token_policy(kafka)), ssl_context=context)
    if protocol.startswith("sasl"):
        return faust.SASLCredentials(
            username=str(kafka.get("sasl.username", "")),
            password=str(kafka.get("sasl.password", "")),
            mechanism=mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context is not None else None


def tls_context(kafka: Mapping[str, object]) -> ssl.SSLContext:
    """What the ssl.* properties say of authorities, own certificate and the check of the broker's."""

    def text(key: str) -> str | None:
        return str(kafka[key]) if kafka.get(key) else None

    where = text("ssl.ca.location")
    authorities = None if where == "probe" else where  # librdkafka's word for the system's own
    try:
        folder = authorities if authorities is not None and Path(authorities).is_dir() else None
        context = ssl.create_default_context(
            cafile=None if folder else authorities, capath=folder, cadata=text("ssl.ca.pem")
        )
        certificate = text("ssl.certificate.location")
        if certificate is not None:
            context.load_cert_chain(certificate, text("ssl.key.location"), text("ssl.key.password"))
    except OSError as error:  # ssl.SSLError is one
        found = f"{where}, {text('ssl.certificate.location')} ({error})"
        raise ConfigError([Problem("kafka.ssl.*.location", found, "readable PEM files")]) from error
    # Python 3.13 refuses certificates without key identifiers, which many companies' authorities make. What the other
    # stages connect to must do for this one.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    # librdkafka's word for: any name in the certificate will do.
    if str(kafka.get("ssl.endpoint.identification.algorithm", "https")).lower() == "none":
        context.check_hostname = False
    return context


def _token_problems(kafka: Mapping[str, object]) -> list[Problem]:
    method = str(kafka.get(f"{_TOKEN}method", "default")).lower()
    if method != "oidc":
        return [Problem(f"kafka.{_TOKEN}method", repr(method), "oidc")]
    needed = {
        f"{_TOKEN}token.endpoint.url": "the address that gives tokens",
        f"{_TOKEN}client.id": "the client's id there",
        f"{_TOKEN}client.secret": "the client's secret there",
    }
    return [
        Problem(f"kafka.{key}", "nothing", accepted)
        for key, accepted in needed.items()
        if _client_value(kafka, key) == ""
    ]


def _token_policy(kafka: Mapping[str, object]) -> TokenPolicy:
    authorities = str(kafka.get("https.ca.location", "") or "")
    pairs = (pair.split("=", 1) for pair in str(kafka.get(f"{_TOKEN}extensions", "") or "").split(",") if "=" in pair)
    return TokenPolicy(
        url=_client_value(kafka, f"{_TOKEN}token.endpoint.url"),
        client_id=_client_value(kafka, f"{_TOKEN}client.id"),
        client_secret=_client_value(kafka, f"{_TOKEN}client.secret"),
        scope=str(kafka.get(f"{_TOKEN}scope", "") or "") or None,
        authorities=None if authorities in ("", "probe") else authorities,
        extensions={key.strip(): value.strip() for key, value in pairs},
    )


def _client_value(kafka: Mapping[str, object], key: str) -> str:
    """By either of librdkafka's names for it."""
    other = key.replace(f"{_TOKEN}client.", f"{_TOKEN}client.credentials.client.")
    return str(kafka.get(key) or kafka.get(other) or "")
