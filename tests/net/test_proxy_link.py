"""How it stands with the proxy: told when it goes, when it comes, and when its relay does."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from engine.core.proxy_address import parse_proxy
from engine.errors import ProxyAuthError, ProxyError
from engine.net import proxy_link
from engine.net.proxied_route import ProxiedRoute
from engine.net.proxy_link import ProxyLink
from tests.fakes.proxies import FakeProxy, HttpProxy, SocksProxy, running_proxy

TIMEOUT_S = 20.0
MUCH = 100_000_000


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_link, "FIRST_AGAIN_S", 0.02)
    monkeypatch.setattr(proxy_link, "LAST_AGAIN_S", 0.05)


@contextlib.asynccontextmanager
async def _link(proxy: FakeProxy, *, user: str = "") -> AsyncIterator[ProxyLink]:
    address = replace(parse_proxy(proxy.url), user=user, password="x" if user else "")
    link = ProxiedRoute(address).link
    try:
        link.start()
        yield link
    finally:
        await link.close()


async def _until(link: ProxyLink, condition: Callable[[], bool]) -> None:
    changed = asyncio.Event()
    link.on_change.append(changed.set)
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():
            changed.clear()
            await changed.wait()
    link.on_change.remove(changed.set)


async def test_a_socks_proxy_comes_relays_goes_and_comes_back() -> None:
    async with running_proxy(SocksProxy()) as proxy, _link(proxy) as link:
        where = f"waiting for the proxy 127.0.0.1:{proxy.port}"
        assert link.waiting == where
        assert link.relay is None
        await _until(link, lambda: not link.waiting)
        first = link.relay
        assert first is not None
        assert first.host == "127.0.0.1"
        assert link.why_no_relay == ""

        told: list[object] = []
        link.on_change.append(lambda: told.append(link.relay))
        await proxy.stop()
        await _until(link, lambda: bool(link.waiting))
        assert link.waiting == f"{where}: Connection refused"
        assert link.relay is None
        assert told[0] is None, "the relay is given up at once"

        await proxy.start()
        await _until(link, lambda: link.relay is not None)
        assert link.waiting == ""


async def test_a_relay_that_ends_is_asked_for_anew_while_the_proxy_stays() -> None:
    async with running_proxy(SocksProxy()) as proxy, _link(proxy) as link:
        await _until(link, lambda: link.relay is not None)
        relays = [link.relay]
        waits: list[str] = []
        link.on_change.append(lambda: waits.append(link.waiting))
        for _ in range(3):
            proxy.associations[0].transport.abort()
            await _until(link, lambda: link.relay is None)
            assert link.why_no_relay == "the proxy ended its relay"
            await _until(link, lambda: link.relay is not None)
            relays.append(link.relay)
        assert len(set(relays)) == 4
        assert set(waits) == {""}, "TCP never had to wait"


async def test_a_proxy_without_relays_is_there_all_the_same() -> None:
    async with running_proxy(SocksProxy(relays=False)) as proxy, _link(proxy) as link:
        await _until(link, lambda: not link.waiting)
        assert link.relay is None
        assert link.why_no_relay == "the proxy relays no datagrams"
        # It goes; somebody who could not leave says so.
        await proxy.stop()
        link.failed(ProxyError("x"))
        await _until(link, lambda: bool(link.waiting))
        await proxy.start()
        await _until(link, lambda: not link.waiting)


async def test_an_http_proxy_is_looked_at_when_somebody_could_not_leave() -> None:
    async with running_proxy(HttpProxy()) as proxy, _link(proxy) as link:
        await _until(link, lambda: not link.waiting)
        assert link.why_no_relay == "an HTTP proxy carries no datagrams"
        looks = len(proxy.came)
        link.failed(ProxyError("a mood of it"))
        async with asyncio.timeout(TIMEOUT_S):
            while len(proxy.came) == looks:
                await asyncio.sleep(0)
        assert link.waiting == "", "it is there"
        await proxy.stop()
        link.failed(ProxyError("x"))
        await _until(link, lambda: bool(link.waiting))
        await proxy.start()
        await _until(link, lambda: not link.waiting)


async def test_a_refused_password_is_waited_with_and_told() -> None:
    proxy = SocksProxy(user="me", password="right")
    async with running_proxy(proxy), _link(proxy, user="me") as link:
        await _until(link, lambda: "user name" in link.waiting)
        assert link.waiting.endswith(": it does not accept the user name or the password")
        proxy.password = "x"
        await _until(link, lambda: not link.waiting)


async def test_an_http_proxy_says_so_only_to_who_leaves() -> None:
    proxy = HttpProxy(user="me", password="right")
    async with running_proxy(proxy), _link(proxy) as link:
        await _until(link, lambda: not link.waiting)
        link.failed(ProxyAuthError("it wants a user name and password"))
        assert link.waiting.endswith(": it wants a user name and password")
        await _until(link, lambda: not link.waiting)  # tried again after a while


async def test_one_that_takes_us_and_hangs_up_is_not_asked_without_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(proxy_link, "FIRST_AGAIN_S", 30.0)
    monkeypatch.setattr(proxy_link, "LAST_AGAIN_S", 30.0)
    async with running_proxy(SocksProxy()) as proxy, _link(proxy) as link:
        await _until(link, lambda: link.relay is not None)
        proxy.associations[0].transport.abort()
        await _until(link, lambda: link.relay is None)
        for _ in range(50):
            await asyncio.sleep(0.002)
        assert len(proxy.relay_exits) == 1
        link.look_now()  # as when the interface to it is there again
        await _until(link, lambda: link.relay is not None)


async def test_one_that_does_not_stop_talking_is_hung_up_on() -> None:
    """It must not keep the loop from its other work, either."""
    sent = 0

    def talk(server: socket.socket) -> None:
        nonlocal sent
        client, _ = server.accept()
        with client, contextlib.suppress(OSError):
            client.recv(16)
            client.sendall(b"\5\0")
            client.recv(16)
            client.sendall(b"\5\0\0\1\x7f\0\0\1\x04\x38")
            while sent < MUCH:
                sent += client.send(bytes(100_000))

    with socket.create_server(("127.0.0.1", 0)) as server:
        talking = asyncio.get_running_loop().run_in_executor(None, talk, server)
        link = ProxiedRoute(parse_proxy(f"socks5://127.0.0.1:{server.getsockname()[1]}")).link
        link.start()
        try:
            await _until(link, lambda: link.relay is not None)
            await _until(link, lambda: link.relay is None)
            await talking
        finally:
            await link.close()
    assert sent < MUCH
