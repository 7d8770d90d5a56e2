"""A magnet link without tracker, by one way only, from libtorrent and to it: one node of the DHT in
common, and only uTP, only RC4, or only IPv6 allowed on both sides.

The other ways have files of their own: peer exchange, proxies, and local discovery (`test_private`,
on a network where everything can be heard).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from engine.core.magnet import Magnet
from engine.core.metainfo import Metainfo
from engine.net.connection import Connection, Encryption, Transport
from engine.session.options import SessionOptions
from engine.session.session import Session
from engine.swarm.peer_list import PeerSource
from engine.torrent.lifecycle import State
from engine.torrent.torrent import Torrent
from engine.wire.encryption_policy import Wish
from tests.end_to_end.dht_rig import dht_options, is_announced
from tests.end_to_end.encrypted_rig import wishing
from tests.end_to_end.rig import LOOPBACK, endpoint_of, seeding, until, until_state
from tests.end_to_end.rig import running as session_running
from tests.interop.clients import LibtorrentClient, require, running
from tests.interop.content import Content
from tests.interop.leg import TRANSFER_S
from tests.interop.test_dht import DHT
from tests.interop.test_encryption import FORCED, RC4, policy
from tests.interop.test_utp import UTP_ONLY
from tests.storage.torrents import sample
from tests.tracker.asking import needs_ipv6

pytestmark = pytest.mark.timeout(200)

MADE = sample(3_000_000, 65_536)
META = Metainfo(MADE.info)
CONTENT = Content(META.encode(), MADE.info.name, {(MADE.info.name,): MADE.data})
ON_IPV6 = replace(LOOPBACK, listen_host="::1")
"""Where that is said, no socket of the engine has another address."""


def is_ipv6(connection: Connection) -> bool:
    return connection.remote.host == "::1"


def is_utp(connection: Connection) -> bool:
    return connection.transport is Transport.UTP


def is_rc4(connection: Connection) -> bool:
    return connection.encryption is Encryption.ALL


@dataclass(frozen=True)
class Way:
    """What both sides are told, and what each of our connections then is."""

    kept: Callable[[Connection], bool]
    ours: SessionOptions = LOOPBACK
    theirs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return self.ours.listen_host

    def libtorrent(self) -> LibtorrentClient:
        return LibtorrentClient(self.host, {**DHT, **self.theirs})

    def options(self, *friends: Session) -> SessionOptions:
        return replace(self.ours, dht=dht_options(*friends).dht)


UTP = frozenset({Transport.UTP})
BY_IPV6 = Way(is_ipv6, ON_IPV6)
BY_UTP_OVER_IPV6 = Way(
    lambda each: is_ipv6(each) and is_utp(each), replace(ON_IPV6, transports=UTP), UTP_ONLY
)
WAYS = [
    pytest.param(Way(is_utp, replace(LOOPBACK, transports=UTP), UTP_ONLY), id="uTP"),
    pytest.param(Way(is_rc4, wishing(Wish.REQUIRED), policy(FORCED, RC4)), id="RC4"),
    pytest.param(BY_IPV6, id="IPv6", marks=needs_ipv6),
    pytest.param(BY_UTP_OVER_IPV6, id="uTP over IPv6", marks=needs_ipv6),
]
WAYS_OF_IPV6 = [each for each in WAYS if "IPv6" in str(each.id)]


def watch(session: Session) -> dict[Connection, PeerSource]:
    """Collect connections to peers, and who told us of each, from now on."""
    seen: dict[Connection, PeerSource] = {}

    def look(torrent: Torrent) -> None:
        for peer in torrent.live.peers.connected if torrent.live else ():
            seen[peer.connection] = peer.source

    session.on_change.append(look)
    return seen


def check(seen: Iterable[Connection], way: Way) -> None:
    """Assert that there were connections, and that all were of this way."""
    ours = [(each.remote, each.transport, each.encryption, way.kept(each)) for each in seen]
    assert ours
    assert all(each[-1] for each in ours), ours


@pytest.mark.parametrize("way", WAYS)
async def test_we_find_and_fetch_from_libtorrent(tmp_path: Path, way: Way) -> None:
    require(LibtorrentClient)
    other = way.libtorrent()
    async with (
        session_running(way.options()) as node,
        running(other, tmp_path / "other"),
        session_running(way.options(node)) as session,
    ):
        seen = watch(session)
        other.add_node(node.udp.endpoints[0])
        await other.add(CONTENT.torrent, CONTENT.write(tmp_path / "source"), seed=True)
        await other.wait_complete(META.info_hash, TRANSFER_S)
        await until(node, lambda: is_announced(node), "libtorrent announces nothing")
        torrent = await session.add(Magnet(META.info_hash), save_path=tmp_path / "target")
        await until_state(session, torrent, State.SEEDING)
        CONTENT.check(tmp_path / "target")
        check(seen, way)
        assert set(seen.values()) <= {PeerSource.DHT, PeerSource.INCOMING}


@pytest.mark.parametrize("way", WAYS)
async def test_libtorrent_finds_and_fetches_from_us(tmp_path: Path, way: Way) -> None:
    require(LibtorrentClient)
    other = way.libtorrent()
    async with (
        session_running(way.options()) as node,
        running(other, tmp_path / "other"),
        session_running(way.options(node)) as session,
    ):
        seen = watch(session)
        other.add_node(node.udp.endpoints[0])
        await seeding(session, META, CONTENT.write(tmp_path / "source"))
        await until(node, lambda: is_announced(node), "we announce nothing")
        await other.add_magnet(str(Magnet(META.info_hash)), tmp_path / "target")
        await other.wait_complete(META.info_hash, TRANSFER_S)
        CONTENT.check(tmp_path / "target")
        check(seen, way)


# ── by an address of IPv6 that the link names ───────────────────────────────────────────────────


@pytest.mark.parametrize("way", WAYS_OF_IPV6)
async def test_we_fetch_from_the_address_in_the_link(tmp_path: Path, way: Way) -> None:
    require(LibtorrentClient)
    other = LibtorrentClient(way.host, way.theirs)
    async with running(other, tmp_path / "other"), session_running(way.ours) as session:
        seen = watch(session)
        await other.add(CONTENT.torrent, CONTENT.write(tmp_path / "source"), seed=True)
        await other.wait_complete(META.info_hash, TRANSFER_S)
        link = Magnet.parse(f"magnet:?xt=urn:btih:{META.info_hash}&x.pe={other.endpoint}")
        torrent = await session.add(link, save_path=tmp_path / "target")
        await until_state(session, torrent, State.SEEDING)
        CONTENT.check(tmp_path / "target")
        check(seen, way)


@pytest.mark.parametrize("way", WAYS_OF_IPV6)
async def test_libtorrent_fetches_from_our_address_in_the_link(tmp_path: Path, way: Way) -> None:
    require(LibtorrentClient)
    other = LibtorrentClient(way.host, way.theirs)
    async with running(other, tmp_path / "other"), session_running(way.ours) as session:
        seen = watch(session)
        await seeding(session, META, CONTENT.write(tmp_path / "source"))
        link = f"magnet:?xt=urn:btih:{META.info_hash}&x.pe={endpoint_of(session)}"
        await other.add_magnet(link, tmp_path / "target")
        await other.wait_complete(META.info_hash, TRANSFER_S)
        CONTENT.check(tmp_path / "target")
        check(seen, way)
