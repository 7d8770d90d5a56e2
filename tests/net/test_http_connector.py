"""aiohttp leaves by the route: its sockets, its names, and neither in another family."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp import web

from engine.net.http_connector import connector
from engine.net.route import Route
from tests.net.web_server import WebServer


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
async def test_requests_come_from_the_routes_address(name: str) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(text=request.remote or "")

    server = WebServer(handler)
    await server.start()
    try:
        for host in ("127.0.0.3", None):
            async with aiohttp.ClientSession(connector=connector(Route(host))) as session:
                answer = await session.get(f"http://{name}:{server.port}/")
                assert await answer.text() == (host or "127.0.0.1")
        for host in ("192.0.2.1", "::1"):
            async with aiohttp.ClientSession(connector=connector(Route(host))) as session:
                with pytest.raises(aiohttp.ClientConnectorError):
                    await session.get(f"http://{name}:{server.port}/")
    finally:
        await server.stop()
