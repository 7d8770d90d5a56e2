"""The right client for a URL, and nothing but TrackerError."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from engine.core.identifiers import InfoHash, PeerId
from engine.discovery.announce import AnnounceRequest, SwarmCounts
from engine.errors import TrackerError, TrackerReplyError, TrackerUnreachable
from engine.net.route import Route
from engine.net.tracker_client import TrackerClient
from tests.net.udp_tracker_server import UdpTrackerServer
from tests.net.web_server import WebServer

HASH = InfoHash(bytes(20))
REQUEST = AnnounceRequest(info_hash=HASH, peer_id=PeerId(bytes(20)), port=6881)


@pytest.fixture
async def client() -> AsyncIterator[TrackerClient]:
    made = TrackerClient(Route("127.0.0.1"))
    yield made
    await made.close()


async def test_http_by_its_scheme(client: TrackerClient) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path == "/scrape":
            counts = b"d8:completei1e10:downloadedi3e10:incompletei2ee"
            return web.Response(body=b"d5:filesd20:" + HASH + counts + b"ee")
        return web.Response(body=b"d8:intervali900ee")

    server = WebServer(handler)
    await server.start()
    try:
        url = server.url("/announce")
        for each in (url, url.replace("http", "HTTP"), f" {url}\n"):
            assert (await client.announce(each, REQUEST)).interval_s == 900
        assert (await client.scrape(url, [HASH])).swarms == {HASH: SwarmCounts(1, 2, 3)}
    finally:
        await server.stop()


async def test_udp_by_its_scheme(client: TrackerClient) -> None:
    server = UdpTrackerServer()
    await server.start()
    try:
        assert (await client.announce(server.url.upper(), REQUEST)).interval_s == 1800
        assert (await client.scrape(server.url, [HASH])).swarms == {HASH: SwarmCounts(0, 3, 2)}
        assert {host for host, _ in server.senders} == {"127.0.0.1"}
    finally:
        server.stop()


@pytest.mark.parametrize(
    "url",
    ["", "wss://tracker.example/", "ftp://t/announce", "t:80", "http:", "http://", "udp:", "udp://t",
     "https://[/announce", "http://127.0.0.1:0x1/announce", "\x00", "http://\x00/announce",
     "http://a\x7fb/announce", "udp://\u2024\u2024:1", "http://\u2024\u2024/announce"],
)  # fmt: skip
async def test_any_other_url_is_an_error_of_the_tracker(client: TrackerClient, url: str) -> None:
    with pytest.raises(TrackerError):
        await client.announce(url, REQUEST)
    with pytest.raises(TrackerError):
        await client.scrape(url, [HASH])


async def test_an_unknown_scheme_is_named(client: TrackerClient) -> None:
    with pytest.raises(TrackerReplyError, match="'wss'"):
        await client.announce("wss://tracker.example/", REQUEST)


async def test_closing_closes_both(client: TrackerClient) -> None:
    await client.close()
    for url in ("http://127.0.0.1:9/announce", "udp://127.0.0.1:9"):
        with pytest.raises(TrackerUnreachable, match="closed"):
            await client.announce(url, REQUEST)
