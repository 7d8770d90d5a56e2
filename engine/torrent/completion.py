"""From the last block of a piece until the piece is had: verified, written, told (BEP 3). HOT.

    last block ─► the next disk job ─► disk: verify, write ─► had: picker, sums, have to the peers
                                                        └──► corrupt: who was it? fetched again

Pieces go to the disk and come back by the job, since of small ones there are tens of thousands a
second: what is done once a job costs next to nothing, whatever is done once a piece adds up.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from engine.errors import CorruptPeerError
from engine.storage.disk import HashMismatch, PieceResult, WrittenPiece
from engine.swarm.smart_ban import SmartBan
from engine.torrent.peer import Peer
from engine.wire import encoder

if TYPE_CHECKING:
    from engine.torrent.download import Download
    from engine.torrent.live import LiveTorrent

_JOB_BYTES = 2 * 1024 * 1024
"""Small pieces go to a disk thread together, so much of them at a time. Whenever a thread has to
get the interpreter back it costs 50 µs of both cores, and each job needs that several times."""
_LARGE_PIECE_BYTES = 1024 * 1024
"""From here on a piece is a job of its own."""
_MANY_LATE = 4096
"""Pieces that a peer has not heard of take memory; so many do not wait for its next seconds."""


class Completion:
    """The complete pieces of one torrent."""

    __slots__ = (
        "_announce",
        "_complete",
        "_download",
        "_jobs",
        "_most",
        "_smart_ban",
        "_swarm",
        "writing",
    )

    def __init__(self, swarm: LiveTorrent, download: Download) -> None:
        self._swarm = swarm
        self._download = download
        length = swarm.geometry.piece_length
        self._most = 1 if length >= _LARGE_PIECE_BYTES else _JOB_BYTES // length
        """Pieces that make a job."""
        self._jobs = 0
        """At the disk threads."""
        self._complete: list[int] = []
        """Pieces for the next job: it goes when it is full, within a turn of the loop while a disk
        thread may be idle, and else when one of those before it is done."""
        self._announce: list[int] = []
        self._smart_ban: SmartBan[Peer] = SmartBan()
        self.writing: set[int] = set()
        """Pieces whose buffers belong to a disk thread now."""

    def add(self, index: int) -> None:
        """The last block of a piece is in its buffer."""
        self._complete.append(index)
        if len(self._complete) >= self._most:
            self.write()
        elif len(self._complete) == 1:
            self._swarm.facilities.loop.call_soon(self._write_if_idle)

    def _write_if_idle(self) -> None:
        if self._jobs < self._swarm.facilities.disk.threads:
            self.write()

    def write(self) -> None:
        """Hand the complete pieces to a disk thread, in one job."""
        indexes, self._complete = self._complete, []
        if not indexes:
            return
        self.writing.update(indexes)
        self._jobs += 1
        swarm, content = self._swarm, self._download.content
        swarm.facilities.buffers.handed_over(len(indexes), swarm.geometry.piece_length)
        offset, sha1 = swarm.geometry.piece_offset, swarm.info.piece_hash
        swarm.facilities.disk.write_pieces(
            swarm.files,
            [(offset(index), content(index), sha1(index)) for index in indexes],
            partial(self._on_written, indexes),
        )

    def _on_written(self, indexes: list[int], results: list[PieceResult] | Exception) -> None:
        self.writing.difference_update(indexes)
        swarm = self._swarm
        swarm.facilities.buffers.taken(len(indexes), swarm.geometry.piece_length)
        self._jobs -= 1
        self._write_if_idle()
        if isinstance(results, Exception):
            results = [results] * len(indexes)
        download = self._download
        verified: list[int] = []
        failure: Exception | None = None
        guilty: list[tuple[Peer, int]] = []
        for index, result in zip(indexes, results, strict=True):
            if isinstance(result, WrittenPiece):
                verified.append(index)
                if self._smart_ban.is_suspect(index):
                    peers = self._smart_ban.verified(index, download.content(index))
                    guilty += [(peer, index) for peer in peers]
            elif isinstance(result, HashMismatch):
                guilty += [(peer, index) for peer in self._on_corrupt(index)]
            else:
                failure = failure or result
                download.picker.piece_dropped(index)
            download.ended(index)
        for peer, index in guilty:
            self._ban(peer, index)
        if verified:
            self._on_verified(verified)
        if failure is not None:
            swarm.storage_failed(failure)
        download.feed_soon()

    def _on_corrupt(self, index: int) -> list[Peer]:
        """Have a piece fetched again; return the peers that are known to have spoilt it."""
        self._swarm.note("warning", f"piece {index} failed its hash and is fetched again")
        sources = self._download.picker.piece_failed(index)
        if self._download.unfinished.is_restored(index):
            return []
        return self._smart_ban.failed(index, sources, self._download.content(index))

    def _ban(self, peer: Peer, index: int) -> None:
        self._swarm.peers.ban(
            peer, CorruptPeerError(f"{peer.connection.remote} sent corrupt blocks of piece {index}")
        )

    def _on_verified(self, indexes: list[int]) -> None:
        swarm, picker = self._swarm, self._download.picker
        for peer in picker.pieces_verified(indexes):
            peer.set_interested(False)
        swarm.on_pieces(indexes)
        if not self._announce:
            swarm.facilities.loop.call_soon(self.tell_haves)
        self._announce += indexes
        if picker.is_finished:
            swarm.on_finished()

    def tell_haves(self) -> None:
        """Tell all peers about the pieces of this turn of the loop, in one write each; those who
        can do nothing with it hear of them with the next ones, or within seconds."""
        if not self._announce:
            return
        indexes, self._announce = self._announce, []
        frames, is_last = encoder.haves(indexes), self._download.picker.is_finished
        for peer in list(self._swarm.peers.connected):
            if is_last or peer.can_use(indexes):
                peer.send(peer.take_late_haves() + frames)
            else:
                peer.late_haves += indexes
                if len(peer.late_haves) >= _MANY_LATE:
                    peer.send(peer.take_late_haves())
