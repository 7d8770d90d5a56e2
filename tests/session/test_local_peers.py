"""Engines on two machines of one network that know nothing of each other (BEP 14, 27)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.compact import Endpoint
from engine.core.magnet import Magnet
from engine.core.metainfo import Metainfo
from engine.discovery.local_discovery import (
    IPV4_GROUP,
    IPV6_GROUP,
    LocalAnnounce,
    decode,
    encode,
)
from engine.net.multicast import Multicast
from engine.net.route import Route
from engine.session.options import SessionOptions
from engine.session.session import Session
from engine.swarm.peer_list import PeerSource
from engine.torrent.facilities import Limits
from engine.torrent.lifecycle import State
from engine.torrent.torrent import Torrent
from tests.end_to_end.rig import LOOPBACK, running, seeding, until, until_state
from tests.fakes.lan import Flag, address, run_on_lan
from tests.storage.torrents import sample

ANYWHERE = SessionOptions(lsd=True, stop_timeout_s=2.0)
CONTENT = sample(300_000)
PRIVATE = sample(100_000, seed=2, is_private=True)
OTHER = sample(100_000, seed=3, name="other")
HEARD_S = 20.0


class Ear:
    """Hears what is said in the network."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[LocalAnnounce, str]] = asyncio.Queue()
        groups = (IPV4_GROUP, IPV6_GROUP)
        self.multicast = Multicast(asyncio.get_running_loop(), groups, self._on_datagram, Route())
        self.multicast.look()

    def _on_datagram(self, datagram: bytes, host: str) -> None:
        self.heard.put_nowait((decode(datagram), host))

    async def next(self) -> tuple[LocalAnnounce, str]:
        async with asyncio.timeout(HEARD_S):
            return await self.heard.get()

    async def next_on_ipv4(self) -> LocalAnnounce:
        while True:
            announce, host = await self.next()
            if ":" not in host:
                return announce

    def close(self) -> None:
        self.multicast.close()


@contextlib.asynccontextmanager
async def ear() -> AsyncIterator[Ear]:
    with contextlib.closing(Ear()) as ours:
        yield ours


def told_by(torrent: Torrent, source: PeerSource) -> int:
    return torrent.live.peers.known.learned[source] if torrent.live else 0


@pytest.mark.parametrize("by_link", [False, True], ids=["torrent", "magnet link"])
def test_neighbours_find_each_other(tmp_path: Path, by_link: bool) -> None:
    is_complete = Flag()

    async def gives() -> None:
        CONTENT.store(tmp_path / "source")
        async with running(ANYWHERE) as session:
            await seeding(session, Metainfo(CONTENT.info), tmp_path / "source")
            await is_complete.wait()

    async def takes() -> None:
        async with running(ANYWHERE) as session:
            source = Magnet(CONTENT.info.info_hash) if by_link else Metainfo(CONTENT.info)
            torrent = await session.add(source, save_path=tmp_path / "target")
            await until_state(session, torrent, State.SEEDING)
            is_complete.set()

    run_on_lan(gives, takes)
    assert (tmp_path / "target" / CONTENT.info.name).read_bytes() == CONTENT.data


def test_what_is_said_and_what_not(tmp_path: Path) -> None:
    """A private torrent is not announced, nor one that is paused."""
    is_listening, is_heard = Flag(), Flag()
    ours: list[Endpoint] = []

    async def speaks() -> None:
        PRIVATE.store(tmp_path)
        async with running(ANYWHERE) as session:
            await is_listening.wait()
            await seeding(session, Metainfo(PRIVATE.info), tmp_path)
            await session.add(Metainfo(OTHER.info), save_path=tmp_path / "2", paused=True)
            ours.append(Endpoint(address(0), session.incoming.listener.port))
            await session.add(Metainfo(CONTENT.info), save_path=tmp_path / "3")
            await is_heard.wait()

    async def listens() -> None:
        async with ear() as heard:
            is_listening.set()
            announce = await heard.next_on_ipv4()
            assert announce.info_hashes == (bytes(CONTENT.info.info_hash),)
            assert announce.port == ours[0].port
            is_heard.set()
        assert all(
            announce.info_hashes == (bytes(CONTENT.info.info_hash),)
            for announce, _ in iter_queue(heard.heard)
        )

    run_on_lan(speaks, listens)


def iter_queue(
    queue: asyncio.Queue[tuple[LocalAnnounce, str]],
) -> list[tuple[LocalAnnounce, str]]:
    return [queue.get_nowait() for _ in range(queue.qsize())]


@pytest.mark.parametrize(
    "options",
    [
        replace(ANYWHERE, limits=Limits(is_isolated=True)),
        replace(ANYWHERE, lsd=False),
        replace(ANYWHERE, listen_host="127.0.0.1"),
    ],
    ids=["isolated", "switched off", "held to loopback"],
)
def test_where_it_is_off_nothing_leaves(options: SessionOptions, tmp_path: Path) -> None:
    is_listening, is_over = Flag(), Flag()

    async def speaks() -> None:
        await is_listening.wait()
        async with running(options) as session:
            await session.add(Metainfo(CONTENT.info), save_path=tmp_path)
            await turns(session)
        with contextlib.closing(Ear()) as last:  # what came before it would be heard before it
            said = LocalAnnounce(9, (bytes(20),))
            assert last.multicast.send(IPV4_GROUP, encode(said, IPV4_GROUP)) == 1
        is_over.set()

    async def listens() -> None:
        async with ear() as heard:
            is_listening.set()
            assert (await heard.next_on_ipv4()).port == 9
            await is_over.wait()

    run_on_lan(speaks, listens)


async def turns(session: Session) -> None:
    """Wait until local discovery had its turn, if it is on."""
    local = session.local_peers
    await until(session, lambda: not local.is_on or local.has_turned)


def test_a_private_torrent_does_not_hear(tmp_path: Path) -> None:
    is_listening, is_over = Flag(), Flag()

    async def speaks() -> None:
        async with ear() as ours:
            await is_listening.wait()
            hashes = tuple(bytes(each.info.info_hash) for each in (PRIVATE, CONTENT))
            datagram = encode(LocalAnnounce(9, hashes), IPV4_GROUP)
            assert ours.multicast.send(IPV4_GROUP, datagram) == 1
            await is_over.wait()

    async def listens() -> None:
        async with running(ANYWHERE) as session:
            private = await session.add(Metainfo(PRIVATE.info), save_path=tmp_path / "1")
            public = await session.add(Metainfo(CONTENT.info), save_path=tmp_path / "2")
            await until_state(session, private, State.DOWNLOADING)
            await until_state(session, public, State.DOWNLOADING)
            await turns(session)
            is_listening.set()
            await until(session, lambda: told_by(public, PeerSource.LSD) == 1)
            assert private.live is not None
            assert not len(private.live.peers.known)
            assert Endpoint(address(0), 9) in public.live.peers.known  # type: ignore[union-attr]
        is_over.set()

    run_on_lan(speaks, listens)


async def test_without_settings_there_is_none(tmp_path: Path) -> None:
    """So that no engine of a test speaks to the network that the test runs in."""
    assert not SessionOptions().lsd
    async with running(LOOPBACK) as session:
        assert not session.local_peers.is_on
