"""One torrent of a real session, and scripted peers that come to it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from engine.core.metainfo import Metainfo
from engine.session.session import Session
from engine.torrent.facilities import Limits
from engine.torrent.lifecycle import State
from engine.torrent.live import LiveTorrent
from engine.torrent.peer import Peer
from engine.torrent.torrent import Torrent
from tests.end_to_end.rig import LOOPBACK, endpoint_of, running, until, until_state
from tests.fakes import scripted_peer as wire
from tests.fakes.scripted_peer import ScriptedPeer
from tests.storage.torrents import Sample, sample

BLOCK = 16384
PIECE = 2 * BLOCK
CONTENT = sample(PIECE * 12 + 5, PIECE)
PIECES = CONTENT.info.geometry.piece_count


class OneTorrent:
    """A torrent that runs, and those who speak with it."""

    def __init__(self, session: Session, torrent: Torrent, content: Sample, folder: Path) -> None:
        self.session, self.torrent, self.content = session, torrent, content
        self.folder = folder
        self.visitors: list[ScriptedPeer] = []

    @property
    def live(self) -> LiveTorrent:
        assert self.torrent.live is not None
        return self.torrent.live

    async def visitor(
        self,
        number: int = 0,
        *,
        reserved: bytes = wire.ALL,
        has: bytes | None = None,
        receive_bytes: int | None = None,
    ) -> ScriptedPeer:
        """A scripted peer that has greeted; `has` is a bitfield, None says nothing."""
        peer = await ScriptedPeer.meet(
            endpoint_of(self.session),
            bytes(self.torrent.info_hash),
            peer_id=b"-XX0000-" + bytes([number]) * 12,
            reserved=reserved,
            receive_bytes=receive_bytes,
        )
        self.visitors.append(peer)
        if has is not None:
            peer.send(wire.frame(wire.BITFIELD, has))
        await self.until(lambda: self.peer(number) is not None)
        return peer

    def peer(self, number: int = 0) -> Peer | None:
        """The engine's side of a visitor."""
        if self.torrent.live is None:
            return None
        for peer in self.torrent.live.peers.connected:
            if peer.peer_id[8:] == bytes([number]) * 12:
                return peer
        return None

    def known(self, number: int = 0) -> Peer:
        peer = self.peer(number)
        assert peer is not None
        return peer

    async def until(self, condition) -> None:  # type: ignore[no-untyped-def]
        await until(self.session, condition)

    def block(self, index: int, begin: int, length: int) -> bytes:
        return wire.piece(index, begin, self.content.piece(index)[begin : begin + length])


def bits(*indexes: int) -> bytes:
    """A bitfield of CONTENT's pieces."""
    field = bytearray((PIECES + 7) // 8)
    for index in indexes:
        field[index // 8] |= 0x80 >> index % 8
    return bytes(field)


ALL = bits(*range(PIECES))


@contextlib.asynccontextmanager
async def one_torrent(
    folder: Path,
    *,
    has: bool = False,
    content: Sample = CONTENT,
    limits: Limits | None = None,
    **changes: object,
) -> AsyncIterator[OneTorrent]:
    """A torrent that downloads, or with `has` seeds."""
    options = replace(LOOPBACK, limits=limits or Limits(), **changes)  # type: ignore[arg-type]
    if has:
        content.store(folder)
    async with running(options) as session:
        torrent = await session.add(Metainfo(content.info), save_path=folder)
        await until_state(session, torrent, State.SEEDING if has else State.DOWNLOADING)
        one = OneTorrent(session, torrent, content, folder)
        try:
            yield one
        finally:
            for visitor in one.visitors:
                await visitor.close()
        await until(session, lambda: not session.facilities.connections.open)
