"""PCP and NAT-PMP with a router on loopback, which loses, refuses and gives other ports."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from engine.discovery.port_mapping import Carrier, MapRequest
from engine.errors import GatewayError
from engine.net import pmp_gateway
from engine.net.pmp_gateway import PmpGateway
from engine.net.route import Route
from tests.fakes.router import OUTSIDE, PmpRouter

TCP = MapRequest(Carrier.TCP, 6881, 6881, 3600)
UDP = MapRequest(Carrier.UDP, 6881, 6881, 3600)


@contextlib.asynccontextmanager
async def _meeting(router: PmpRouter) -> AsyncIterator[PmpGateway]:
    await router.start()
    gateway = PmpGateway.at("127.0.0.1", Route(), router.port)
    try:
        yield gateway
    finally:
        await gateway.close()
        router.stop()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pmp_gateway, "_FIRST_WAIT_S", 0.05)


@pytest.mark.parametrize("speaks", ["PCP", "NAT-PMP"])
async def test_ports_are_mapped_renewed_and_given_back(speaks: str) -> None:
    router = PmpRouter(speaks=[speaks], taken=[6881], lifetime_s=120)
    async with _meeting(router) as gateway:
        for request in (TCP, UDP, TCP):
            mapped = await gateway.map(request)
            assert (mapped.external_port, mapped.lifetime_s) == (6882, 120)
            assert mapped.internal_port == 6881
        assert (gateway.name, gateway.external_host) == (speaks, OUTSIDE)
        assert router.entries == {("TCP", 6882, 6881): 3600, ("UDP", 6882, 6881): 3600}
        for carrier in Carrier:
            await gateway.map(MapRequest(carrier, 6881, 6882, 0))
        assert not router.entries


async def test_what_is_lost_is_asked_again() -> None:
    router = PmpRouter(loses=2)
    async with _meeting(router) as gateway:
        assert (await gateway.map(TCP)).external_port == 6881
        assert len(router.requests) == 3
        assert len({bytes(request) for request in router.requests}) == 1


async def test_a_router_that_says_nothing_to_pcp_is_asked_by_nat_pmp() -> None:
    router = PmpRouter(is_silent_to_pcp=True)
    async with _meeting(router) as gateway:
        assert (await gateway.map(TCP)).external_port == 6881
        assert gateway.name == "NAT-PMP"
        await gateway.map(UDP)
        assert [request[0] for request in router.requests] == [2, 2, 2, 2, 0, 0, 0]


@pytest.mark.parametrize("speaks", ["PCP", "NAT-PMP"])
async def test_a_refusal_says_why(speaks: str) -> None:
    async with _meeting(PmpRouter(speaks=[speaks], refuses=2)) as gateway:
        with pytest.raises(GatewayError, match="it refuses"):
            await gateway.map(TCP)


async def test_nobody_there() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        gateway = PmpGateway.at("127.0.0.1", Route(), taken.getsockname()[1])
        with pytest.raises(GatewayError, match="does not answer"):
            await gateway.map(TCP)
        await gateway.close()


async def test_a_port_that_is_closed_ends_it_at_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    gateway = PmpGateway.at("127.0.0.1", Route(), port)
    with pytest.raises(GatewayError, match="refused"):
        await gateway.map(TCP)
    await gateway.close()


def test_no_way_to_it() -> None:
    with pytest.raises(GatewayError):
        PmpGateway.at("127.0.0.1", Route("::1"))
