"""Alerts to a webhook: one POST of the alert event as JSON, with its id in the headers.

Promises: only the configured host is spoken to (no redirects, no proxies of the environment), and no name of it leads
to the cloud's metadata service or to another link-local address (resolver.py); the same alert always
carries the same `ce-id` and `Idempotency-Key`, so a receiver can drop repeats. Costs: one connection a POST, which
a few alerts a second can afford. Leaves to others: retries (handler.py).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import quote

import aiohttp

from stream_monitor.agents.policy import WebhookPolicy
from stream_monitor.agents.reaction import Refused
from stream_monitor.agents.resolver import AddressRefused, CarefulResolver
from stream_monitor.events.alert import AlertEvent
from stream_monitor.events.cloudevents import ALERT_TYPE

# Besides 5xx: the receiver asks for the same request again, later.
_RETRY_STATUSES = frozenset({408, 425, 429})


class ReceiverFailed(Exception):
    """The receiver did not take the alert this time."""


def webhook(policy: WebhookPolicy) -> Callable[[AlertEvent], Awaitable[None]]:
    """The effect that posts to this receiver."""

    async def post(alert: AlertEvent) -> None:
        if alert.state not in policy.states:
            return
        timeout = aiohttp.ClientTimeout(total=policy.timeout_s)
        try:
            async with (
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(resolver=CarefulResolver()), timeout=timeout, trust_env=False
                ) as session,
                session.post(
                    policy.url, data=alert.encode(), headers=_headers(alert, policy), allow_redirects=False
                ) as answer,
            ):
                status = answer.status
        except TimeoutError as error:
            raise ReceiverFailed(f"{policy.host} did not answer within {policy.timeout_s:g} s") from error
        except aiohttp.ClientConnectorDNSError as error:
            reason = str(error.os_error) if isinstance(error.os_error, AddressRefused) else "its name is not known"
            raise ReceiverFailed(f"{policy.host} cannot be reached: {reason}") from error
        except aiohttp.ClientError as error:
            # Its text may hold the whole URL, and that a token.
            raise ReceiverFailed(f"{policy.host} cannot be reached ({type(error).__name__})") from error
        if status in _RETRY_STATUSES or status >= 500:
            raise ReceiverFailed(f"{policy.host} answered {status}")
        if not 200 <= status < 300:
            raise Refused(f"{policy.host} answered {status}; accepted: 2xx")

    return post


def _headers(alert: AlertEvent, policy: WebhookPolicy) -> dict[str, str]:
    """CloudEvents 1.0 HTTP binding, binary mode; the configured headers win."""
    return {
        "Content-Type": "application/json",
        "ce-specversion": "1.0",
        "ce-type": ALERT_TYPE,
        "ce-source": "/stream-monitor/" + quote(alert.labels.get("model_name", ""), safe=""),
        "ce-id": quote(alert.id),
        "Idempotency-Key": quote(alert.id),
        **policy.headers,
    }
