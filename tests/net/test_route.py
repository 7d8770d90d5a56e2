"""The way out: from one address or not at all, in its family only."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import Iterator

import pytest

from engine.core.compact import Endpoint
from engine.errors import InputError, NoRouteError
from engine.net import route as route_module
from engine.net.route import Route
from tests.fakes.lan import INTERFACE, Flag, ip, run_on_lan
from tests.fakes.two_ways import Changes
from tests.tracker.asking import needs_ipv6

FAMILIES = (socket.AF_INET, socket.AF_INET6)


async def test_free_it_leaves_as_the_system_likes() -> None:
    route = Route()
    assert route.family == socket.AF_UNSPEC
    assert route.can_reach(Endpoint("127.0.0.1", 1))
    assert route.can_reach(Endpoint("::1", 1))
    with socket.create_server(("127.0.0.1", 0)) as server:
        sock = await route.connect(Endpoint(*server.getsockname()))
        assert not sock.getblocking()
        sock.close()


@pytest.mark.parametrize("host", ["127.0.0.3", pytest.param("::1", marks=needs_ipv6)])
def test_held_to_an_address_every_socket_has_it(host: str) -> None:
    route = Route(host)
    made = [route.stream(route.family), route.datagram(route.family)]
    made += route.listening(0) + route.datagrams(0)
    assert {sock.getsockname()[0] for sock in made} == {host}
    assert len(made) == 4
    for sock in made:
        sock.close()


@pytest.mark.parametrize(
    ("host", "family", "far"),
    [
        ("127.0.0.1", socket.AF_INET6, Endpoint("::1", 9)),
        ("0.0.0.0", socket.AF_INET6, Endpoint("::1", 9)),
        ("::1", socket.AF_INET, Endpoint("127.0.0.1", 9)),
    ],
)
async def test_nothing_leaves_in_the_other_family(host: str, family: int, far: Endpoint) -> None:
    route = Route(host)
    assert not route.can_reach(far)
    with pytest.raises(NoRouteError, match="not reachable from"):
        await route.connect(far)
    for make in (route.stream, route.datagram):
        with pytest.raises(OSError, match="not reachable from"):
            make(family)


async def test_an_address_that_is_not_ours_fails_closed() -> None:
    route = Route("192.0.2.1")
    with pytest.raises(OSError, match="assign"):
        await route.connect(Endpoint("127.0.0.1", 9))
    with pytest.raises(OSError, match="assign"):
        route.datagram(socket.AF_INET)
    for make in (route.listening, route.datagrams):
        with pytest.raises(InputError, match=r"192\.0\.2\.1"):
            make(0)


async def test_names_are_looked_up_in_its_family() -> None:
    found = await Route("127.0.0.1").look_up("localhost", 5, socket.SOCK_STREAM)
    assert {address.sockaddr for address in found} == {("127.0.0.1", 5)}
    free = await Route().look_up("localhost", 5, socket.SOCK_DGRAM)
    assert ("127.0.0.1", 5) in {address.sockaddr for address in free}


@needs_ipv6
@pytest.mark.parametrize("kind", ["listening", "datagrams"])
def test_one_port_in_both_families(kind: str) -> None:
    v4, v6 = getattr(Route(), kind)(0)
    assert (v4.family, v6.family) == FAMILIES
    assert v4.getsockname()[1] == v6.getsockname()[1]
    v4.close()
    v6.close()


@contextlib.contextmanager
def _no_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_while_there_is_no_descriptor_nothing_is_ended_and_no_news_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(route_module, "_LOOK_S", 0.05)
    is_idle = Flag()

    async def looks() -> None:
        await is_idle.wait()
        route = Route(interface=INTERFACE)
        route.watch()
        changes = Changes(route)
        told: list[object] = []
        route.on_change.append(told.append)
        ip("address", "add", "192.0.2.1/32", "dev", INTERFACE)
        with _no_descriptors():
            async with asyncio.timeout(20):
                while route._timer is None:
                    await asyncio.sleep(0)
            assert not route.waiting
            assert not told
        async with asyncio.timeout(20):
            while route._timer is not None:
                await asyncio.sleep(0)
        assert not route.waiting
        ip("link", "set", INTERFACE, "down")
        with _no_descriptors():
            async with asyncio.timeout(20):
                while route._timer is None:
                    await asyncio.sleep(0)
        await changes.one()
        assert route.waiting == f"waiting for {INTERFACE}"
        assert told
        route.close()

    async def waits() -> None:
        is_idle.set()

    run_on_lan(looks, waits)
