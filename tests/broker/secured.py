"""A broker that asks who you are and what you may: TLS on every listener, SASL or client certificates, ACLs on.

Listeners on 127.0.0.1: `sasl` (SASL_SSL: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER), `mtls` (client
certificates; the principal is the subject's CN), and two that no client should accept: `expired` and `misnamed`.
Whoever has no ACL may do nothing, but for the super user `admin`. Costs about 5 s; needs `java` and `openssl`.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.broker.certificates import Authority
from tests.broker.jars import fetched_jars, free_ports, running_node
from tests.broker.source import NoBroker, SourceUnavailable, properties
from tests.broker.tokens import Issuer, token_endpoint

# Password = "secret-of-" + name, for PLAIN, SCRAM and as a client secret.
USERS = ("admin", "topics", "doctor", "ingest", "evaluate", "react", "producer", "reader", "nobody")
_LISTENERS = {"SASL": "SASL_SSL", "MTLS": "SSL", "EXPIRED": "SSL", "MISNAMED": "SSL", "CONTROLLER": "SSL"}


def password(user: str) -> str:
    return f"secret-of-{user}"


@dataclass(frozen=True, slots=True)
class SecuredBroker:
    """`addresses`: host:port by listener; `token_url`: where OAUTHBEARER clients get their tokens."""

    addresses: Mapping[str, str]
    authority: Path
    authorities: Authority
    token_url: str

    def sasl(self, user: str, mechanism: str = "SCRAM-SHA-512") -> dict[str, object]:
        """librdkafka properties of a user."""
        return {
            "bootstrap.servers": self.addresses["sasl"],
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": mechanism,
            "sasl.username": user,
            "sasl.password": password(user),
            "ssl.ca.location": str(self.authority),
        }

    def oauth(self, user: str) -> dict[str, object]:
        return {
            "bootstrap.servers": self.addresses["sasl"],
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "OAUTHBEARER",
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.client.id": user,
            "sasl.oauthbearer.client.secret": password(user),
            "sasl.oauthbearer.token.endpoint.url": self.token_url,
            "ssl.ca.location": str(self.authority),
        }

    def mtls(self, user: str, *, days: int = 2) -> dict[str, object]:
        made = self.authorities.signed(user, days=days)
        return {
            "bootstrap.servers": self.addresses["mtls"],
            "security.protocol": "SSL",
            "ssl.ca.location": str(self.authority),
            "ssl.certificate.location": str(made.certificate),
            "ssl.key.location": str(made.key),
        }


@contextmanager
def secured_broker() -> Iterator[SecuredBroker]:
    """NoBroker, with the reason, where it cannot be started."""
    java = shutil.which("java")
    try:
        if java is None:
            raise SourceUnavailable("no `java` on the PATH for Kafka from jars (apt install openjdk-17-jre-headless)")
        jars = fetched_jars()
        with tempfile.TemporaryDirectory(prefix="stream-monitor-secured-", ignore_cleanup_errors=True) as folder:
            directory = Path(folder)
            authority, issuer = Authority(directory), Issuer(directory)
            ports = dict(zip(_LISTENERS, free_ports(len(_LISTENERS)), strict=True))
            addresses = {name.lower(): f"127.0.0.1:{port}" for name, port in ports.items()}
            with token_endpoint(issuer, {user: password(user) for user in USERS}) as token_url:
                broker = SecuredBroker(addresses, authority.certificate, authority, token_url)
                with running_node(
                    java,
                    jars,
                    directory,
                    _properties(directory, authority, issuer, ports),
                    broker.sasl("admin"),
                    format_options=[word for user in USERS for word in _scram(user)],
                    java_options=[f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={issuer.key_set.as_uri()}"],
                    start_s=180.0,  # TLS and its certificates take a busy machine twice the time
                ):
                    yield broker
    except SourceUnavailable as error:
        raise NoBroker(f"no secured Kafka broker for tests: {error}") from error


def _scram(user: str) -> list[str]:
    return [
        word
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
        for word in ("--add-scram", f"{mechanism}=[name={user},password={password(user)}]")
    ]


def _properties(directory: Path, authority: Authority, issuer: Issuer, ports: Mapping[str, int]) -> dict[str, str]:
    settings = properties(port=ports["MTLS"], controller_port=ports["CONTROLLER"], log_dir=directory / "data")
    module = "org.apache.kafka.common.security"
    users = " ".join(f'user_{user}="{password(user)}"' for user in USERS)
    sasl = "listener.name.sasl"
    settings |= {
        "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items()),
        "advertised.listeners": ",".join(f"{n}://127.0.0.1:{p}" for n, p in ports.items() if n != "CONTROLLER"),
        "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in _LISTENERS.items()),
        "inter.broker.listener.name": "MTLS",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": "User:admin;User:broker",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(authority.signed("broker").store),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.certificate),
        "listener.name.mtls.ssl.client.auth": "required",
        "listener.name.controller.ssl.client.auth": "required",
        "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/",
        f"{sasl}.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
        f"{sasl}.plain.sasl.jaas.config": f"{module}.plain.PlainLoginModule required {users};",
        f"{sasl}.scram-sha-256.sasl.jaas.config": f"{module}.scram.ScramLoginModule required;",
        f"{sasl}.scram-sha-512.sasl.jaas.config": f"{module}.scram.ScramLoginModule required;",
        f"{sasl}.oauthbearer.sasl.jaas.config": f"{module}.oauthbearer.OAuthBearerLoginModule required;",
        f"{sasl}.oauthbearer.sasl.server.callback.handler.class": (
            f"{module}.oauthbearer.OAuthBearerValidatorCallbackHandler"
        ),
        "sasl.oauthbearer.jwks.endpoint.url": issuer.key_set.as_uri(),
    }
    bad = {
        "expired": authority.signed("expired", days=0),
        "misnamed": authority.signed("misnamed", hosts="DNS:kafka.example.org"),
    }
    for name, made in bad.items():
        settings[f"listener.name.{name}.ssl.keystore.location"] = str(made.store)
        settings[f"listener.name.{name}.ssl.keystore.type"] = "PEM"
        settings[f"listener.name.{name}.ssl.client.auth"] = "none"
    return settings
