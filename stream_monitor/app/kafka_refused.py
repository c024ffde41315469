"""Which librdkafka properties a config may not set, each with the reason that is shown; the rest passes through.

*Dangerous* ones load a library, run a command, send a file or the machine's identity away, swap the broker for a
simulated one, or leave a door open: a config file must not be able to do that. *Owned* ones carry the exactly-once
promise of the transactional loop; a different value would silently break the counts. Judged is librdkafka's whole
list, hidden properties included (tests/app/test_kafka_properties.py has the verdict on each); a name of a security
family that the list does not have is refused until somebody has judged it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from stream_monitor.app.export_config import is_loopback
from stream_monitor.kafka.policy import REFUSED, SESSION_TIMEOUT_MS

_CODE: Final = "it loads code into the process"
_SENDS_FILE: Final = "it sends what stands in a file to the token endpoint"

DANGEROUS: Final[Mapping[str, str]] = {
    "ssl.providers": _CODE,
    "sasl.oauthbearer.assertion.file": _SENDS_FILE,
    "sasl.oauthbearer.assertion.jwt.template.file": _SENDS_FILE,
    "enable.sasl.oauthbearer.unsecure.jwt": "with it a token proves nothing: anybody could make one",
    "internal.termination.signal": "it changes how the process takes signals",
}
DANGEROUS_FAMILIES: Final[Mapping[str, str]] = {
    "plugin.": _CODE,
    "ssl.engine.": _CODE,
    # Not kinit.cmd alone: the values of the others are pasted into the shell command that it is by default.
    "sasl.kerberos.": "it is part of a shell command",
    "test.": "it replaces the broker by a simulated one",
}

# What librdkafka also knows under other names, or what the loop leaves at the client's default on purpose.
OWNED: Final[Mapping[str, str]] = {
    "group.protocol.type": "the stages need the classic protocol's range assignor",
    "group.remote.assignor": "the stages need the classic protocol's range assignor",
    "auto.commit.enable": "offsets are committed in the stages' own transactions",
    "auto.commit.interval.ms": "offsets are committed in the stages' own transactions",
    "offset.store.method": "offsets are committed in the stages' own transactions",
    "offset.store.path": "offsets are committed in the stages' own transactions",
    "offset.store.sync.interval.ms": "offsets are committed in the stages' own transactions",
    "request.required.acks": "transactions need acks=all",
    "delivery.report.only.error": "the sender of a record must learn what became of it",
    "log.queue": "log lines go to the monitor's own log",
    "enabled_events": "events go to the monitor's own callbacks",
    "enable_sasl_queue": "events go to the monitor's own callbacks",
    "metadata.broker.list": "it is another name of bootstrap.servers, which all parts of the monitor read",
    **{name: reason for name, reason in REFUSED.items() if not name.startswith("plugin.")},
}

# Objects of the embedding program, never values of a file.
OBJECT_SUFFIXES: Final = ("_cb", "_callback_data")
OBJECTS: Final = frozenset(
    {
        "opaque",
        "logger",
        "on_commit",
        "on_delivery",
        "interceptors",
        "msg_order_cmp",
        "default_topic_conf",
        "default.topic.config",
        "ssl_ca",
        "ssl_certificate",
        "ssl_key",
    }
)

_MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
_SPELLED: Final = {"sasl.mechanisms": "sasl.mechanism"} | {
    f"sasl.oauthbearer.client.credentials.client.{name}": f"sasl.oauthbearer.client.{name}" for name in ("id", "secret")
}

# Families of which every member is judged; what a newer librdkafka adds to them waits for its verdict.
JUDGED_FAMILIES: Final = ("ssl", "sasl", "https", "enable.ssl", "enable.sasl", "oauthbearer")
PASSED_SECURITY: Final = frozenset(
    """
    ssl.cipher.suites ssl.curves.list ssl.sigalgs.list ssl.key.location ssl.key.password ssl.key.pem
    ssl.certificate.location ssl.certificate.pem ssl.ca.location ssl.ca.pem ssl.ca.certificate.stores ssl.crl.location
    ssl.keystore.location ssl.keystore.password ssl.endpoint.identification.algorithm
    https.ca.location https.ca.pem enable.ssl.certificate.verification
    sasl.mechanism sasl.mechanisms sasl.username sasl.password
    sasl.oauthbearer.config sasl.oauthbearer.method sasl.oauthbearer.scope
    sasl.oauthbearer.client.id sasl.oauthbearer.client.credentials.client.id
    sasl.oauthbearer.client.secret sasl.oauthbearer.client.credentials.client.secret
    sasl.oauthbearer.extensions sasl.oauthbearer.token.endpoint.url sasl.oauthbearer.sub.claim.name
    sasl.oauthbearer.grant.type sasl.oauthbearer.assertion.algorithm
    sasl.oauthbearer.assertion.private.key.file sasl.oauthbearer.assertion.private.key.pem
    sasl.oauthbearer.assertion.private.key.passphrase
    sasl.oauthbearer.assertion.claim.aud sasl.oauthbearer.assertion.claim.exp.seconds
    sasl.oauthbearer.assertion.claim.iss sasl.oauthbearer.assertion.claim.jti.include
    sasl.oauthbearer.assertion.claim.nbf.seconds sasl.oauthbearer.assertion.claim.sub
    sasl.oauthbearer.metadata.authentication.type
    """.split()  # noqa: SIM905
)


def reason_against(key: str) -> str | None:
    """Why the property of this (lower-case) name is refused whatever its value; None if it is not."""
    family = next((prefix for prefix in DANGEROUS_FAMILIES if key.startswith(prefix)), None)
    if key in DANGEROUS or family is not None:
        return f"nothing: this property is refused because {DANGEROUS.get(key) or DANGEROUS_FAMILIES[family or '']}"
    if key in OWNED:
        return f"nothing: the monitor sets this property itself, {OWNED[key]}"
    if key in OBJECTS or key.endswith(OBJECT_SUFFIXES):
        return "nothing: callbacks and objects cannot be set from a config"
    return None


def value_against(key: str, value: object) -> str | None:
    """What is accepted instead, where this property is refused for its value; None if it is not."""
    text = str(value).strip()
    check = _VALUES.get(key)
    return check(text) if check is not None else None


def together_against(properties: Mapping[object, object]) -> Mapping[str, str]:
    """Properties that are refused beside another: name → what is accepted."""
    found = {
        name: f"one of {name} and {preferred}, not both"
        for name, preferred in _SPELLED.items()
        if name in properties and preferred in properties
    }
    protocol = str(properties.get("security.protocol", "")).lower()
    if protocol.startswith("sasl") and not {"sasl.mechanism", "sasl.mechanisms"} & set(properties):
        # librdkafka would take GSSAPI, Faust PLAIN, which sends the password as it is.
        found["sasl.mechanism"] = f"{_one_of(_MECHANISMS)}, since security.protocol is {protocol}"
    return found


def _mechanism(text: str) -> str | None:
    return None if text.upper() in _MECHANISMS else f"{_one_of(_MECHANISMS)}; GSSAPI would run a shell command"


def _verified(text: str) -> str | None:
    mend = "a broker's own authority goes into ssl.ca.location, another name needs only "
    mend += "ssl.endpoint.identification.algorithm: none"
    return None if text.lower() in ("true", "1", "t") else f"true: anybody could pretend to be the broker; {mend}"


def _no_metadata_service(text: str) -> str | None:
    reason = "any other would hand the machine's cloud identity to the broker"
    return None if text.lower() == "none" else f"none: {reason}"


def _token_endpoint(text: str) -> str | None:
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        return _TOKEN_ENDPOINT
    if parts.username is not None or not host:
        return _TOKEN_ENDPOINT
    return None if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)) else _TOKEN_ENDPOINT


def _heartbeat(text: str) -> str | None:
    most = SESSION_TIMEOUT_MS // 3
    if text.isdecimal() and 0 < int(text) <= most:
        return None
    return f"a whole number from 1 to {most}: a session times out after {SESSION_TIMEOUT_MS} ms without a heartbeat"


def _one_of(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


_TOKEN_ENDPOINT: Final = "an https:// address without user and password (http:// on this machine alone)"
_VALUES: Final[Mapping[str, Callable[[str], str | None]]] = {
    "sasl.mechanism": _mechanism,
    "sasl.mechanisms": _mechanism,
    "enable.ssl.certificate.verification": _verified,
    "sasl.oauthbearer.metadata.authentication.type": _no_metadata_service,
    "sasl.oauthbearer.token.endpoint.url": _token_endpoint,
    "heartbeat.interval.ms": _heartbeat,
}
