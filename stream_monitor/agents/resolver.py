"""Names of receivers → addresses, without those that no receiver of alerts has.

A name is somebody else's word: who answers for it could send alerts, with the credentials of the webhook, to the
cloud's metadata service or to whatever listens on this machine's link. An address that the config itself names is not
looked at here: it is what its author meant.
"""

from __future__ import annotations

import socket
from ipaddress import IPv6Address, ip_address
from typing import Final

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

# Metadata and host services of clouds that are not on link-local addresses: Alibaba, Azure, Oracle, Amazon.
_METADATA: Final = frozenset(map(ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254")))


class AddressRefused(OSError):
    """The name led to an address that is not spoken to."""


class CarefulResolver(AbstractResolver):
    """Asks `inner`, the system by default; refuses the name if any of its addresses is refused."""

    def __init__(self, inner: AbstractResolver | None = None) -> None:
        self._inner = inner or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        for each in found:
            if (reason := reason_against(each["host"])) is not None:
                raise AddressRefused(
                    f"the name leads to {each['host']}, {reason}; accepted: another address, or this one in the URL"
                )
        return found

    async def close(self) -> None:
        await self._inner.close()


def reason_against(address: str) -> str | None:
    """Why this address is not spoken to; None if it may be."""
    try:
        found = ip_address(address)
    except ValueError:
        return "which is no address"
    if isinstance(found, IPv6Address):
        found = IPv6Address(int(found))  # without a zone
        found = found.ipv4_mapped or found.sixtofour or found
    if found in _METADATA:
        return "a cloud's metadata service"
    if found.is_link_local:
        return "a link-local address"
    if found.is_unspecified or found.is_multicast:
        return "the address of no host"
    return None
