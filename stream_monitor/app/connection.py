"""The first connection to the brokers: who answers, and one clear sentence where nobody does or they refuse.

Promises: a wrong password, token, certificate or protocol is said within seconds, in words that tell which; a broker
that is merely not there is waited for up to `timeout_s`. Costs one connection and a list of all topics.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from stream_monitor.app.kafka_properties import refused_as_config_error
from stream_monitor.app.tls_probe import speaks_tls, tls_cause
from stream_monitor.errors import SetupError

DEFAULT_MEND = "start Kafka, or set kafka: bootstrap.servers in FILE; check with `stream-monitor doctor -c FILE`"

QUIET = logging.getLogger("stream_monitor.quiet")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False

# Where there are several servers a refusal ends the wait only after the second try: another may have a better answer.
_TRIES_S = (1.0, 2.0)
_STATE = re.compile(r" \(after \d+ms in state \w+\)")


@dataclass(frozen=True, slots=True)
class Connection:
    """`partitions`: of every topic this client may see."""

    admin: AdminClient
    partitions: Mapping[str, int]


@dataclass(slots=True)
class _Heard:
    """What librdkafka said of connections that failed."""

    refusal: Any = None
    last: Any = None
    tls: bool = False

    def note(self, error: Any) -> None:
        text = error.str()
        # A broker that is going down cuts handshakes off too.
        broken = "Disconnected" in text or "connection reset" in text
        by_tls = error.code() == KafkaError._SSL or "SSL routines" in text
        if error.code() == KafkaError._AUTHENTICATION or (by_tls and not broken):
            self.refusal, self.tls = error, by_tls
        elif error.code() != KafkaError._ALL_BROKERS_DOWN:
            self.last = error


def quiet_admin(client: Mapping[str, object], **callbacks: object) -> AdminClient:
    """A client whose own log lines stay silent: commands say in one sentence what is wrong.

    ConfigError where librdkafka refuses the properties.
    """
    with refused_as_config_error(client):
        return AdminClient({**client, **callbacks}, logger=QUIET)


def connected(client: Mapping[str, object], *, timeout_s: float = 10.0, mend: str = DEFAULT_MEND) -> Connection:
    """The connection; SetupError where there is none, with `mend` where nobody answers at all."""
    heard = _Heard()
    admin = quiet_admin(client, error_cb=heard.note)
    deadline = time.monotonic() + timeout_s
    tried, alone = 0, "," not in str(client.get("bootstrap.servers"))
    while True:
        left = deadline - time.monotonic()
        try:
            found = admin.list_topics(timeout=max(0.1, min(left, (*_TRIES_S, left)[min(tried, len(_TRIES_S))]))).topics
        except KafkaException as error:
            admin.poll(0)
            tried += 1
            if (heard.refusal is not None and (tried > 1 or alone)) or time.monotonic() >= deadline:
                raise _sentence(client, heard, error.args[0], timeout_s, mend) from None
            time.sleep(0.05)
            continue
        return Connection(admin, {name: len(topic.partitions) for name, topic in found.items() if topic.error is None})


def _sentence(client: Mapping[str, object], heard: _Heard, error: Any, timeout_s: float, mend: str) -> SetupError:
    servers = client.get("bootstrap.servers")
    protocol = str(client.get("security.protocol", "plaintext")).lower()
    if heard.refusal is not None and not heard.tls:
        said = _cleaned(heard.refusal)
        if "OAUTHBEARER token" in said:
            return SetupError(
                f"no token for the Kafka brokers: {said}",
                mend="correct kafka: sasl.oauthbearer.client.id, .client.secret and .token.endpoint.url",
            )
        return SetupError(
            f"the Kafka broker does not accept these credentials: {said}",
            mend="correct kafka: sasl.mechanism, sasl.username and sasl.password",
        )
    cause = tls_cause(client) if protocol.endswith("ssl") else None
    if cause is not None:
        return SetupError(f"no TLS connection to the Kafka broker: {cause.found}", mend=cause.mend)
    if heard.refusal is not None:
        said = _cleaned(heard.refusal)
        if "alert" in said:  # the broker ended it, after a handshake that succeeded for this side
            return SetupError(
                f"the Kafka broker does not accept this client's certificate: {said}",
                mend="set kafka: ssl.certificate.location and ssl.key.location to one that its authority signed and "
                "that has not expired",
            )
        return SetupError(f"no TLS connection to the Kafka broker: {said}", mend="correct kafka: ssl.*")
    said = _cleaned(heard.last or error)
    if not protocol.endswith("ssl") and speaks_tls(client):
        return SetupError(
            f"{servers} speaks TLS, and kafka: security.protocol is {protocol}",
            mend="set kafka: security.protocol to ssl or sasl_ssl",
        )
    if protocol == "ssl" and speaks_tls(client):
        said += "; it does speak TLS, so it may want sasl_ssl"
    return SetupError(f"no Kafka broker answers within {timeout_s:g} s ({said})", mend=mend)


def _cleaned(error: Any) -> str:
    return _STATE.sub("", str(error.str())).strip()
