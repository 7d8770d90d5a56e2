"""Multicast between two machines of a network of their own, and on one that has none."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from engine.core.compact import Endpoint
from engine.discovery.local_discovery import IPV4_GROUP, IPV6_GROUP
from engine.net.multicast import Multicast, interfaces
from engine.net.route import Route
from tests.fakes.lan import HAS_IPV6, INTERFACE, Flag, address, address6, ip, run_on_lan
from tests.fakes.two_ways import TUNNEL, Changes, Tunnel, run_with_two_ways

GROUPS = (IPV4_GROUP, IPV6_GROUP)
HEARD_S = 20.0

Heard = asyncio.Queue[tuple[bytes, str]]


def listening(heard: Heard, only_host: str | None = None) -> Multicast:
    loop = asyncio.get_running_loop()
    return Multicast(loop, GROUPS, lambda *what: heard.put_nowait(what), Route(only_host))


async def hears(heard: Heard) -> tuple[bytes, str]:
    async with asyncio.timeout(HEARD_S):
        return await heard.get()


@pytest.mark.parametrize("group", GROUPS, ids=["IPv4", "IPv6"])
def test_the_other_machine_hears(group: Endpoint) -> None:
    if group.is_ipv6 and not HAS_IPV6:
        pytest.skip("the kernel has no IPv6")
    is_listening = Flag()

    async def speaks() -> None:
        with contextlib.closing(listening(Heard())) as ours:
            assert ours.look()
            await is_listening.wait()
            assert ours.send(group, b"here I am") == 1

    async def listens() -> None:
        heard = Heard()
        with contextlib.closing(listening(heard)) as ours:
            assert ours.look()
            assert not ours.look(), "nothing is new"
            is_listening.set()
            said = await hears(heard)
            assert said == (b"here I am", address6(0) if group.is_ipv6 else address(0))

    run_on_lan(speaks, listens)


def test_what_is_not_sent_to_the_group_does_not_come_in() -> None:
    """A datagram from far away to our port alone must not pass for a neighbour's."""
    is_listening = Flag()

    async def speaks() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            await is_listening.wait()
            sock.sendto(b"to you alone", (address(1), IPV4_GROUP.port))
            with contextlib.closing(listening(Heard())) as ours:
                ours.look()
                ours.send(IPV4_GROUP, b"to all")

    async def listens() -> None:
        heard = Heard()
        with contextlib.closing(listening(heard)) as ours:
            ours.look()
            is_listening.set()
            assert await hears(heard) == (b"to all", address(0))

    run_on_lan(speaks, listens)


def test_only_the_address_that_we_may_use() -> None:
    async def looks() -> None:
        with contextlib.closing(listening(Heard(), address(0))) as ours:
            assert ours.look()
            assert [ours.send(group, b"x") for group in GROUPS] == [1, 0]
            assert ours.is_neighbour("10.1.1.1")
            assert ours.is_neighbour("fe80::1")
            assert not ours.is_neighbour("127.0.0.1")
            assert not ours.is_neighbour("8.8.8.8")
        with contextlib.closing(listening(Heard(), "127.0.0.1")) as ours:
            assert not ours.look()
            assert [ours.send(group, b"x") for group in GROUPS] == [0, 0]

    async def waits() -> None:
        return

    run_on_lan(looks, waits)


def test_interfaces_come_and_go() -> None:
    """A network of public addresses has neighbours, too."""

    async def looks() -> None:
        with contextlib.closing(listening(Heard())) as ours:
            assert ours.look()
            assert not ours.is_neighbour("203.0.113.77")
            ip("address", "add", "203.0.113.5/24", "dev", INTERFACE)
            assert ours.look()
            assert ours.is_neighbour("203.0.113.77")
            assert not ours.is_neighbour("203.0.114.77")
            ip("link", "del", INTERFACE)
            assert ours.send(IPV4_GROUP, b"x") == 0
            assert not ours.look()
            assert interfaces() == []

    async def waits() -> None:
        return

    run_on_lan(looks, waits)


def test_an_interface_that_was_made_anew_is_joined_again() -> None:
    async def near(tunnel: Tunnel) -> None:
        tunnel.up(1)
        route = Route(interface=TUNNEL)
        route.watch()
        changes = Changes(route)
        loop = asyncio.get_running_loop()
        with contextlib.closing(Multicast(loop, GROUPS, lambda *_: None, route)) as ours:
            assert ours.look()
            assert ours.send(IPV4_GROUP, b"x") == 1
            tunnel.down()
            await changes.one()
            assert ours.send(IPV4_GROUP, b"x") == 0
            tunnel.up(1)
            while route.waiting:
                await changes.one()
            assert ours.look()
            assert ours.send(IPV4_GROUP, b"x") == 1
        route.close()

    async def far(tunnel: Tunnel) -> None:
        tunnel.is_ready.set()
        await tunnel.is_over.wait()

    run_with_two_ways(near, far)
