"""librdkafka's connection properties in Faust's words: nothing about security is dropped in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_monitor.agents.broker import broker_urls, credentials
from stream_monitor.errors import ConfigError


def test_every_bootstrap_server_becomes_a_broker() -> None:
    assert broker_urls({"bootstrap.servers": "a:9092, SSL://b:9093"}) == ["kafka://a:9092", "kafka://b:9093"]


def test_plaintext_needs_no_credentials() -> None:
    assert credentials({"bootstrap.servers": "a:9092", "linger.ms": 5}) is None


def test_sasl_over_tls_keeps_user_password_and_mechanism() -> None:
    found = credentials(
        {
            "security.protocol": "SASL_SSL",
            "sasl.mechanisms": "SCRAM-SHA-512",
            "sasl.username": "u",
            "sasl.password": "p",
        }
    )
    assert (found.protocol.value, found.mechanism.value) == ("SASL_SSL", "SCRAM-SHA-512")
    assert (found.username, found.password) == ("u", "p")
    assert found.ssl_context.check_hostname


def test_tls_verifies_unless_told_not_to_check_the_name() -> None:
    assert credentials({"security.protocol": "ssl"}).context.check_hostname
    loose = credentials({"security.protocol": "ssl", "ssl.endpoint.identification.algorithm": "none"})
    assert not loose.context.check_hostname


def test_what_faust_cannot_do_is_refused_all_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        credentials({"security.protocol": "sasl_plaintext", "sasl.mechanism": "GSSAPI", "ssl.keystore.location": "x"})
    assert [problem.path for problem in caught.value.problems] == [
        "kafka.ssl.keystore.location",
        "kafka.sasl.mechanism",
    ]
    with pytest.raises(ConfigError) as caught:
        credentials({"security.protocol": "sasl_ssl", "sasl.mechanism": "OAUTHBEARER"})
    assert [str(problem) for problem in caught.value.problems] == [
        "kafka.sasl.oauthbearer.method: found 'default'; accepted: oidc"
    ]
    with pytest.raises(ConfigError) as caught:
        credentials(
            {
                "security.protocol": "sasl_ssl",
                "sasl.mechanism": "OAUTHBEARER",
                "sasl.oauthbearer.method": "oidc",
                "sasl.oauthbearer.client.credentials.client.id": "me",
            }
        )
    assert [problem.path for problem in caught.value.problems] == [
        "kafka.sasl.oauthbearer.token.endpoint.url",
        "kafka.sasl.oauthbearer.client.secret",
    ]
    with pytest.raises(ConfigError, match="readable PEM files"):
        credentials({"security.protocol": "ssl", "ssl.ca.location": str(tmp_path / "missing.pem")})
