"""Why a TLS connection to a broker fails, in one sentence: librdkafka has one text for every certificate it refuses.

One handshake with each address, with the same authorities and certificates as the clients, and nothing sent after it.
Costs at most `TIMEOUT_S` a probe; it is made only where a connection failed.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from typing import NamedTuple

from stream_monitor.agents.broker import tls_context
from stream_monitor.errors import ConfigError

TIMEOUT_S = 3.0
_MOST_SERVERS = 3

_EXPIRED = {9, 10}  # not yet valid, expired
_WRONG_NAME = {62, 64}  # host name, IP address


class Cause(NamedTuple):
    """What is wrong, and what mends it."""

    found: str
    mend: str


def tls_cause(client: Mapping[str, object]) -> Cause | None:
    """The first cause found among the bootstrap servers; None where the handshakes succeed or nobody is there."""
    for host, port in _servers(client):
        if (cause := _cause(client, host, port)) is not None:
            return cause
    return None


def speaks_tls(client: Mapping[str, object]) -> bool:
    """Whether any of the bootstrap servers answers a handshake, whatever its certificate is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for host, port in _servers(client):
        try:
            _handshake(context, host, port)
        except OSError:
            continue
        return True
    return False


def _cause(client: Mapping[str, object], host: str, port: int) -> Cause | None:
    where = f"{host}:{port}"
    try:
        _handshake(tls_context(client), host, port)
    except ConfigError:
        return None  # librdkafka has read the files, so Python alone cannot: librdkafka's own words must do
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in _EXPIRED:
            found = f"the certificate of {where} has expired or is not valid yet"
            return Cause(found, "renew the broker's certificate")
        if error.verify_code in _WRONG_NAME:
            return Cause(
                f"the certificate of {where} is for another host ({error.verify_message.rstrip('.')})",
                "name the broker in kafka: bootstrap.servers as its certificate does",
            )
        return Cause(
            f"the certificate of {where} is not signed by a trusted authority ({error.verify_message})",
            "set kafka: ssl.ca.location to the PEM file of the authority that signed it",
        )
    except ssl.SSLError as error:
        if error.reason == "WRONG_VERSION_NUMBER":
            return Cause(f"{where} speaks no TLS", "set kafka: security.protocol to plaintext or sasl_plaintext")
        return None
    except OSError:
        return None
    return None


def _handshake(context: ssl.SSLContext, host: str, port: int) -> None:
    with (
        socket.create_connection((host, port), TIMEOUT_S) as plain,
        context.wrap_socket(plain, server_hostname=host),
    ):
        pass


def _servers(client: Mapping[str, object]) -> list[tuple[str, int]]:
    found = []
    for server in str(client.get("bootstrap.servers", "")).split(",")[:_MOST_SERVERS]:
        host, _, port = server.strip().rpartition("//")[2].rpartition(":")
        if host and port.isdecimal():
            found.append((host.strip("[]"), int(port)))
    return found
