"""The way out through a proxy: what goes by it, and that there is none beside it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from engine.core.compact import Endpoint
from engine.core.proxy_address import parse_proxy
from engine.errors import InputError, NoRouteError, ProxyError, ProxyRefusal
from engine.net.http_connector import connector
from engine.net.proxied_route import ProxiedRoute
from engine.net.route import Route
from tests.fakes.name_server import name_server
from tests.fakes.proxies import EXIT, FakeProxy, HttpProxy, SocksProxy, running_proxy
from tests.net.web_server import WebServer

BOTH = pytest.mark.parametrize("kind", [SocksProxy, HttpProxy])
NOWHERE = "socks5://127.0.0.1:9"


@contextlib.asynccontextmanager
async def _web() -> AsyncIterator[WebServer]:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(text=f"{request.remote} asks {request.host}")

    server = WebServer(handler)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@BOTH
async def test_connections_come_from_the_proxy(kind: type[FakeProxy]) -> None:
    async with running_proxy(kind()) as proxy:
        route = ProxiedRoute(parse_proxy(proxy.url), "127.0.0.3")
        with socket.create_server(("127.0.0.1", 0)) as server:
            far = Endpoint(*server.getsockname())
            sock = await route.connect(far)
            accepted, source = server.accept()
            accepted.close()
            assert source[0] == EXIT
            assert sock.getpeername() == ("127.0.0.1", proxy.port)
            sock.close()
        assert proxy.came == ["127.0.0.3"], "to the proxy it leaves as a Route does"
        with pytest.raises(ProxyRefusal):
            await route.connect(far)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_nothing_is_made_that_could_leave_beside_it(family: int) -> None:
    route = ProxiedRoute(parse_proxy(NOWHERE))
    for make in (route.stream, route.datagram, route.unbound):
        with pytest.raises(NoRouteError, match="nothing leaves but through the proxy"):
            make(family)
    for listen in (route.listening, route.datagrams):
        with pytest.raises(InputError, match="nobody is let in"):
            listen(0)
    assert route.can_reach(Endpoint("127.0.0.1", 1))
    assert route.can_reach(Endpoint("::1", 1))


def test_every_door_of_a_route_is_shut_or_led_through() -> None:
    """A door that is made later in Route must be thought of in ProxiedRoute as well."""
    public = {name for name, what in vars(Route).items() if name[0] != "_" and callable(what)}
    goes_on = {"watch", "close", "accepted", "listening", "datagrams"}
    assert public - goes_on <= set(vars(ProxiedRoute))
    assert "_on_port" in vars(ProxiedRoute)


async def test_a_proxy_that_is_not_there_is_named() -> None:
    route = ProxiedRoute(parse_proxy(NOWHERE.replace("//", "//me:secret@")))
    with pytest.raises(ProxyError, match=r"the proxy 127\.0\.0\.1:9: Connection refused") as caught:
        await route.connect(Endpoint("127.0.0.1", 1))
    assert "secret" not in str(caught.value)


async def test_no_name_is_looked_up_but_that_of_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    loop = asyncio.get_running_loop()
    look_up = loop.getaddrinfo

    async def watched(host: str, *arguments: object, **named: object) -> object:
        asked.append(host)
        return await look_up(host, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "getaddrinfo", watched)
    async with running_proxy(SocksProxy({"far.example": "127.0.0.1"})) as proxy:
        route = ProxiedRoute(parse_proxy(f"socks5://localhost:{proxy.port}"))
        with pytest.raises(NoRouteError, match="only the proxy looks up names"):
            await route.look_up("far.example", 5, socket.SOCK_STREAM)
        (found,) = await route.look_up("0::1", 5, socket.SOCK_DGRAM)
        assert found == (socket.AF_INET6, ("::1", 5))
        with contextlib.suppress(ProxyRefusal):
            await route.connect_to_name("far.example", 1)
        assert proxy.asked == ["far.example"]
    assert asked == ["localhost"]


@BOTH
@pytest.mark.parametrize("name", ["127.0.0.1", "web.example"])
async def test_requests_go_through_it_with_their_names(kind: type[FakeProxy], name: str) -> None:
    async with running_proxy(kind({"web.example": "127.0.0.1"})) as proxy, _web() as server:
        route = ProxiedRoute(parse_proxy(proxy.url))
        async with aiohttp.ClientSession(connector=connector(route)) as session:
            for _ in range(2):
                answer = await session.get(f"http://{name}:{server.port}/")
                assert await answer.text() == f"{EXIT} asks {name}:{server.port}"
            assert proxy.connected == [(name, server.port)], "a connection is used again"
            await proxy.stop()
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"http://{name}:{server.port}/")
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get(f"http://{name}:{server.port}/")


async def test_names_that_must_become_addresses_are_asked_for_through_it() -> None:
    """By TCP, of the name servers that the user names."""
    asked = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(writer.get_extra_info("peername")[0])
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    where = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with running_proxy(SocksProxy()) as proxy, name_server({}) as (direct, _):
        route = ProxiedRoute(parse_proxy(proxy.url), name_servers=(where,))
        assert route.looks_up_names
        with pytest.raises(OSError, match="no name server answers"):
            await route.look_up("far.example", 5, socket.SOCK_DGRAM)
        assert set(asked) == {EXIT}
        assert direct.asked == []
    server.close()
