"""Serving one torrent: who may ask, and the road of a block from disk to socket (BEP 3, 6). HOT.

Request ─► queue (bounded) ─► pump: up to 16 requests ─► slab [header|block|header|block…]
           warm: preadv inline, one send          cold: one disk job, then the same send
           warm, and many in a row: zero_copy.py
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from engine.core.geometry import BLOCK_LENGTH, Geometry, Span
from engine.errors import PeerTimeoutError, StorageError
from engine.net.frame_pipes import MAX_FRAMES
from engine.storage.reader import gather, read
from engine.swarm.choker import Choker
from engine.swarm.debts import Debts
from engine.swarm.spreading import Spreading
from engine.swarm.upload_queue import Run
from engine.swarm.uptake import WastedTurns
from engine.torrent.peer import SILENCE_LIMIT_S, Peer
from engine.torrent.slabs import BLOCKS_PER_SLAB, SMALL_BATCH, Slab, frames_of
from engine.torrent.zero_copy import ZeroCopy
from engine.wire import encoder
from engine.wire.messages import Request, RequestRun

if TYPE_CHECKING:
    from engine.torrent.live import LiveTorrent

log = logging.getLogger(__name__)

_TICK_S = 1.0
_LEAST_BYTES = 2048
"""Who asks for less at a time has us work for next to nothing."""


class Upload:
    """The serving half of a torrent."""

    __slots__ = (
        "_rechoke_is_due",
        "_slots",
        "_swarm",
        "choker",
        "debts",
        "spreading",
        "wasted",
        "zero_copy",
    )

    def __init__(self, swarm: LiveTorrent) -> None:
        self._swarm = swarm
        self._rechoke_is_due = False
        self.choker: Choker[Peer] = Choker(
            swarm.facilities.rng, slots=swarm.facilities.limits.upload_slots or None
        )
        self.wasted = WastedTurns()
        self.debts: Debts = Debts()
        self.spreading: Spreading[Peer] = Spreading(swarm.geometry.piece_count)
        self.zero_copy = ZeroCopy(swarm, self.count)
        self._slots = 0
        """The most there were so far."""

    @property
    def slots(self) -> int:
        """How many peers may be unchoked now."""
        return self.choker.slots(
            self._swarm.peers.connected, upload_limit=self._upload_limit(), had=self._had
        )

    @property
    def _had(self) -> int | None:
        return None if self._swarm.wants_nothing else self._swarm.have.count

    def on_pieces(self, peer: Peer) -> None:
        """A peer said all that it has."""
        if self._watches_spreading:
            self.spreading.came_with(peer, peer.pieces)

    def on_have(self, peer: Peer, index: int) -> None:
        if self._watches_spreading:
            self.spreading.gained(peer, index)

    @property
    def _watches_spreading(self) -> bool:
        """A super-seed decides by itself who gets what."""
        return self._swarm.wants_nothing and self._swarm.disguise is None

    # ── who may ask ─────────────────────────────────────────────────────────────────────────────

    def on_interested(self, peer: Peer) -> None:
        """Unchoke at once while slots are free: waiting for a tick is what makes clients slow."""
        if not peer.protocol.am_choking:
            return
        if self.choker.has_room(
            self._swarm.peers.connected, peer, upload_limit=self._upload_limit(), had=self._had
        ):
            peer.unchoke(self._swarm.now())
        else:
            self._swarm.conversation.grant_allowed_fast(peer)

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
        self._judge_turns(self._swarm.now())
        decision = self.choker.decide(
            self._swarm.peers.connected,
            self._swarm.now(),
            seeding=self._swarm.wants_nothing,
            upload_limit=self._upload_limit(),
            had=self._had,
        )
        for peer in decision.choke:
            self._choke(peer)
        for peer in decision.unchoke:
            peer.unchoke(self._swarm.now())
        for peer in self._swarm.peers.connected:
            peer.is_optimistic = peer is decision.optimistic

    def _judge_turns(self, now: float) -> None:
        for peer in self._swarm.peers.connected:
            host = peer.household
            peer.hoards = self._watches_spreading and self.spreading.hoards(peer)
            has_turn = not peer.is_choked and peer.is_interested
            if has_turn and peer.uptake.is_wasted(now, peer.unchoked_at):
                self.wasted.add(host, now)
            peer.comes_last = self.wasted.comes_last(host, now)

    def tick(self, now: float) -> None:
        """Once a second: see who takes what it asked for, and part from who never does; see who
        gives nothing back."""
        if (slots := self.slots) > self._slots:
            self._slots = slots
            self.rechoke_soon()
        for peer in list(self._swarm.peers.connected):
            connection = peer.connection
            peer.uptake.look(
                now,
                sent=connection.bytes_sent,
                is_pending=connection.pending_bytes > 0,
                served=peer.up.total,
                has_asked=bool(peer.uploads),
            )
            if peer.uptake.stalled_s > SILENCE_LIMIT_S:
                connection.close(PeerTimeoutError(f"{connection.remote} takes nothing any more"))
            elif not self._swarm.wants_nothing:
                self._look_at_debt(peer)

    def _look_at_debt(self, peer: Peer) -> None:
        given, received = peer.accounted
        peer.accounted = peer.up.total, peer.down.total
        is_waiting = peer.protocol.am_interested and peer.protocol.peer_choking
        owed = peer.owes
        peer.debt.add(
            given=peer.up.total - given,
            received=peer.down.total - received,
            waited_s=_TICK_S if is_waiting else 0.0,
        )
        # What it has it will not give: pieces that no other peer has are rare all the same.
        self._swarm.download.picker.peers.gives(peer, not peer.owes)
        if peer.owes and not owed and not peer.is_choked:
            self.rechoke_soon()

    def _upload_limit(self) -> int:
        rates = [rate for rate in (self._swarm.up.own.rate, self._swarm.up.shared.rate) if rate]
        return min(rates, default=0)

    def _choke(self, peer: Peer) -> None:
        peer.choke()
        # With the fast extension every request is answered, be it by a reject (BEP 6).
        self._reject(peer, peer.uploads.keep(lambda request: request[0] in peer.granted_fast))

    def _reject(self, peer: Peer, requests: Iterable[Span]) -> None:
        if peer.protocol.is_fast:
            for request in requests:
                peer.send(encoder.reject(*request))

    # ── the road ────────────────────────────────────────────────────────────────────────────────

    def on_requests(self, peer: Peer, requests: Sequence[Request | RequestRun]) -> None:
        """Queue requests, or reject them. Raises ProtocolError if one can never be served. HOT."""
        have, uploads = self._swarm.have, peer.uploads
        is_choked = peer.protocol.am_choking
        most = self._swarm.facilities.limits.max_request_queue
        piece_length = self._swarm.geometry.piece_length
        fruitless = 0
        for request in requests:
            peer.protocol.check_request(request)
            if isinstance(request, Request):
                fruitless += self._queue_some(peer, [request])
                continue
            index, begin, count = request
            last = index + (begin + count * BLOCK_LENGTH - 1) // piece_length
            is_had = have.is_full or all(have[piece] for piece in range(index, last + 1))
            if is_had and not is_choked and len(uploads) + count <= most:
                waiting = len(uploads)
                uploads.add_run(index, begin, count)
                fruitless += waiting + count - len(uploads)
            else:
                blocks = _blocks_of(request, self._swarm.geometry)
                fruitless += self._queue_some(peer, blocks)
        if fruitless:
            peer.count_talk(fruitless)

    def _queue_some(self, peer: Peer, requests: Iterable[Request]) -> int:
        """Queue what we serve, and reject the others, but for those that wait already: a reject
        would be the answer to the first request, and then comes the block.

        Returns how many were fruitless: nothing comes of them, or not worth the message.
        """
        have, uploads, granted = self._swarm.have, peer.uploads, peer.granted_fast
        may_ask = not peer.protocol.am_choking
        most = self._swarm.facilities.limits.max_request_queue
        fruitless = 0
        for request in requests:
            index = request[0]
            if have[index] and (may_ask or index in granted) and len(uploads) < most:
                waiting = len(uploads)
                uploads.add(*request)
                fruitless += len(uploads) == waiting or _is_petty(request, self._swarm.geometry)
            else:
                fruitless += 1
                if request not in uploads:
                    self._reject(peer, (request,))
        return fruitless

    def on_cancel(self, peer: Peer, index: int, begin: int, length: int) -> None:
        request = Request(index, begin, length)
        if peer.uploads.cancel(request):
            self._reject(peer, (request,))

    def pump(self, peer: Peer) -> None:
        """Send what was asked for, as far as the socket, the limits and the page cache allow.

        What waits in the connection can be cancelled no more, and what else we say waits behind it:
        on a slow line no more than a block, on a fast one a batch of them twice.
        """
        connection = peer.connection
        while (
            peer.uploads
            and not peer.is_reading_disk
            and connection.pending_bytes < peer.batch * BLOCK_LENGTH
            and not connection.is_closed
        ):
            quota = self._swarm.up.quota(peer)
            if quota <= 0:
                self._swarm.up.wait(peer, peer.on_writable)
                return
            self._send_batch(peer, quota)
            connection.flush()
            if not connection.pending_bytes and peer.batch < _most_at_once(peer):
                peer.batch *= 2  # the kernel takes all: a link that can do with more at a time

    def _send_batch(self, peer: Peer, quota: int) -> None:
        swarm = self._swarm
        geometry, files = swarm.geometry, swarm.files
        most = min(peer.batch, _most_at_once(peer), max(1, quota // BLOCK_LENGTH))
        batch = peer.uploads.take(most)
        if self._watches_spreading:
            for index in _pieces_of(batch, geometry.blocks_per_piece):
                self.spreading.sent(peer, index)
        if peer.connection.sends_spans and most > SMALL_BATCH:
            batch = self.zero_copy.send(peer, batch)
            if not batch:
                return
            peer.batch = min(peer.batch, BLOCKS_PER_SLAB)
            if (left := sum(map(frames_of, batch))) > BLOCKS_PER_SLAB:
                peer.uploads.put_back(batch)
                batch = peer.uploads.take(min(left, BLOCKS_PER_SLAB))
        frames = sum(map(frames_of, batch))
        is_small = frames <= SMALL_BATCH
        slab = Slab(frames) if is_small else swarm.facilities.slabs.acquire()
        runs, size = slab.lay_out(batch, geometry, peer.joined)
        payload = sum([len(view) for _, views in runs for view in views])
        swarm.up.take(size, peer)
        view = slab.view[:size]
        try:
            warm = gather(files, runs)
        except StorageError as error:
            self._read_failed(peer, slab, is_small, error)
            return
        if warm:
            self._send(peer, slab, view, payload, is_small)
            return
        peer.is_reading_disk = True
        swarm.facilities.disk.submit(
            lambda: read(files, geometry, runs),
            lambda result: self._on_read(peer, slab, view, payload, is_small, result),
        )

    def _on_read(
        self,
        peer: Peer,
        slab: Slab,
        view: memoryview,
        payload: int,
        is_small: bool,
        result: object,
    ) -> None:
        peer.is_reading_disk = False
        if isinstance(result, Exception):
            self._read_failed(peer, slab, is_small, result)
            return
        if peer.connection.is_closed:  # nothing is sent, and nothing counts as sent
            self._give_back(slab, is_small)
            return
        self._send(peer, slab, view, payload, is_small)
        peer.connection.flush()
        self.pump(peer)

    def _send(self, peer: Peer, slab: Slab, view: memoryview, payload: int, is_small: bool) -> None:
        self.count(peer, payload)
        slabs = self._swarm.facilities.slabs
        peer.connection.write(view, None if is_small else lambda: slabs.release(slab))

    def count(self, peer: Peer, payload: int) -> None:
        """So many bytes of blocks were handed to a connection."""
        peer.spoke_at = self._swarm.now()
        peer.up.add(payload)
        self._swarm.count_uploaded(payload)

    def _give_back(self, slab: Slab, is_small: bool) -> None:
        if not is_small:
            self._swarm.facilities.slabs.release(slab)

    def _read_failed(self, peer: Peer, slab: Slab, is_small: bool, error: Exception) -> None:
        self._give_back(slab, is_small)
        peer.connection.close(None)
        self._swarm.storage_failed(error)


def _blocks_of(run: RequestRun, geometry: Geometry) -> Iterator[Request]:
    first = geometry.block_number(run.index, run.begin)
    for number in range(first, first + run.count):
        yield Request(*geometry.block_place(number), BLOCK_LENGTH)


def _most_at_once(peer: Peer) -> int:
    """Blocks; those that the kernel sends by itself need no slab."""
    return max(peer.joined, MAX_FRAMES) if peer.connection.sends_spans else BLOCKS_PER_SLAB


def _is_petty(request: Request, geometry: Geometry) -> bool:
    """It asks for next to nothing though there is more behind it."""
    index, begin, length = request
    return length < _LEAST_BYTES and begin + length < geometry.piece_size(index)


def _pieces_of(batch: Iterable[Run | Span], blocks_per_piece: int) -> Iterator[int]:
    for entry in batch:
        if len(entry) == 2:
            yield from range(entry[0] // blocks_per_piece, (entry[1] - 1) // blocks_per_piece + 1)
        else:
            yield entry[0]
