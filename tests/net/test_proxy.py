"""Speaking with proxies over real sockets: whole, in pieces, and with those that do it wrong."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp import web

from engine.core.compact import Endpoint
from engine.core.proxy_address import ProxyAddress, Scheme, parse_proxy
from engine.errors import ProxyAuthError, ProxyError, ProxyRefusal
from engine.net import proxy as proxy_module
from engine.net.proxy import Proxy
from tests.fakes.proxies import EXIT, FakeProxy, HttpProxy, SocksProxy, running_proxy
from tests.net.scripted_proxy import scripted
from tests.net.web_server import WebServer

SOCKS_OK = b"\x05\x02\x01\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x38"
HTTP_OK = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 x\r\n\r\n"
OK = {Scheme.SOCKS5: SOCKS_OK, Scheme.HTTP: HTTP_OK}


async def _reach(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(sock, (host, port))
    except BaseException:
        sock.close()
        raise
    return sock


def _to(address: ProxyAddress) -> Proxy:
    return Proxy(address, _reach)


@pytest.mark.parametrize("kind", [SocksProxy, HttpProxy])
@pytest.mark.parametrize("user", ["", "me"])
async def test_what_is_said_at_one_end_comes_out_at_the_other(
    kind: type[FakeProxy], user: str
) -> None:
    heard: asyncio.Future[tuple[str, bytes]] = asyncio.get_running_loop().create_future()

    async def far_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.set_result((writer.get_extra_info("peername")[0], await reader.readexactly(5)))
        writer.write(b"world")
        writer.close()

    server = await asyncio.start_server(far_end, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    secret = "p:ass/wörd" if user else ""
    names = {"far.example": "127.0.0.1"}
    async with running_proxy(kind(names, user=user, password=secret)) as fake:
        address = ProxyAddress(Scheme(fake.scheme), "127.0.0.1", fake.port, user, secret)
        sock = await _to(address).open("far.example", port)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(sock, b"hello")
        assert await heard == (EXIT, b"hello")
        assert await loop.sock_recv(sock, 99) == b"world"
        sock.close()
        assert fake.asked == ["far.example"]
    server.close()


@pytest.mark.parametrize("scheme", list(Scheme))
@pytest.mark.parametrize("in_pieces", [False, True])
async def test_nothing_that_the_far_end_says_is_lost(scheme: Scheme, in_pieces: bool) -> None:
    """Also when it comes together with the end of the proxy's answer."""
    said = b"\r\n\r\nfrom the far end"
    async with scripted(scheme, OK[scheme] + said, in_pieces=in_pieces) as proxy:
        sock = await _to(proxy.address).open("h", 1)
        received = b""
        while len(received) < len(said):
            received += await asyncio.get_running_loop().sock_recv(sock, 99)
        assert received == said
        sock.close()


@pytest.mark.parametrize("scheme", list(Scheme))
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
async def test_one_that_hangs_up_in_the_middle(scheme: Scheme, share: float) -> None:
    part = OK[scheme][: int(share * len(OK[scheme]))]
    async with scripted(scheme, part, stays=False) as proxy:
        with pytest.raises(ProxyError):
            await _to(proxy.address).open("h", 1)


async def test_an_answer_without_an_end() -> None:
    async with scripted(Scheme.HTTP, b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 50_000) as proxy:
        with pytest.raises(ProxyError, match="no end"):
            await _to(proxy.address).open("h", 1)


@pytest.mark.parametrize("scheme", list(Scheme))
async def test_one_that_says_nothing(scheme: Scheme, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_module, "CONNECT_TIMEOUT_S", 0.05)
    monkeypatch.setattr(proxy_module, "ANSWER_TIMEOUT_S", 0.05)
    async with scripted(scheme, b"") as proxy:
        with pytest.raises(ProxyError, match="no answer within"):
            await _to(proxy.address).open("h", 1)


@pytest.mark.parametrize("scheme", list(Scheme))
async def test_one_that_is_not_there(scheme: Scheme) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    proxy = _to(ProxyAddress(scheme, "127.0.0.1", port))
    with pytest.raises(ProxyError, match="Connection refused"):
        await proxy.probe()
    with pytest.raises(ProxyError, match="Connection refused"):
        await proxy.open("h", 1)


@pytest.mark.parametrize("kind", [SocksProxy, HttpProxy])
async def test_a_wrong_password_is_told_apart(kind: type[FakeProxy]) -> None:
    async with running_proxy(kind(user="me", password="right")) as fake:
        for who in ("", "me:wr0ng@", "you:right@"):
            address = parse_proxy(f"{fake.scheme}://{who}127.0.0.1:{fake.port}")
            with pytest.raises(ProxyAuthError) as caught:
                await _to(address).open("127.0.0.1", 1)
            assert "wr0ng" not in str(caught.value)
        assert fake.connected == []


@pytest.mark.parametrize(
    ("kind", "why"), [(SocksProxy, "connection refused"), (HttpProxy, "HTTP 502")]
)
async def test_a_target_that_cannot_be_reached_is_no_fault_of_the_proxy(
    kind: type[FakeProxy], why: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    async with running_proxy(kind()) as fake:
        with pytest.raises(ProxyRefusal, match=why):
            await _to(parse_proxy(fake.url)).open("127.0.0.1", port)
        with pytest.raises(ProxyRefusal):
            await _to(parse_proxy(fake.url)).open("unknown.example", port)
        await _to(parse_proxy(fake.url)).probe()


async def test_a_web_server_is_no_proxy() -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response()

    server = WebServer(handler)
    await server.start()
    try:
        with pytest.raises(ProxyError):
            await _to(ProxyAddress(Scheme.SOCKS5, "127.0.0.1", server.port)).probe()
    finally:
        await server.stop()


# ── relays ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("told", "where"),
    [
        (b"\x01\x7f\x00\x00\x05\x04\x38", Endpoint("127.0.0.5", 1080)),
        (b"\x01\x00\x00\x00\x00\x04\x38", Endpoint("127.0.0.1", 1080)),
        (b"\x04" + bytes(16) + b"\x04\x38", Endpoint("127.0.0.1", 1080)),
        (b"\x01\x0a\x00\x00\x01\x04\x38", Endpoint("10.0.0.1", 1080)),
    ],
)
async def test_where_a_relay_is(told: bytes, where: Endpoint) -> None:
    async with scripted(Scheme.SOCKS5, b"\x05\x00\x05\x00\x00" + told) as proxy:
        sock, relay = await _to(proxy.address).associate()
        assert relay == where
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        sock.close()


@pytest.mark.parametrize(
    ("answer", "stays"),
    [
        (b"\x05\x00\x05\x07\x00\x01" + bytes(6), True),
        (b"\x05\x00\x05\x02\x00\x01" + bytes(6), True),
        (b"\x05\x00\x05\x00\x00\x03\x05relay\x04\x38", True),
        (b"\x05\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00", True),
        (b"\x05\x00\x05\x00\x00\x09" + bytes(20), True),
        (b"\x05\x00\x04\x00\x00\x01" + bytes(6), True),
        (b"\x05\x00", False),
    ],
)
async def test_one_that_relays_nothing_is_still_a_proxy(answer: bytes, stays: bool) -> None:
    async with scripted(Scheme.SOCKS5, answer, stays=stays) as proxy:
        with pytest.raises(ProxyRefusal):
            await _to(proxy.address).associate()


@pytest.mark.parametrize(
    ("told", "proxy", "relay"),
    [
        ("192.0.2.9", "192.0.2.1", "192.0.2.9"),
        ("192.0.2.9", "10.0.0.1", "192.0.2.9"),
        ("10.0.0.9", "10.0.0.1", "10.0.0.9"),
        ("2001:db8::9", "192.0.2.1", "2001:db8::9"),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "192.0.2.1", "192.0.2.1"),
        ("::", "192.0.2.1", "192.0.2.1"),
        ("127.0.0.1", "10.0.0.1", "10.0.0.1"),
        ("10.0.0.9", "192.0.2.1", "192.0.2.1"),
        ("fd00::9", "2001:db8::1", "2001:db8::1"),
        ("224.0.0.251", "10.0.0.1", "10.0.0.1"),
        ("255.255.255.255", "192.0.2.1", "192.0.2.1"),
        ("ff02::fb", "fe80::1%eth0", "fe80::1%eth0"),
    ],
)
def test_a_relay_is_never_a_group_nor_somebody_of_our_own_network(
    told: str, proxy: str, relay: str
) -> None:
    assert proxy_module._from_here(Endpoint(told, 1081), proxy) == Endpoint(relay, 1081)
