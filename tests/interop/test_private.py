"""Private torrents leak nothing: all traffic of whole downloads is listened to (BEP 27).

The same download of a public torrent shows what would be seen, and that local discovery alone, or
the DHT alone, is enough for it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.compact import Endpoint
from engine.core.identifiers import InfoHash
from engine.core.magnet import Magnet
from engine.core.metainfo import Metainfo
from engine.session.options import DhtOptions, SessionOptions
from engine.torrent.facilities import Limits
from engine.torrent.lifecycle import State
from engine.wire.encryption_policy import EncryptionPolicy, Wish
from tests.end_to_end.rig import running as session_running
from tests.end_to_end.rig import seeding, until, until_state
from tests.fakes.lan import INTERFACE, Flag, address, run_on_lan
from tests.fakes.wire_tap import WireTap
from tests.interop.clients import LibtorrentClient, require, running
from tests.interop.leg import TRANSFER_S
from tests.storage.torrents import Sample, sample

pytestmark = pytest.mark.timeout(150)

PUBLIC = sample(600_000, name="public")
PRIVATE = sample(600_000, name="private", is_private=True)
LSD_PORT = 6771
PLAIN = EncryptionPolicy(Wish.DISABLED)
"""Else the tap could not read."""
OURS = SessionOptions(lsd=True, stop_timeout_s=2.0, limits=Limits(encryption=PLAIN))


@contextlib.asynccontextmanager
async def our_seed(at: Path, metainfo: Metainfo, machine: int) -> AsyncIterator[Endpoint]:
    async with session_running(OURS) as session:
        await seeding(session, metainfo, at)
        yield Endpoint(address(machine), session.incoming.listener.port)


def libtorrent_on(machine: int) -> LibtorrentClient:
    return LibtorrentClient(address(machine), {"enable_lsd": True})


@contextlib.asynccontextmanager
async def libtorrent_seed(at: Path, metainfo: Metainfo, machine: int) -> AsyncIterator[Endpoint]:
    client = libtorrent_on(machine)
    async with running(client, at / "state"):
        await client.add(metainfo.encode(), at, seed=True)
        await client.wait_complete(metainfo.info_hash, TRANSFER_S)
        yield client.endpoint


async def we_fetch(
    at: Path, source: Metainfo | Magnet, machine: int, peers: list[Endpoint]
) -> None:
    async with session_running(OURS) as session:
        torrent = await session.add(source, save_path=at, peers=peers)
        await until_state(session, torrent, State.SEEDING)


async def libtorrent_fetches(
    at: Path, source: Metainfo | Magnet, machine: int, peers: list[Endpoint]
) -> None:
    client = libtorrent_on(machine)
    async with running(client, at / "state"):
        if isinstance(source, Magnet):
            await client.add_magnet(str(source), at, peers=peers)
        else:
            await client.add(source.encode(), at, peers=peers)
        await client.wait_complete(source.info_hash, TRANSFER_S)


PAIRS = {
    "ours": (our_seed, we_fetch),
    "from libtorrent": (libtorrent_seed, we_fetch),
    "to libtorrent": (our_seed, libtorrent_fetches),
}


def transfer(
    pair: str, content: Sample, tmp_path: Path, *, are_told: bool, by_link: bool = False
) -> WireTap:
    """Let one machine fetch from the other; returns all that passed between them."""
    if pair != "ours":
        require(LibtorrentClient)
    seed, fetch = PAIRS[pair]
    metainfo = Metainfo(content.info)
    is_seeding, is_complete = Flag(), Flag()
    found: list[Endpoint] = []
    taps: list[WireTap] = []

    async def gives() -> None:
        content.store(tmp_path / "source")
        tap = WireTap(INTERFACE)
        taps.append(tap)
        try:
            async with seed(tmp_path / "source", metainfo, 0) as at:
                found.append(at)
                is_seeding.set()
                await is_complete.wait()
        finally:
            tap.finish()

    async def takes() -> None:
        try:
            await is_seeding.wait()
            (tmp_path / "target").mkdir()
            source = Magnet(metainfo.info_hash) if by_link else metainfo
            await fetch(tmp_path / "target", source, 1, found if are_told else [])
        finally:
            is_complete.set()

    run_on_lan(gives, takes)
    assert (tmp_path / "target" / content.info.name).read_bytes() == content.data
    return taps[0]


def is_ours(host: str, pair: str) -> bool:
    """Whether one of our engines is on the machine that has this address."""
    machines = {"ours": (0, 1), "from libtorrent": (1,), "to libtorrent": (0,)}[pair]
    return any(host in {address(number), f"fd77::{number + 1}"} for number in machines)


def hashes_of(info_hash: InfoHash) -> tuple[bytes, ...]:
    return bytes(info_hash), info_hash.hex().encode(), info_hash.hex().upper().encode()


@pytest.mark.parametrize("by_link", [False, True], ids=["torrent", "magnet link"])
@pytest.mark.parametrize("pair", PAIRS)
def test_a_public_torrent_is_found_by_local_discovery_only(
    pair: str, by_link: bool, tmp_path: Path
) -> None:
    tap = transfer(pair, PUBLIC, tmp_path, are_told=False, by_link=by_link)
    said = [(flow, data) for flow, data in tap.datagrams if flow.target_port == LSD_PORT]
    assert any(PUBLIC.info.info_hash.hex().encode() in data.lower() for _, data in said)
    assert any(b"6:ut_pex" in data for flow, data in tap.streams() if is_ours(flow.source, pair))


@pytest.mark.parametrize("pair", PAIRS)
def test_a_private_torrent_leaks_nothing(pair: str, tmp_path: Path) -> None:
    tap = transfer(pair, PRIVATE, tmp_path, are_told=True)
    streams = [(flow, data) for flow, data in tap.streams() if is_ours(flow.source, pair)]
    assert sum(data.count(b"BitTorrent protocol") for _, data in streams) >= 1
    assert not [flow for flow, data in streams if b"ut_pex" in data]
    ours = [(flow, data) for flow, data in tap.datagrams if is_ours(flow.source, pair)]
    assert not [flow for flow, _ in ours if flow.target_port == LSD_PORT]
    for flow, data in ours:
        assert not any(each in data for each in hashes_of(PRIVATE.info.info_hash)), flow


def test_the_dht_hears_of_the_public_torrent_only(tmp_path: Path) -> None:
    """One after the other between the same two engines, which are nodes of one DHT."""
    taps: list[WireTap] = []
    found: list[tuple[Endpoint, Endpoint]] = []
    is_seeding, is_complete = Flag(), Flag()
    private, public = Metainfo(PRIVATE.info), Metainfo(PUBLIC.info)

    async def gives() -> None:
        for content in (PRIVATE, PUBLIC):
            content.store(tmp_path / "source")
        tap = WireTap(INTERFACE)
        taps.append(tap)
        try:
            async with session_running(_with_dht()) as session:
                for metainfo in (private, public):
                    await seeding(session, metainfo, tmp_path / "source")
                listens = Endpoint(address(0), session.incoming.listener.port)
                found.append((listens, Endpoint(address(0), session.udp.port)))
                is_seeding.set()
                await is_complete.wait()
        finally:
            tap.finish()

    async def takes() -> None:
        try:
            await is_seeding.wait()
            listens, node = found[0]
            async with session_running(_with_dht(node)) as session:
                await until(session, lambda: bool(session.dht.joined))
                for metainfo, peers in ((private, [listens]), (public, [])):
                    torrent = await session.add(
                        metainfo, save_path=tmp_path / "target", peers=peers
                    )
                    await until_state(session, torrent, State.SEEDING)
        finally:
            is_complete.set()

    run_on_lan(gives, takes)
    for content in (PRIVATE, PUBLIC):
        assert (tmp_path / "target" / content.info.name).read_bytes() == content.data
    (tap,) = taps
    krpc = [(flow, data) for flow, data in tap.datagrams if data[:1] == b"d"]
    told = {flow.source for flow, data in krpc if bytes(PUBLIC.info.info_hash) in data}
    assert address(1) in told, "it was found there"
    assert not [flow for flow, data in krpc if bytes(PRIVATE.info.info_hash) in data]
    for _, data in tap.streams():
        if data[28:48] == bytes(PRIVATE.info.info_hash):
            assert not data[27] & 1, "no word of our node"


def _with_dht(*nodes: Endpoint) -> SessionOptions:
    dht = DhtOptions(is_enabled=True, bootstrap=tuple(map(str, nodes)))
    return replace(OURS, lsd=False, dht=dht)
