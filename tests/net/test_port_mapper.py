"""The port of an engine at its router: mapped in the background, renewed, moved, given back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from engine.errors import GatewayError
from engine.net import pmp_gateway, port_mapper
from engine.net.gateway import Gateway
from engine.net.pmp_gateway import PmpGateway
from engine.net.port_mapper import Mapping, MappingState, PortMapper
from engine.net.route import Route
from engine.net.upnp_gateway import UpnpGateway
from tests.fakes.router import OUTSIDE, PmpRouter, UpnpRouter

PATIENCE_S = 20.0


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pmp_gateway, "_FIRST_WAIT_S", 0.02)


def _spawn(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(coroutine)


def _of(*routers: PmpRouter | UpnpRouter) -> Callable[[Route], AsyncGenerator[Gateway, None]]:
    async def gateways(route: Route) -> AsyncGenerator[Gateway, None]:
        for router in routers:
            if isinstance(router, PmpRouter):
                yield PmpGateway.at("127.0.0.1", route, router.port)
            else:
                yield await UpnpGateway.at(router.url, route)

    return gateways


@contextlib.asynccontextmanager
async def _mapping(
    *routers: PmpRouter | UpnpRouter, port: Callable[[], int] = lambda: 6881
) -> AsyncIterator[tuple[PortMapper, Callable[[Callable[[Mapping], bool]], Any]]]:
    for router in routers:
        await router.start()
    mapper = PortMapper(Route(), _spawn, port, gateways=_of(*routers))
    changed = asyncio.Event()
    mapper.on_change.append(changed.set)

    async def until(condition: Callable[[Mapping], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition(mapper.mapping):
                changed.clear()
                await changed.wait()

    mapper.start()
    try:
        yield mapper, until
    finally:
        await mapper.stop()
        for router in routers:
            stopped = router.stop()
            if stopped is not None:
                await stopped


def _is_mapped(mapping: Mapping) -> bool:
    return mapping.state is MappingState.MAPPED


@pytest.mark.parametrize("make", [PmpRouter, UpnpRouter])
async def test_both_carriers_are_mapped_and_given_back_at_the_end(
    make: Callable[[], PmpRouter | UpnpRouter],
) -> None:
    router = make()
    async with _mapping(router) as (mapper, until):
        await until(_is_mapped)
        assert mapper.mapping.external_host == OUTSIDE
        assert mapper.mapping.external_port == 6881
        assert {entry[0] for entry in router.entries} == {"TCP", "UDP"}
        await mapper.stop()
        assert not router.entries
        assert mapper.mapping == Mapping()


async def test_another_port_is_taken_for_both() -> None:
    router = PmpRouter(taken=[6881])
    async with _mapping(router) as (mapper, until):
        await until(_is_mapped)
        assert mapper.mapping.external_port == 6882
        assert set(router.entries) == {("TCP", 6882, 6881), ("UDP", 6882, 6881)}


async def test_mappings_are_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port_mapper, "_LEAST_S", 0.01)
    router = PmpRouter(lifetime_s=1)
    async with _mapping(router) as (_, until):
        await until(_is_mapped)
        router.entries.clear()  # switched off and on
        async with asyncio.timeout(PATIENCE_S):
            while len(router.entries) < 2:
                await asyncio.sleep(0.01)


async def test_a_port_that_changed_is_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port_mapper, "_LEAST_S", 0.01)
    monkeypatch.setattr(port_mapper, "_MOST_S", 0.02)
    ports = [6881]
    router = PmpRouter()
    async with _mapping(router, port=lambda: ports[0]) as (_, until):
        await until(_is_mapped)
        ports[0] = 7000
        await until(lambda mapping: mapping.external_port == 7000)
        assert set(router.entries) == {("TCP", 7000, 7000), ("UDP", 7000, 7000)}


async def test_who_refuses_is_followed_by_the_next() -> None:
    refusing, willing = PmpRouter(refuses=2), UpnpRouter()
    async with _mapping(refusing, willing) as (mapper, until):
        await until(_is_mapped)
        assert mapper.mapping.protocol == "UPnP"
        assert not refusing.entries


async def test_a_failure_says_why_and_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port_mapper, "_RETRY_S", 0.05)
    router = PmpRouter(refuses=2)
    async with _mapping(router) as (mapper, until):
        await until(lambda mapping: mapping.state is MappingState.FAILED)
        assert mapper.mapping.error == "PCP: it refuses: not authorized"
        router.refuses = 0
        await until(_is_mapped)


async def test_no_router_at_all() -> None:
    async with _mapping() as (mapper, until):
        await until(lambda mapping: mapping.state is MappingState.FAILED)
        assert mapper.mapping.error == "no router answers"


async def test_a_search_that_fails_costs_nothing() -> None:
    async def gateways(_: Route) -> AsyncGenerator[Gateway, None]:
        raise GatewayError("no search by multicast: Network is unreachable")
        yield

    mapper = PortMapper(Route(), _spawn, lambda: 1, gateways=gateways)
    changed = asyncio.Event()
    mapper.on_change.append(lambda: mapper.mapping.error and changed.set())
    mapper.start()
    await asyncio.wait_for(changed.wait(), PATIENCE_S)
    assert "unreachable" in mapper.mapping.error
    await mapper.stop()


async def test_the_end_waits_for_no_router_that_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port_mapper, "STOP_TIMEOUT_S", 0.1)
    monkeypatch.setattr(pmp_gateway, "_FIRST_WAIT_S", 60.0)
    router = PmpRouter()
    async with _mapping(router) as (mapper, until):
        await until(_is_mapped)
        router.loses = 1000
        async with asyncio.timeout(20):
            await mapper.stop()


async def test_what_was_never_started_need_not_be_stopped() -> None:
    mapper = PortMapper(Route(), _spawn, lambda: 1)
    await mapper.stop()
    assert mapper.mapping.state is MappingState.OFF


def test_how_it_stands_in_words() -> None:
    words = [
        str(Mapping()),
        str(Mapping(MappingState.LOOKING)),
        str(Mapping(MappingState.MAPPED, "PCP", "203.0.113.5", 6881)),
        str(Mapping(MappingState.FAILED, error="no router answers")),
    ]
    assert words == ["", "looking for the router", "port 6881 by PCP", "none: no router answers"]


async def test_another_way_out_means_another_router() -> None:
    first, second = PmpRouter(), PmpRouter()
    async with _mapping(first) as (mapper, until):
        await until(_is_mapped)
        await second.start()
        mapper._gateways = _of(second)
        mapper.look_again()
        await until(lambda mapping: mapping.state is MappingState.LOOKING)
        await until(_is_mapped)
        assert len(second.entries) == 2
        await mapper.stop()
        assert not second.entries
        second.stop()
