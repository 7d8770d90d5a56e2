"""Fetching a .torrent: the body, or a SourceError that names the URL; bounded in every way."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from engine.core.proxy_address import parse_proxy
from engine.errors import SourceError
from engine.net import web as web_module
from engine.net.proxied_route import ProxiedRoute
from engine.net.route import Route
from engine.net.web import fetch
from tests.net.web_server import Handler, WebServer

LIMIT = 100_000


@contextlib.asynccontextmanager
async def _serving(handler: Handler) -> AsyncIterator[WebServer]:
    server = WebServer(handler)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def test_the_body_comes_whole() -> None:
    body = bytes(range(256)) * 300

    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=body)

    async with _serving(handler) as server:
        assert await fetch(server.url("/a.torrent"), Route(), limit_bytes=LIMIT) == body
        assert await fetch(server.url("/a.torrent"), Route(), limit_bytes=len(body)) == body
        with pytest.raises(SourceError, match=f"larger than {len(body) - 1} bytes"):
            await fetch(server.url("/a.torrent"), Route(), limit_bytes=len(body) - 1)


async def test_a_compressed_bomb_is_cut_off() -> None:
    bomb = gzip.compress(bytes(50 << 20))

    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    async with _serving(handler) as server:
        with pytest.raises(SourceError, match="larger"):
            await fetch(server.url("/"), Route(), limit_bytes=LIMIT)


async def test_redirects_are_followed_up_to_a_limit() -> None:
    async def handler(request: web.Request) -> web.Response:
        left = int(request.match_info["tail"])
        if left:
            raise web.HTTPFound(f"/{left - 1}")
        return web.Response(body=b"found")

    async with _serving(handler) as server:
        assert await fetch(server.url("/4"), Route(), limit_bytes=LIMIT) == b"found"
        with pytest.raises(SourceError) as caught:
            await fetch(server.url("/90"), Route(), limit_bytes=LIMIT)
        assert server.url("/90") in str(caught.value)
        assert len(server.requests) < 20


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://127.0.0.1/x", "unix:/x"])
async def test_a_redirect_does_not_leave_the_web(where: str) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": where})

    async with _serving(handler) as server:
        with pytest.raises(SourceError):
            await fetch(server.url("/"), Route(), limit_bytes=LIMIT)


async def test_what_the_server_refuses_is_said() -> None:
    async def handler(_: web.Request) -> web.Response:
        raise web.HTTPForbidden

    async with _serving(handler) as server:
        with pytest.raises(SourceError, match="the server answered 403 Forbidden"):
            await fetch(server.url("/"), Route(), limit_bytes=LIMIT)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/x",
        "http://[::1/x",
        "http://[oops]/x",
        "http://127.0.0.1:99999/",
        "http:///x",
        "http://name.invalid/",
        "http://a b/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "",
        "http://" + "a" * 300 + "/",
    ],
)
async def test_what_is_no_working_address_is_a_source_error(url: str) -> None:
    with pytest.raises(SourceError) as caught:
        await fetch(url, Route(), limit_bytes=LIMIT)
    assert url in str(caught.value)


async def test_a_closed_port_is_said_in_plain_words() -> None:
    with pytest.raises(
        SourceError, match=r"^http://127\.0\.0\.1:1/a: cannot connect: Connection refused$"
    ):
        await fetch("http://127.0.0.1:1/a", Route(), limit_bytes=LIMIT)


async def test_garbage_instead_of_http() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"\x13BitTorrent protocol")
        writer.close()

    server = await asyncio.start_server(script, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(SourceError):
            await fetch(f"http://127.0.0.1:{port}/", Route(), limit_bytes=LIMIT)


async def test_silence_is_a_source_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_module, "TIMEOUT_S", 0.05)
    hold = asyncio.Event()

    async def handler(_: web.Request) -> web.Response:
        await hold.wait()
        return web.Response()

    async with _serving(handler) as server:
        with pytest.raises(SourceError, match="no answer"):
            await fetch(server.url("/"), Route(), limit_bytes=LIMIT)
        hold.set()


async def test_it_speaks_from_the_address_it_is_held_to() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(text=request.remote or "")

    async with _serving(handler) as server:
        seen = await fetch(server.url("/"), Route("127.0.0.3"), limit_bytes=LIMIT)
        assert seen == b"127.0.0.3"
        with pytest.raises(SourceError):
            await fetch(server.url("/"), Route("192.0.2.1"), limit_bytes=LIMIT)


async def test_a_proxy_that_is_not_there_is_what_is_wrong() -> None:
    route = ProxiedRoute(parse_proxy("socks5://me:s3cret@127.0.0.1:9"))
    with pytest.raises(SourceError) as caught:
        await fetch("http://web.example/a.torrent", route, limit_bytes=LIMIT)
    assert str(caught.value) == (
        "http://web.example/a.torrent: cannot connect: the proxy 127.0.0.1:9: Connection refused"
    )
