"""Engines behind a proxy find, dial and download through it, and nothing comes from elsewhere.

Everybody is on this machine and could be reached directly: what comes through the proxy has its
EXIT for an address, and every other address would be a leak.
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from engine.core.compact import unpack_ipv4
from engine.core.magnet import Magnet
from engine.core.metainfo import Metainfo
from engine.core.proxy_address import parse_proxy
from engine.net import proxy_link
from engine.net.connection import Connection, Transport
from engine.session.options import DhtOptions, SessionOptions
from engine.session.session import Session
from engine.torrent.announcer import NOBODY_LISTENS
from engine.torrent.lifecycle import State
from engine.wire.encryption_policy import Wish
from tests.end_to_end.dht_rig import dht_options, is_announced
from tests.end_to_end.encrypted_rig import wishing
from tests.end_to_end.rig import (
    LOOPBACK,
    endpoint_of,
    running,
    seeding,
    until,
    until_state,
    with_trackers,
)
from tests.fakes.proxies import EXIT, FakeProxy, HttpProxy, SocksProxy, running_proxy
from tests.interop.our_tracker import tracker_on, urls_of
from tests.net.web_server import WebServer
from tests.no_bootstrap import NO_BOOTSTRAP
from tests.storage.torrents import sample

CONTENT = sample(3_000_000, 65_536)
BOTH = pytest.mark.parametrize("kind", [SocksProxy, HttpProxy])
UTP_ONLY = frozenset({Transport.UTP})
NAMES = {"tracker.example": "127.0.0.1", "node.example": "127.0.0.1"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_link, "FIRST_AGAIN_S", 0.05)
    monkeypatch.setattr(proxy_link, "LAST_AGAIN_S", 0.1)


def behind(proxy: FakeProxy, **changes: object) -> SessionOptions:
    """An engine that may use any address to get to the proxy, and whatever finds peers."""
    options = SessionOptions(
        proxy=parse_proxy(proxy.url), lsd=True, port_mapping=True, stop_timeout_s=2.0
    )
    return replace(options, **changes)  # type: ignore[arg-type]


def callers_of(session: Session) -> set[str]:
    """The addresses that connect to a session from now on, by TCP or by uTP."""
    seen: set[str] = set()
    accept = session.incoming.accept

    def watch(connection: Connection) -> None:
        seen.add(connection.remote.host)
        accept(connection)

    session.incoming.accept = watch  # type: ignore[method-assign]
    if session.utp is not None:
        session.utp._accepted = watch
    return seen


@BOTH
@pytest.mark.parametrize("wish", [Wish.DISABLED, Wish.REQUIRED])
async def test_a_download_over_tcp(kind: type[FakeProxy], wish: Wish, tmp_path: Path) -> None:
    CONTENT.store(tmp_path / "seed")
    metainfo = Metainfo(CONTENT.info)
    async with (
        running_proxy(kind()) as proxy,
        running(wishing(wish)) as seed,
        running(wishing(wish, options=behind(proxy))) as leech,
    ):
        callers = callers_of(seed)
        await seeding(seed, metainfo, tmp_path / "seed")
        torrent = await leech.add(metainfo, save_path=tmp_path / "leech", peers=[endpoint_of(seed)])
        await until_state(leech, torrent, State.SEEDING)
        assert callers == {EXIT}
        assert leech.endpoints == []
    assert (tmp_path / "leech" / "t").read_bytes() == CONTENT.data


async def test_a_download_over_utp_through_the_relay(tmp_path: Path) -> None:
    content = sample(20_000_000, 262_144)
    content.store(tmp_path / "seed")
    metainfo = Metainfo(content.info)
    utp_only = replace(LOOPBACK, transports=UTP_ONLY)
    async with (
        running_proxy(SocksProxy()) as proxy,
        running(utp_only) as seed,
        running(behind(proxy, transports=UTP_ONLY)) as leech,
    ):
        callers = callers_of(seed)
        await seeding(seed, metainfo, tmp_path / "seed")
        torrent = await leech.add(metainfo, save_path=tmp_path / "leech", peers=[endpoint_of(seed)])
        await until_state(leech, torrent, State.SEEDING)
        assert callers == {EXIT}
        assert proxy.connected == []
        assert set(proxy.datagrams) == {tuple(endpoint_of(seed))}
    assert (tmp_path / "leech" / "t").read_bytes() == content.data


async def test_a_seed_uploads_through_the_relay_too(tmp_path: Path) -> None:
    """It dials: nobody is let in but by what it began itself."""
    CONTENT.store(tmp_path / "seed")
    metainfo = Metainfo(CONTENT.info)
    utp_only = replace(LOOPBACK, transports=UTP_ONLY)
    async with (
        running_proxy(SocksProxy()) as proxy,
        running(behind(proxy, transports=UTP_ONLY)) as seed,
        running(utp_only) as leech,
    ):
        callers = callers_of(leech)
        torrent = await leech.add(metainfo, save_path=tmp_path / "leech")
        given = await seeding(seed, metainfo, tmp_path / "seed")
        given.add_peer(endpoint_of(leech))
        await until_state(leech, torrent, State.SEEDING)
        assert callers == {EXIT}
    assert (tmp_path / "leech" / "t").read_bytes() == CONTENT.data


@pytest.mark.parametrize(
    ("kind", "scheme", "host"),
    [
        (SocksProxy, "http", "127.0.0.1"),
        (SocksProxy, "http", "tracker.example"),
        (HttpProxy, "http", "tracker.example"),
        (SocksProxy, "udp", "127.0.0.1"),
        (SocksProxy, "udp", "tracker.example"),
    ],
)
async def test_peers_are_found_by_a_tracker(
    kind: type[FakeProxy], scheme: str, host: str, tmp_path: Path
) -> None:
    CONTENT.store(tmp_path / "seed")
    async with (
        tracker_on("127.0.0.1") as tracker,
        running_proxy(kind(NAMES)) as proxy,
        running(LOOPBACK) as seed,
        running(behind(proxy)) as leech,
    ):
        callers = callers_of(seed)
        (url,) = urls_of(tracker, scheme)
        metainfo = with_trackers(Metainfo(CONTENT.info), urls_of(tracker, "http")[0])
        await seeding(seed, metainfo, tmp_path / "seed")
        await until(seed, lambda: tracker.table.peers == 1)
        torrent = await leech.add(
            with_trackers(metainfo, url.replace("127.0.0.1", host)), save_path=tmp_path / "leech"
        )
        await until_state(leech, torrent, State.SEEDING)
        assert callers == {EXIT}
        assert proxy.asked.count("tracker.example") == (host == "tracker.example")
        swarm = tracker.table._swarms[bytes(metainfo.info_hash[:20])]
        assert {str(*unpack_ipv4(each)) for each in swarm.peers} == {
            str(endpoint_of(seed)),
            f"{EXIT}:{NOBODY_LISTENS}",
        }


async def test_an_http_proxy_leads_to_no_udp_tracker(tmp_path: Path) -> None:
    async with running_proxy(HttpProxy()) as proxy, running(behind(proxy)) as leech:
        for url in ("udp://127.0.0.1:9", "udp://tracker.example:9"):
            metainfo = with_trackers(Metainfo(CONTENT.info), url)
            torrent = await leech.add(metainfo, save_path=tmp_path)
            (tracker,) = torrent.announcer.trackers.values()
            await until(leech, lambda tracker=tracker: bool(tracker.error))  # type: ignore[misc]
            assert "no UDP through the proxy: an HTTP proxy carries no datagrams" in tracker.error
            await leech.remove(torrent)
        assert proxy.asked == []


@pytest.mark.parametrize("host", ["127.0.0.1", "node.example"])
async def test_a_magnet_link_by_one_node_of_the_dht(host: str, tmp_path: Path) -> None:
    CONTENT.store(tmp_path / "seed")
    metainfo = Metainfo(CONTENT.info)
    async with (
        running_proxy(SocksProxy(NAMES)) as proxy,
        running(dht_options()) as node,
        running(dht_options(node)) as seed,
    ):
        callers = callers_of(seed)
        await seeding(seed, metainfo, tmp_path / "seed")
        await until(node, lambda: is_announced(node))
        dht = DhtOptions(is_enabled=True, bootstrap=(f"{host}:{node.udp.port}",))
        async with running(behind(proxy, dht=dht)) as leech:
            torrent = await leech.add(Magnet(metainfo.info_hash), save_path=tmp_path / "leech")
            await until_state(leech, torrent, State.SEEDING)

            # By the next relay the DHT is joined again, without waiting to ask for names.
            proxy.associations[0].transport.abort()
            await until(leech, lambda: not leech.dht.joined)
            await until(leech, lambda: bool(leech.dht.joined))
        assert callers == {EXIT}
        assert set(proxy.asked) == {host} - {"127.0.0.1"}
    assert (tmp_path / "leech" / "t").read_bytes() == CONTENT.data


async def test_the_proxy_dies_and_comes_back_under_a_download_over_utp(tmp_path: Path) -> None:
    CONTENT.store(tmp_path / "seed")
    metainfo = Metainfo(CONTENT.info)
    utp_only = replace(LOOPBACK, transports=UTP_ONLY)
    async with (
        running_proxy(SocksProxy()) as proxy,
        running(utp_only) as seed,
        running(behind(proxy, transports=UTP_ONLY)) as leech,
    ):
        callers = callers_of(seed)
        given = await seeding(seed, metainfo, tmp_path / "seed")
        leech.set_limits(down=500_000)

        def end_at_the_seed() -> None:
            """What it knows nothing of yet, and would only give up after a time-out."""
            for peer in list(given.live.peers.connected):
                peer.connection.close(None)

        torrent = await leech.add(metainfo, save_path=tmp_path / "leech", peers=[endpoint_of(seed)])
        await until(leech, lambda: torrent.have.count > 2)

        # Only the relay ends: who spoke with us by it is spoken with by the next one.
        proxy.associations[0].transport.abort()
        await until(leech, lambda: len(proxy.relay_exits) == 2)
        end_at_the_seed()
        had = torrent.have.count
        await until(leech, lambda: torrent.have.count > had)

        await proxy.stop()
        await until(leech, lambda: bool(leech.route.waiting))
        await until(leech, lambda: not torrent.live.peers.connected)
        assert not leech.udp.families
        end_at_the_seed()
        await proxy.start()
        leech.set_limits(down=0)
        await until_state(leech, torrent, State.SEEDING)
        assert callers == {EXIT}
        assert len(proxy.relay_exits) == 3


@BOTH
async def test_a_refused_password_is_what_torrents_wait_for(
    kind: type[FakeProxy], tmp_path: Path
) -> None:
    metainfo = Metainfo(CONTENT.info)
    async with running_proxy(kind(user="me", password="right")) as proxy:
        wrong = parse_proxy(proxy.url.replace("//", "//me:wr0ng@"))
        options = replace(behind(proxy), proxy=wrong)
        async with running(LOOPBACK) as seed, running(options) as leech:
            callers = callers_of(seed)
            torrent = await leech.add(metainfo, save_path=tmp_path, peers=[endpoint_of(seed)])
            why = ": it does not accept the user name or the password"
            await until(leech, lambda: torrent.waiting.endswith(why))
            assert "wr0ng" not in torrent.waiting
            assert not callers
            assert proxy.connected == []


async def test_isolated_peers_are_reached_through_it_as_well(tmp_path: Path) -> None:
    CONTENT.store(tmp_path / "seed")
    metainfo = Metainfo(CONTENT.info)
    dht = DhtOptions(is_enabled=True, bootstrap=("node.example:9",))
    async with running_proxy(SocksProxy()) as proxy, running(LOOPBACK) as seed:
        options = behind(proxy, dht=dht)
        options = replace(options, limits=replace(options.limits, is_isolated=True))
        async with running(options) as leech:
            callers = callers_of(seed)
            await seeding(seed, metainfo, tmp_path / "seed")
            torrent = await leech.add(
                metainfo, save_path=tmp_path / "leech", peers=[endpoint_of(seed)]
            )
            await until_state(leech, torrent, State.SEEDING)
            assert callers == {EXIT}
            assert not leech.dht.is_running
            assert proxy.asked == []


async def test_the_command_line_fetches_all_through_it(tmp_path: Path) -> None:
    """The .torrent, the tracker and the peers; the password comes from a file."""
    CONTENT.store(tmp_path / "seed")
    metainfo = Metainfo(CONTENT.info)
    proxy = SocksProxy({"web.example": "127.0.0.1", **NAMES}, user="me", password="s3cret")

    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.remote == EXIT
        return web.Response(body=named.encode())

    server = WebServer(handler)
    await server.start()
    async with (
        tracker_on("127.0.0.1") as tracker,
        running_proxy(proxy),
        running(LOOPBACK) as seed,
    ):
        callers = callers_of(seed)
        (url,) = urls_of(tracker, "http")
        named = with_trackers(metainfo, url.replace("127.0.0.1", "tracker.example"))
        await seeding(seed, with_trackers(metainfo, url), tmp_path / "seed")
        await until(seed, lambda: tracker.table.peers == 1)
        secret = tmp_path / "secret"
        secret.write_text(proxy.url.replace("//", "//me:s3cret@"))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "engine", "get"),
            f"http://web.example:{server.port}/t.torrent",
            *("--output", str(tmp_path / "leech")),
            env=os.environ
            | NO_BOOTSTRAP
            | {
                "SEEDWRIGHT_NETWORK_PROXY_FILE": str(secret),
                "SEEDWRIGHT_CONFIG": str(tmp_path / "config.toml"),
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, said
        assert b"s3cret" not in said
        assert callers == {EXIT}
        assert set(proxy.asked) == {"web.example", "tracker.example"}
    await server.stop()
    assert (tmp_path / "leech" / "t").read_bytes() == CONTENT.data
