"""Names that only the relay looks up: who answers has the address, and guesses do not count."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from engine.core.compact import Endpoint
from engine.core.proxy_address import parse_proxy
from engine.errors import NoRouteError
from engine.net import relay_names
from engine.net.proxied_route import ProxiedRoute
from engine.net.udp_endpoint import UdpEndpoint
from tests.fakes.proxies import EXIT, SocksProxy, running_proxy


class _Node(asyncio.DatagramProtocol):
    """Answers each question with what a test tells it."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = answers
        self.came_from: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.came_from.append(address[0])
        for answer in self._answers:
            self._transport.sendto(answer, address)  # type: ignore[attr-defined]


@contextlib.asynccontextmanager
async def _relayed(*answers: bytes) -> AsyncIterator[tuple[UdpEndpoint, _Node, SocksProxy, int]]:
    loop = asyncio.get_running_loop()
    transport, node = await loop.create_datagram_endpoint(
        lambda: _Node(*answers), local_addr=("127.0.0.1", 0)
    )
    async with running_proxy(SocksProxy({"node.example": "127.0.0.1"})) as proxy:
        route = ProxiedRoute(parse_proxy(proxy.url))
        sock, relay = await route.link.proxy.associate()
        udp = UdpEndpoint(loop, route)
        udp.relay_by(route.to_relay(relay), relay)
        try:
            yield udp, node, proxy, transport.get_extra_info("sockname")[1]
        finally:
            udp.close()
            sock.close()
            transport.close()


async def test_who_answers_is_there() -> None:
    async with _relayed(b"wrong", b"right") as (udp, node, proxy, port):
        found = await relay_names.find(
            udp, "node.example", port, b"?", lambda answer: answer == b"right"
        )
        assert found == Endpoint("127.0.0.1", port)
        assert node.came_from == [EXIT]
        assert proxy.asked == ["node.example"]
        assert udp.seekers == []


async def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_names, "WAITS_S", (0.02, 0.02, 0.02))
    async with _relayed(b"wrong") as (udp, node, _, port):
        with pytest.raises(NoRouteError, match=r"nobody answers at node\.example"):
            await relay_names.find(udp, "node.example", port, b"?", lambda _: False)
        assert len(node.came_from) == 3
        assert udp.seekers == []
        udp.close()
        with pytest.raises(NoRouteError):
            await relay_names.find(udp, "node.example", port, b"?", lambda _: True)
