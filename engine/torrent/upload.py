"""Serving one torrent: who may ask, and the road of a block from disk to socket (BEP 3, 6). HOT.

Request ─► queue (bounded) ─► pump: up to 16 requests ─► slab [header|block|header|block…]
           warm: preadv inline, one send          cold: one disk job, then the same send
"""

from __future__ import annotations

import logging
from itertools import islice
from typing import TYPE_CHECKING

from engine.core.geometry import BLOCK_LENGTH
from engine.errors import StorageError
from engine.net.peer_connection import LOW_WATERMARK_BYTES
from engine.storage.reader import gather, read
from engine.swarm.choker import Choker
from engine.torrent.peer import Peer
from engine.torrent.slabs import BLOCKS_PER_SLAB, FRAME_LENGTH, SMALL_BATCH
from engine.wire import encoder
from engine.wire.encoder import PIECE_HEADER_LENGTH, pack_piece_header_into
from engine.wire.messages import Request

if TYPE_CHECKING:
    from engine.torrent.live import LiveTorrent

log = logging.getLogger(__name__)


class Upload:
    """The serving half of a torrent."""

    __slots__ = ("_rechoke_is_due", "_swarm", "choker")

    def __init__(self, swarm: LiveTorrent) -> None:
        self._swarm = swarm
        self._rechoke_is_due = False
        self.choker: Choker[Peer] = Choker(
            swarm.facilities.rng, slots=swarm.facilities.limits.upload_slots or None
        )

    # ── who may ask ─────────────────────────────────────────────────────────────────────────────

    def on_interested(self, peer: Peer) -> None:
        """Unchoke at once while slots are free: waiting for a tick is what makes clients slow."""
        if peer.protocol.am_choking and self.choker.has_room(
            self._swarm.peers.connected, peer, upload_limit=self._upload_limit()
        ):
            peer.unchoke(self._swarm.now())

    def on_not_interested(self, peer: Peer) -> None:
        if not peer.protocol.am_choking:
            self._choke(peer)
            self.rechoke_soon()

    def rechoke_soon(self) -> None:
        """A slot fell free: decide anew, once for all that happens in this turn of the loop."""
        if not self._rechoke_is_due:
            self._rechoke_is_due = True
            self._swarm.facilities.loop.call_soon(self._rechoke_now)

    def _rechoke_now(self) -> None:
        self._rechoke_is_due = False
        if not self._swarm.is_closed:
            self.rechoke()

    def rechoke(self) -> None:
        """Decide anew who is unchoked. Called every ten seconds, and by `rechoke_soon`."""
        decision = self.choker.decide(
            self._swarm.peers.connected,
            self._swarm.now(),
            seeding=self._swarm.have.is_full,
            upload_limit=self._upload_limit(),
        )
        for peer in decision.choke:
            self._choke(peer)
        for peer in decision.unchoke:
            peer.unchoke(self._swarm.now())
        for peer in self._swarm.peers.connected:
            peer.is_optimistic = peer is decision.optimistic

    def _upload_limit(self) -> int:
        rates = [rate for rate in (self._swarm.up.own.rate, self._swarm.up.shared.rate) if rate]
        return min(rates, default=0)

    def _choke(self, peer: Peer) -> None:
        peer.choke()
        # With the fast extension every request is answered, be it by a reject (BEP 6).
        kept = dict.fromkeys(r for r in peer.uploads if r.index in peer.granted_fast)
        if peer.protocol.is_fast:
            for request in peer.uploads:
                if request.index not in peer.granted_fast:
                    peer.send(encoder.reject(*request))
        peer.uploads = kept

    # ── the road ────────────────────────────────────────────────────────────────────────────────

    def on_request(self, peer: Peer, request: Request) -> None:
        """Queue a request, or reject it. Raises ProtocolError if it can never be served. HOT."""
        peer.protocol.received(request)
        swarm = self._swarm
        if (
            (peer.protocol.am_choking and request.index not in peer.granted_fast)
            or not swarm.have[request.index]
            or len(peer.uploads) >= swarm.facilities.limits.max_request_queue
        ):
            if peer.protocol.is_fast:
                peer.send(encoder.reject(*request))
            return
        peer.uploads[request] = None

    def on_cancel(self, peer: Peer, index: int, begin: int, length: int) -> None:
        request = Request(index, begin, length)
        if request in peer.uploads:
            del peer.uploads[request]
            if peer.protocol.is_fast:
                peer.send(encoder.reject(*request))

    def pump(self, peer: Peer) -> None:
        """Send what was asked for, as far as the socket, the limits and the page cache allow."""
        connection = peer.connection
        while (
            peer.uploads
            and not peer.is_reading_disk
            and connection.pending_bytes < LOW_WATERMARK_BYTES
            and not connection.is_closed
        ):
            quota = self._swarm.up.quota()
            if quota <= 0:
                self._swarm.up.wait(peer.on_writable)
                return
            self._send_batch(peer, quota)
            connection.flush()
            if not connection.pending_bytes and peer.batch < BLOCKS_PER_SLAB:
                peer.batch *= 2  # the kernel takes all: a link that can do with more at a time

    def _send_batch(self, peer: Peer, quota: int) -> None:
        uploads = peer.uploads
        batch = list(islice(uploads, min(peer.batch, max(1, quota // BLOCK_LENGTH))))
        payload = sum([length for _, _, length in batch])
        if payload > len(batch) * BLOCK_LENGTH:  # some ask for more than a block at a time
            batch = batch[:1]
            payload = batch[0].length
        size = payload + PIECE_HEADER_LENGTH * len(batch)
        slabs = self._swarm.facilities.slabs
        slab = slabs.acquire() if size > FRAME_LENGTH * SMALL_BATCH else bytearray(size)
        view = memoryview(slab)[:size]
        at = 0
        for request in batch:
            del uploads[request]
            index, begin, length = request
            pack_piece_header_into(slab, at, index, begin, length)
            at += PIECE_HEADER_LENGTH + length
        self._swarm.up.take(size)
        files = self._swarm.files
        try:
            warm = gather(files, self._swarm.geometry, batch, view, PIECE_HEADER_LENGTH)
        except StorageError as error:
            self._read_failed(peer, slab, size, error)
            return
        if warm:
            self._send(peer, slab, view, payload)
            return
        peer.is_reading_disk = True
        self._swarm.facilities.disk.submit(
            lambda: read(files, self._swarm.geometry, batch, view, PIECE_HEADER_LENGTH),
            lambda result: self._on_read(peer, slab, view, payload, result),
        )

    def _on_read(
        self, peer: Peer, slab: bytearray, view: memoryview, payload: int, result: object
    ) -> None:
        peer.is_reading_disk = False
        if isinstance(result, Exception):
            self._read_failed(peer, slab, len(view), result)
            return
        self._send(peer, slab, view, payload)
        peer.connection.flush()
        self.pump(peer)

    def _send(self, peer: Peer, slab: bytearray, view: memoryview, payload: int) -> None:
        peer.spoke_at = self._swarm.now()
        peer.up.add(payload)
        self._swarm.count_uploaded(payload)
        slabs = self._swarm.facilities.slabs
        if len(slab) == FRAME_LENGTH * BLOCKS_PER_SLAB:
            peer.connection.write(view, lambda: slabs.release(slab))
        else:
            peer.connection.write(view)

    def _read_failed(self, peer: Peer, slab: bytearray, size: int, error: Exception) -> None:
        if size > FRAME_LENGTH * SMALL_BATCH:
            self._swarm.facilities.slabs.release(slab)
        peer.connection.close(None)
        self._swarm.storage_failed(error)
