"""Tokens for SASL OAUTHBEARER, by the client-credentials grant of OAuth 2.0, as librdkafka's method `oidc` gets them.

Promises: one token for all connections until four fifths of its life have passed; nothing but the configured address is
spoken to (no redirects, no proxies of the environment); the secret and the token are in no error. Costs one POST a
token. Leaves to others: checking the token, which is the broker's.
"""

from __future__ import annotations

import base64
import json
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp
from aiokafka.abc import AbstractTokenProvider

from stream_monitor.errors import SetupError

_TIMEOUT_S = 10.0
_MOST_BYTES = 1 << 20
_DEFAULT_LIFE_S = 300.0  # where the endpoint does not say


@dataclass(frozen=True, slots=True)
class TokenPolicy:
    """Where tokens come from; `authorities`: a PEM file for https, null: the system's."""

    url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str | None = None
    authorities: str | None = None
    extensions: dict[str, str] = field(default_factory=dict)


class Tokens(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka is untyped here
    """Called by aiokafka whenever it connects."""

    def __init__(self, policy: TokenPolicy, clock: Callable[[], float] = time.monotonic) -> None:
        self._policy = policy
        self._clock = clock
        self._token = ""
        self._fresh_until = float("-inf")

    async def token(self) -> str:
        """A token that has not expired; SetupError where there is none."""
        asked_at = self._clock()
        if asked_at >= self._fresh_until:
            self._token, life_s = await self._fetched()
            self._fresh_until = asked_at + 0.8 * life_s
        return self._token

    def extensions(self) -> dict[str, str]:
        return dict(self._policy.extensions)

    async def _fetched(self) -> tuple[str, float]:
        policy = self._policy
        form = {"grant_type": "client_credentials"} | ({"scope": policy.scope} if policy.scope else {})
        known = base64.b64encode(f"{policy.client_id}:{policy.client_secret}".encode()).decode()
        context = ssl.create_default_context(cafile=policy.authorities)
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S), trust_env=False) as session,
                session.post(
                    policy.url,
                    data=form,
                    headers={"Authorization": f"Basic {known}"},
                    allow_redirects=False,
                    ssl=context,
                ) as answer,
            ):
                status, body = answer.status, bytearray()
                async for part in answer.content.iter_any():  # as it comes, in any number of parts
                    body += part
                    if len(body) > _MOST_BYTES:
                        raise self._failed(f"answered with more than {_MOST_BYTES} bytes")
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise self._failed(f"cannot be reached ({type(error).__name__})") from None
        if status != 200:
            raise self._failed(f"answered {status}")
        try:
            found = json.loads(body)
            return str(found["access_token"]), float(found.get("expires_in", _DEFAULT_LIFE_S))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self._failed("gave no access_token") from None

    def _failed(self, what: str) -> SetupError:
        return SetupError(
            f"no token for the Kafka brokers: {self._policy.url} {what}",
            mend="correct kafka: sasl.oauthbearer.client.id, .client.secret and .token.endpoint.url",
        )
