"""Through a proxy only: we and libtorrent download from each other, by address and by magnet link.

libtorrent is also put behind the same proxies, which shows that these are what others take for one.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.magnet import Magnet
from engine.core.metainfo import Metainfo
from engine.core.proxy_address import parse_proxy
from engine.net.connection import Transport
from engine.session.options import DhtOptions, SessionOptions
from engine.torrent.lifecycle import State
from tests.end_to_end.dht_rig import dht_options, is_announced
from tests.end_to_end.rig import LOOPBACK, endpoint_of, seeding, until, until_state
from tests.end_to_end.rig import running as session_running
from tests.fakes.proxies import FakeProxy, HttpProxy, SocksProxy, running_proxy
from tests.interop.clients import LibtorrentClient, require, running
from tests.interop.content import Content
from tests.interop.leg import TRANSFER_S
from tests.interop.test_dht import DHT
from tests.interop.test_utp import UTP_ONLY
from tests.storage.torrents import sample

pytestmark = pytest.mark.timeout(200)


def _content() -> tuple[Content, Metainfo]:
    made = sample(3_000_000, 65_536)
    metainfo = Metainfo(made.info)
    files = {entry.path: made.content_of(number) for number, entry in enumerate(made.info.files)}
    return Content(metainfo.encode(), made.info.name, files), metainfo


def _behind(proxy: FakeProxy, **changes: object) -> SessionOptions:
    options = SessionOptions(proxy=parse_proxy(proxy.url), stop_timeout_s=2.0)
    return replace(options, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "transport"),
    [
        (SocksProxy, Transport.TCP),
        (SocksProxy, Transport.UTP),
        (HttpProxy, Transport.TCP),
    ],
)
async def test_we_download_from_libtorrent(
    tmp_path: Path, kind: type[FakeProxy], transport: Transport
) -> None:
    require(LibtorrentClient)
    content, metainfo = _content()
    other = LibtorrentClient(settings=UTP_ONLY if transport is Transport.UTP else None)
    async with (
        running(other, tmp_path / "other"),
        running_proxy(kind()) as proxy,
        session_running(_behind(proxy, transports=frozenset({transport}))) as session,
    ):
        await other.add(content.torrent, content.write(tmp_path / "source"), seed=True)
        await other.wait_complete(metainfo.info_hash, TRANSFER_S)
        torrent = await session.add(metainfo, save_path=tmp_path / "target", peers=[other.endpoint])
        await until_state(session, torrent, State.SEEDING)
        content.check(tmp_path / "target")
        asked = proxy.datagrams if transport is Transport.UTP else proxy.connected
        assert set(asked) == {tuple(other.endpoint)}


async def test_a_magnet_link_by_one_node_in_common(tmp_path: Path) -> None:
    require(LibtorrentClient)
    content, metainfo = _content()
    other = LibtorrentClient(settings=DHT)
    async with (
        session_running(dht_options()) as node,
        running(other, tmp_path / "other"),
        running_proxy(SocksProxy({"node.example": "127.0.0.1"})) as proxy,
    ):
        other.add_node(node.udp.endpoints[0])
        await other.add(content.torrent, content.write(tmp_path / "source"), seed=True)
        await other.wait_complete(metainfo.info_hash, TRANSFER_S)
        await until(node, lambda: is_announced(node), "libtorrent announces nothing")
        dht = DhtOptions(is_enabled=True, bootstrap=(f"node.example:{node.udp.port}",))
        async with session_running(_behind(proxy, dht=dht)) as session:
            torrent = await session.add(Magnet(metainfo.info_hash), save_path=tmp_path / "target")
            await until_state(session, torrent, State.SEEDING)
        content.check(tmp_path / "target")
        assert set(proxy.asked) == {"node.example"}


async def test_libtorrent_has_a_magnet_link_from_us_by_one_node_in_common(tmp_path: Path) -> None:
    """Nobody can dial us: we find it, and dial."""
    require(LibtorrentClient)
    content, metainfo = _content()
    other = LibtorrentClient(settings=DHT)
    async with (
        session_running(dht_options()) as node,
        running(other, tmp_path / "other"),
        running_proxy(SocksProxy({"node.example": "127.0.0.1"})) as proxy,
    ):
        other.add_node(node.udp.endpoints[0])
        info_hash = await other.add_magnet(str(Magnet(metainfo.info_hash)), tmp_path / "target")
        await until(node, lambda: is_announced(node), "libtorrent announces nothing")
        dht = DhtOptions(is_enabled=True, bootstrap=(f"node.example:{node.udp.port}",))
        async with session_running(_behind(proxy, dht=dht)) as session:
            await seeding(session, metainfo, content.write(tmp_path / "source"))
            await other.wait_complete(info_hash, TRANSFER_S)
        content.check(tmp_path / "target")


@pytest.mark.parametrize(("kind", "type_of_it"), [(SocksProxy, "socks5"), (HttpProxy, "http")])
async def test_libtorrent_is_content_with_these_proxies(
    tmp_path: Path, kind: type[FakeProxy], type_of_it: str
) -> None:
    require(LibtorrentClient)
    import libtorrent as lt

    content, metainfo = _content()
    async with running_proxy(kind()) as proxy, session_running(LOOPBACK) as seed:
        settings = {
            "proxy_type": int(getattr(lt.proxy_type_t, type_of_it)),
            "proxy_hostname": proxy.host,
            "proxy_port": proxy.port,
            "proxy_peer_connections": True,
        }
        other = LibtorrentClient()
        async with running(other, tmp_path / "other"):
            other._session.apply_settings(settings)  # behind one from the start it never listens
            await seeding(seed, metainfo, content.write(tmp_path / "source"))
            info_hash = await other.add(content.torrent, tmp_path / "target", seed=False)
            await other.connect_peer(info_hash, endpoint_of(seed))
            await other.wait_complete(info_hash, TRANSFER_S)
        content.check(tmp_path / "target")
        assert tuple(endpoint_of(seed)) in {*proxy.connected, *getattr(proxy, "datagrams", ())}
