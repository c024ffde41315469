"""Who may read /metrics: nobody is asked where no credentials are configured, else a token or a user's password.

Comparisons take the same time whatever is wrong, so that a secret cannot be guessed letter by letter.
"""

from __future__ import annotations

import hmac
import secrets
import ssl
from base64 import b64encode
from hashlib import blake2b

from stream_monitor.errors import SetupError
from stream_monitor.export.policy import HttpPolicy, TlsPolicy


class Access:
    """Holds no secret but as a hash with a key of its own."""

    def __init__(self, policy: HttpPolicy) -> None:
        self._key = secrets.token_bytes(32)
        self._accepted: list[bytes] = []
        self._schemes: list[str] = []
        if policy.bearer_token is not None:
            self._accept("Bearer", policy.bearer_token)
        if policy.basic_auth is not None:
            self._accept("Basic", b64encode(":".join(policy.basic_auth).encode()).decode())

    @property
    def challenge(self) -> str:
        """The value of WWW-Authenticate."""
        return ", ".join(f'{scheme} realm="stream-monitor"' for scheme in self._schemes)

    def admits(self, authorization: str) -> bool:
        """`authorization`: the request's header, empty where it has none."""
        if not self._accepted:
            return True
        scheme, _, value = authorization.partition(" ")
        given = self._hash(scheme, value.strip())
        # All of them, not the first that fits: the time must not tell which.
        return sum(hmac.compare_digest(given, accepted) for accepted in self._accepted) > 0

    def _accept(self, scheme: str, value: str) -> None:
        self._schemes.append(scheme)
        self._accepted.append(self._hash(scheme, value))

    def _hash(self, scheme: str, value: str) -> bytes:
        # aiohttp reads bytes that are no UTF-8 as surrogates.
        return blake2b(f"{scheme.lower()} {value}".encode(errors="surrogateescape"), key=self._key).digest()


def tls_context(policy: TlsPolicy) -> ssl.SSLContext:
    """TLS 1.2 or newer; SetupError where the files cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # A password given, else a key that needs one would ask for it on the terminal.
        context.load_cert_chain(policy.certificate, policy.key, password="")
        if policy.client_ca is not None:
            context.load_verify_locations(policy.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        files = ", ".join(str(file) for file in (policy.certificate, policy.key, policy.client_ca) if file is not None)
        reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        raise SetupError(
            f"prometheus.tls cannot be used ({reason}): {files}",
            mend="name readable PEM files: a certificate, its key without a password, the clients' authority",
        ) from None
    return context
