"""Where peers break the rules: a whole engine as the victim, and honest peers beside them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from engine.core.metainfo import Metainfo
from engine.session.session import Session
from engine.torrent.facilities import Limits
from engine.torrent.lifecycle import State
from engine.torrent.torrent import Torrent
from tests.end_to_end.rig import LOOPBACK, endpoint_of, running, seeding, until, until_state
from tests.fakes import scripted_peer as wire
from tests.fakes.scripted_peer import ScriptedPeer
from tests.storage.torrents import Sample, sample

BLOCK = 16384
PIECE = 65536
QUEUE = 100
"""Requests that the victim keeps of one peer."""
OPTIONS = replace(LOOPBACK, limits=Limits(max_request_queue=QUEUE))


class Arena:
    """A victim, the torrent under attack, and honest peers for it when asked."""

    def __init__(self, victim: Session, torrent: Torrent, content: Sample, folder: Path) -> None:
        self.victim, self.torrent, self.content = victim, torrent, content
        self.info_hash = bytes(torrent.info_hash)
        self._folder = folder
        self._metainfo = Metainfo(content.info)
        self._peers: list[ScriptedPeer] = []

    async def attacker(
        self,
        *,
        peer_id: bytes = b"-XX0000-scriptedpeer",
        reserved: bytes = wire.ALL,
        receive_bytes: int | None = None,
    ) -> ScriptedPeer:
        """A peer that has greeted the victim."""
        peer = await ScriptedPeer.meet(
            endpoint_of(self.victim),
            self.info_hash,
            peer_id=peer_id,
            reserved=reserved,
            receive_bytes=receive_bytes,
        )
        self._peers.append(peer)
        return peer

    async def stranger(self) -> ScriptedPeer:
        """A connection on which nothing was said."""
        peer = await ScriptedPeer.dial(endpoint_of(self.victim))
        self._peers.append(peer)
        return peer

    @property
    def open_connections(self) -> int:
        return self.victim.facilities.connections.open

    async def honest_transfer(self) -> None:
        """The victim still does its work: it downloads all, or serves all to a newcomer."""
        if self.torrent.is_complete:
            await self._serve()
            return
        self._content_at("source")
        async with running() as seeder:
            await seeding(seeder, self._metainfo, self._folder / "source")
            self.torrent.add_peer(endpoint_of(seeder))
            await until_state(self.victim, self.torrent, State.SEEDING)
        assert (self._folder / "victim" / "t").read_bytes() == self.content.data

    async def _serve(self) -> None:
        async with running() as leecher:
            torrent = await leecher.add(
                self._metainfo,
                save_path=self._folder / "target",
                peers=[endpoint_of(self.victim)],
            )
            await until_state(leecher, torrent, State.SEEDING)
        assert (self._folder / "target" / "t").read_bytes() == self.content.data

    def _content_at(self, name: str) -> None:
        self.content.store(self._folder / name)

    async def close(self) -> None:
        for peer in self._peers:
            await peer.close()


@contextlib.asynccontextmanager
async def arena_at(tmp_path: Path, *, complete: bool) -> AsyncIterator[Arena]:
    content = sample(PIECE * 6 + 1000, PIECE)
    if complete:
        content.store(tmp_path / "victim")
    async with running(OPTIONS) as victim:
        torrent = await victim.add(Metainfo(content.info), save_path=tmp_path / "victim")
        await until_state(victim, torrent, State.SEEDING if complete else State.DOWNLOADING)
        arena = Arena(victim, torrent, content, tmp_path)
        yield arena
        await arena.close()
        await until(victim, lambda: not arena.open_connections, "connections left open")
        assert not victim.incoming._greeting
