"""A name of a webhook's receiver may lead anywhere but to the machine's own services."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from stream_monitor.agents import webhook as module
from stream_monitor.agents.policy import WebhookPolicy
from stream_monitor.agents.resolver import AddressRefused, CarefulResolver, reason_against
from stream_monitor.agents.webhook import ReceiverFailed, webhook
from tests.agents.receiver import Receiver, alert


class Leading(AbstractResolver):
    """Every name leads to these addresses."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
            for address in self.addresses
        ]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.0.1",
        "::ffff:169.254.169.254",
        "2002:a9fe:a9fe::",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "ff02::1",
        "not an address",
    ],
)
def test_these_addresses_are_refused_alone_and_beside_others(address: str) -> None:
    assert reason_against(address) is not None
    for addresses in ((address,), ("10.0.0.1", address)):
        with pytest.raises(AddressRefused, match="the name leads to"):
            asyncio.run(CarefulResolver(Leading(*addresses)).resolve("hook.example", 443))


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "192.168.0.7", "93.184.216.34", "::1", "2001:db8::1"])
def test_a_receiver_may_be_on_this_machine_in_the_house_or_outside(address: str) -> None:
    found = asyncio.run(CarefulResolver(Leading(address)).resolve("hook.example", 443))
    assert [each["host"] for each in found] == [address]


def posted(policy: WebhookPolicy) -> None:
    async def once() -> None:
        await webhook(policy)(alert())

    asyncio.run(once())


def test_the_webhook_says_why_and_an_address_in_the_url_is_what_its_author_meant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "CarefulResolver", lambda: CarefulResolver(Leading("169.254.169.254")))
    with pytest.raises(ReceiverFailed, match=r"hook\.example cannot be reached: the name leads to 169\.254\.169\.254"):
        posted(WebhookPolicy("http://hook.example/t0ken"))
    with Receiver() as receiver:
        posted(WebhookPolicy(receiver.url))
    assert receiver.ids == ["id-1"]


def test_a_decimal_spelling_of_an_address_is_a_name_and_looked_at() -> None:
    async def resolved() -> None:
        await CarefulResolver().resolve("2852039166", 80)

    with pytest.raises(AddressRefused):
        asyncio.run(resolved())
