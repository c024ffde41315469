"""librdkafka's connection properties in Faust's words.

Promises: the brokers, TLS and SASL (PLAIN, SCRAM) of the two confluent stages, from the same config; a security
setting that Faust has no word for is refused, never dropped. Costs: nothing. Properties that only tune librdkafka
(buffers, batching) have no meaning here and are ignored.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping

import faust
from faust.types.auth import CredentialsT

from stream_monitor.errors import ConfigError, Problem

_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_UNDERSTOOD = {
    "security.protocol",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.username",
    "sasl.password",
    "ssl.ca.location",
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
        if key.startswith(("ssl.", "sasl.")) and key not in _UNDERSTOOD
    ]
    if protocol not in ("plaintext", "ssl", "sasl_plaintext", "sasl_ssl"):
        accepted = "plaintext, ssl, sasl_plaintext or sasl_ssl"
        problems.append(Problem("kafka.security.protocol", repr(protocol), accepted))
    if protocol.startswith("sasl") and mechanism not in _MECHANISMS:
        problems.append(Problem("kafka.sasl.mechanism", repr(mechanism), ", ".join(_MECHANISMS)))
    if problems:
        raise ConfigError(problems)
    context = tls_context(kafka) if protocol.endswith("ssl") else None
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

    try:
        context = ssl.create_default_context(cafile=text("ssl.ca.location"))
        certificate = text("ssl.certificate.location")
        if certificate is not None:
            context.load_cert_chain(certificate, text("ssl.key.location"), text("ssl.key.password"))
    except OSError as error:  # ssl.SSLError is one
        found = f"{text('ssl.ca.location')}, {text('ssl.certificate.location')} ({error})"
        raise ConfigError([Problem("kafka.ssl.*.location", found, "readable PEM files")]) from error
    # librdkafka's word for: any name in the certificate will do.
    if str(kafka.get("ssl.endpoint.identification.algorithm", "https")).lower() == "none":
        context.check_hostname = False
    return context
