"""A session behind a proxy: it waits for it, uses nothing else, and goes on when it comes back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from engine.control.session_port import SessionPort
from engine.core.metainfo import Metainfo
from engine.core.proxy_address import parse_proxy
from engine.net import proxy_link
from engine.session.health import check_health
from engine.session.options import DhtOptions, SessionOptions
from engine.session.session import Session
from engine.torrent.lifecycle import State
from tests.end_to_end.rig import LOOPBACK, endpoint_of, running, seeding, until, until_state
from tests.fakes.lan import HAS_IPV6, INTERFACE, Flag, address, address6, ip, run_on_lan
from tests.fakes.proxies import FakeProxy, HttpProxy, SocksProxy, running_proxy
from tests.fakes.two_ways import FAR, PLAIN, TUNNEL, Tunnel, run_with_two_ways
from tests.fakes.wire_tap import WireTap
from tests.storage.torrents import sample

CONTENT = sample(3_000_000, 65_536)
SLOW = 400_000


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_link, "FIRST_AGAIN_S", 0.05)
    monkeypatch.setattr(proxy_link, "LAST_AGAIN_S", 0.1)


def behind(proxy: FakeProxy, **changes: object) -> SessionOptions:
    options = SessionOptions(
        proxy=parse_proxy(proxy.url.replace("//", "//me:s3cret@")),
        lsd=True,
        port_mapping=True,
        stop_timeout_s=2.0,
    )
    return replace(options, **changes)  # type: ignore[arg-type]


def _is_shut(session: Session) -> None:
    status = SessionPort(session, lambda: None).status()
    assert status.listen == []
    assert "s3cret" not in str(status)
    assert "me" not in status.way_out
    assert session.incoming.listener.endpoints == session.udp.endpoints == []
    assert not session.local_peers.is_on
    assert str(session.reaching.mapper.mapping) == ""


@pytest.mark.parametrize("kind", [SocksProxy, HttpProxy])
async def test_it_waits_for_the_proxy_and_follows_it(kind: type[FakeProxy], tmp_path: Path) -> None:
    CONTENT.store(tmp_path / "seed")
    metainfo = Metainfo(CONTENT.info)
    async with running_proxy(kind()) as proxy, running(LOOPBACK) as seed:
        await seeding(seed, metainfo, tmp_path / "seed")
        await proxy.stop()
        async with running(behind(proxy)) as session:
            # It is not there yet.
            session.set_limits(down=SLOW)
            port = SessionPort(session, lambda: None)
            torrent = await session.add(
                metainfo, save_path=tmp_path / "leech", peers=[endpoint_of(seed)]
            )
            await until_state(session, torrent, State.DOWNLOADING)
            why = f"waiting for the proxy 127.0.0.1:{proxy.port}: Connection refused"
            await until(session, lambda: session.route.waiting == why)
            row = port.row(torrent.info_hash.hex())
            assert row is not None
            assert row.reason == port.status().waiting == why
            assert port.status().way_out == f"{proxy.scheme}://127.0.0.1:{proxy.port}"
            checks = {check.name: check for check in await check_health(session)}
            assert not checks["ports"].is_ok
            assert checks["ports"].text == why
            _is_shut(session)

            # It comes.
            await proxy.start()
            await until(session, lambda: torrent.have.count > 2)
            assert {str(peer.address) for peer in port.peers(torrent.info_hash.hex())} == {
                str(endpoint_of(seed))
            }, "a peer has its own address, not that of the proxy"
            checks = {check.name: check for check in await check_health(session)}
            assert checks["ports"].is_ok
            _is_shut(session)

            # It goes in the middle of the download.
            await proxy.stop()
            await until(session, lambda: bool(session.route.waiting))
            await until(session, lambda: not torrent.live.peers.connected)
            had = torrent.have.count
            assert had < torrent.have.size
            _is_shut(session)

            # It comes back.
            await proxy.start()
            session.set_limits(down=0)
            await until_state(session, torrent, State.SEEDING)
            _is_shut(session)
    assert (tmp_path / "leech" / "t").read_bytes() == CONTENT.data


async def test_without_relays_it_says_why_there_is_no_udp() -> None:
    dht = DhtOptions(is_enabled=True, bootstrap=("127.0.0.1:9",))
    for proxy, why in (
        (HttpProxy(), "an HTTP proxy carries no datagrams"),
        (SocksProxy(relays=False), "the proxy relays no datagrams"),
    ):
        async with running_proxy(proxy), running(behind(proxy, dht=dht)) as session:
            await until(session, lambda: not session.route.waiting)
            status = SessionPort(session, lambda: None).status()
            assert status.way_out.endswith(f":{proxy.port} for TCP only ({why})")
            assert status.dht_nodes is None
            assert not session.udp.families


async def test_the_dht_ends_with_the_relay_and_begins_with_the_next() -> None:
    dht = DhtOptions(is_enabled=True, bootstrap=("127.0.0.1:9",))
    async with running_proxy(SocksProxy()) as proxy, running(behind(proxy, dht=dht)) as session:
        await until(session, lambda: session.dht.is_running)
        await until(session, lambda: ("127.0.0.1", 9) in proxy.datagrams)
        await proxy.stop()
        await until(session, lambda: not session.dht.is_running)
        assert not session.udp.families
        await proxy.start()
        await until(session, lambda: session.dht.is_running)


async def test_it_ends_while_the_proxy_is_not_there() -> None:
    proxy = SocksProxy()
    async with running_proxy(proxy):
        await proxy.stop()
        async with asyncio.timeout(20), running(behind(proxy)) as session:
            await until(session, lambda: "refused" in session.route.waiting)


def test_the_proxy_itself_is_reached_by_the_interface(tmp_path: Path) -> None:
    proxy = SocksProxy()
    proxy.host = FAR
    lost, cut_off = Flag(), Flag()
    seed_at = []

    async def far(tunnel: Tunnel) -> None:
        CONTENT.store(tmp_path / "far")
        async with running_proxy(proxy), running(replace(LOOPBACK, listen_host=FAR)) as seed:
            await seeding(seed, Metainfo(CONTENT.info), tmp_path / "far")
            seed_at.append(endpoint_of(seed))
            tunnel.is_ready.set()
            await lost.wait()
            await proxy.stop()  # as it does in time with clients that have vanished
            await proxy.start()
            cut_off.set()
            await tunnel.is_over.wait()

    async def near(tunnel: Tunnel) -> None:
        plain = WireTap(PLAIN)
        try:
            async with running(behind(proxy, interface=TUNNEL)) as session:
                session.set_limits(down=SLOW)
                torrent = await session.add(
                    Metainfo(CONTENT.info), save_path=tmp_path / "near", peers=seed_at
                )
                assert session.route.waiting == f"waiting for {TUNNEL}"
                assert session.route.way_out.endswith(f" through {TUNNEL}")
                tunnel.up(1)
                await until(session, lambda: torrent.have.count > 2)
                assert session.udp.families
                tunnel.down()
                await until(session, lambda: session.route.waiting == f"waiting for {TUNNEL}")
                await until(session, lambda: not torrent.live.peers.connected)
                await until(session, lambda: not session.udp.families)
                lost.set()
                await cut_off.wait()
                tunnel.up(7)
                session.set_limits(down=0)
                await until_state(session, torrent, State.SEEDING)
        finally:
            plain.finish()
        assert plain.flows == set()
        assert set(proxy.came) == {"10.88.0.1", "10.88.0.7"}

    run_with_two_ways(near, far)


@pytest.mark.skipif(not HAS_IPV6, reason="the kernel has no IPv6")
def test_the_socket_to_a_relay_of_the_other_family_follows_its_address() -> None:
    """What it was asked for by lives on meanwhile: the address of that family is the same."""
    serves, is_over = Flag(), Flag()
    port = 1080

    async def near() -> None:
        await serves.wait()
        options = SessionOptions(
            proxy=parse_proxy(f"socks5://[{address6(1)}]:{port}"), interface=INTERFACE
        )
        try:
            async with running(options) as session:
                await until(session, lambda: bool(session.udp.families))
                ip("address", "del", f"{address(0)}/24", "dev", INTERFACE)
                await until(session, lambda: not session.udp.families)
                assert not session.route.waiting
                ip("address", "add", "10.77.0.50/24", "dev", INTERFACE)
                await until(session, lambda: bool(session.udp.families))
                assert session.udp._relayed is not None
                assert session.udp._relayed.getsockname()[0] == "10.77.0.50"
        finally:
            is_over.set()

    async def far() -> None:
        async def on_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(3)
            writer.write(b"\5\0")
            await reader.readexactly(10)
            writer.write(b"\5\0\0\1" + bytes(map(int, address(1).split("."))) + b"\4\x39")
            await reader.read()
            writer.close()

        server = await asyncio.start_server(on_client, address6(1), port)
        serves.set()
        await is_over.wait()
        server.close()

    run_on_lan(near, far)
