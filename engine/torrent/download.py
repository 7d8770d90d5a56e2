"""Fetching one torrent: the road of a block from socket to disk (BEP 3, 6). HOT.

    Block ─► wanted? ─► its piece's buffer (THE ONE COPY) ─► last one? ─► disk: verify, write
    ◄─ completion on the loop: have, tell peers, buffer back to the pool

A piece is begun only when its buffer is promised, and buffers are few: that is the back-pressure,
since nothing is asked for that has no place to go. Peers that found none wait in `_starved`. The
memory is lent when the first block is there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from engine.core.file_choice import FileChoice
from engine.core.geometry import BLOCK_LENGTH, Span
from engine.errors import ProtocolError
from engine.swarm.idle_peers import IdlePeers
from engine.swarm.piece_picker import PiecePicker
from engine.swarm.request_queue import MIN_DEPTH, SNUB_S
from engine.torrent.completion import Completion
from engine.torrent.peer import Peer
from engine.torrent.unfinished import Unfinished, UnfinishedBlock, by_piece, is_of, put_back
from engine.wire import encoder
from engine.wire.messages import BlockRun, JoinedBlocks

if TYPE_CHECKING:
    from engine.torrent.live import LiveTorrent

log = logging.getLogger(__name__)

IDLE_PATIENCE_S = 8.0
"""How long a silent peer keeps its requests, and any peer one request, while another has nothing
left to be asked for: in the end game, or when buffers or a suspect piece are all left to others."""
STUCK_S = 15.0
"""A piece is given up after this long: a peer that choked us may soon unchoke us again."""
_JOINED = 2
"""Blocks that an idle peer is asked for in the end game although others are asked for them."""
_JOINED_SHARE = 8
"""Or this part of its queue, where that is more: far away and fast, two at a time take long."""
_EARLIER_LIFE = cast(Any, object())
"""Stands for the unknown peers that sent blocks before a restart; nobody can be blamed for them."""


class Download:
    """The fetching half of a torrent. Exists, idle, while seeding too: pieces can be found bad."""

    __slots__ = (
        "_buffers",
        "_feed_is_due",
        "_idle",
        "_starved",
        "_stuck",
        "_swarm",
        "completion",
        "picker",
        "unfinished",
    )

    def __init__(self, swarm: LiveTorrent) -> None:
        self._swarm = swarm
        self.picker: PiecePicker[Peer] = PiecePicker(
            swarm.geometry, swarm.have, swarm.facilities.rng, can_begin=self._can_begin
        )
        self._buffers: dict[int, memoryview | None] = {}
        """Of the pieces that room is promised to; None: no block of it came yet."""
        self._starved: dict[Peer, None] = {}
        self._idle = IdlePeers()
        self._feed_is_due = False
        self._stuck: tuple[int, float] | None = None
        """A begun piece that nobody can finish, and since when."""
        self.unfinished = Unfinished()
        self.completion = Completion(swarm, self)

    # ── what peers tell ─────────────────────────────────────────────────────────────────────────

    def on_haves(self, peer: Peer, indexes: Sequence[int]) -> None:
        """A peer got pieces. In a torrent of very many each time costs as much as a thousand."""
        is_wanted = self.picker.peer_gained(peer, *indexes)
        for index in indexes:
            self._swarm.upload.on_have(peer, index)
            if self._swarm.disguise is not None:
                self._swarm.disguise.on_have(peer, index)
        if peer.pieces.is_full and self._swarm.peers.drop_if_useless(peer):
            return
        if is_wanted and not peer.protocol.am_interested:
            peer.set_interested(True)
        if peer.protocol.am_interested and not peer.queue.outstanding:
            self.refill(peer)

    def on_pieces(self, peer: Peer) -> None:
        """The peer said all that it has, at once."""
        peer.pieces = peer.protocol.peer_pieces
        peer.had_at_first = peer.pieces.count
        self.picker.peer_added(peer, peer.pieces)
        self._swarm.upload.on_pieces(peer)
        if self._swarm.disguise is not None:
            self._swarm.disguise.on_peer(peer)
        if not self._swarm.peers.drop_if_useless(peer):
            self.update_interest(peer)
            if not peer.queue.outstanding:
                self.refill(peer)

    def update_interest(self, peer: Peer) -> None:
        peer.set_interested(self.picker.is_interesting(peer.pieces))

    def on_unchoked(self, peer: Peer) -> None:
        self.refill(peer)

    def on_choked(self, peer: Peer) -> None:
        # With the fast extension every request is answered with a block or a reject (BEP 6);
        # without it a choke drops them all.
        if not peer.protocol.is_fast:
            self._release(peer, peer.queue.clear())

    def on_reject(self, peer: Peer, index: int, begin: int, length: int) -> None:
        if peer.queue.rejected(index, begin):
            if peer.protocol.peer_choking:
                peer.protocol.allowed_fast.discard(index)
            self._release(peer, [(index, begin, length)])

    def on_allowed_fast(self, peer: Peer, index: int) -> None:
        if peer.pieces[index]:
            self.refill(peer)

    def forget(self, peer: Peer) -> None:
        """The peer is gone: what it was asked for is free again."""
        self._starved.pop(peer, None)
        peer.queue.clear()
        self.picker.peer_removed(peer)
        self.feed_soon()

    def _release(self, peer: Peer, requests: Iterable[tuple[int, int, int]]) -> None:
        self.picker.release(peer, requests)
        self.feed_soon()

    # ── asking ──────────────────────────────────────────────────────────────────────────────────

    def on_progress(self, peer: Peer) -> None:
        """Top up what a peer that sent blocks is asked for. HOT: once per batch of blocks.

        While buffers are all in use none is looked for each time: when one comes free `_feed` asks.
        """
        if peer not in self._starved or not peer.queue.outstanding:
            self.refill(peer)

    def refill(self, peer: Peer) -> None:
        """Top up what the peer is asked for, in one batch. HOT."""
        protocol = peer.protocol
        if not protocol.am_interested or not self._swarm.is_downloading:
            return
        allowed = None
        if protocol.peer_choking:
            allowed = protocol.allowed_fast
            if not allowed:
                return
        now = self._swarm.now()
        count = peer.queue.room(now)
        if count and self.picker.is_end_game:
            count = self._joined(peer, count)
        if not count:
            return
        batch = self.picker.pick(peer, peer.pieces, count, allowed=allowed, slow=peer.is_slow)
        if batch:
            count -= peer.queue.requested(batch, now)
            peer.spoke_at = now
            peer.connection.write(encoder.requests(batch))
        if count > 0 and not protocol.peer_choking:
            if self.picker.is_interesting(peer.pieces):
                self._starved[peer] = None
            elif not peer.queue.outstanding:
                peer.set_interested(False)

    def _joined(self, peer: Peer, count: int) -> int:
        """How many blocks to ask a peer for that others are asked for already: a few, and of none
        that has something to send us. What arrives twice is what others of the swarm go without.
        """
        if not peer.queue.outstanding:
            return min(count, max(_JOINED, peer.queue.depth // _JOINED_SHARE))
        self._starved[peer] = None
        return 0

    def _can_begin(self, indexes: range) -> int:
        """Get the promise of buffers that pieces are begun with, for as many as there are."""
        reserve, size = self._swarm.facilities.buffers.reserve, self._swarm.geometry.piece_length
        buffers = self._buffers
        begun = 0
        for index in indexes:
            if not reserve(size, at_least=2 - len(buffers)):
                break
            buffers[index] = None
            begun += 1
        self.unfinished.begun(indexes[:begun], self._swarm.now())
        return begun

    def feed_soon(self) -> None:
        """Buffers or blocks came free: once this turn of the loop is over let those ask who found
        nothing. Rejects and completed pieces come by the hundred, and are answered together."""
        if not self._feed_is_due:
            self._feed_is_due = True
            self._swarm.facilities.loop.call_soon(self._feed)

    def _feed(self) -> None:
        self._feed_is_due = False
        for peer in self._swarm.peers.connected:
            if peer.protocol.am_interested and not peer.queue.outstanding:
                self._starved[peer] = None
        starved, self._starved = self._starved, {}
        # What is left may be little: first those who will send it soon.
        for peer in sorted(starved, key=lambda peer: peer.queue.depth <= MIN_DEPTH):
            if not peer.connection.is_closed:
                self.refill(peer)
                peer.connection.flush()

    # ── the road ────────────────────────────────────────────────────────────────────────────────

    def on_run(self, peer: Peer, run: BlockRun) -> None:
        """Take blocks in that came one behind the other. If they are what this peer was asked for,
        all that is done for each of them is the copy. Raises as `on_block`. HOT."""
        index, begin, views = run
        begins = range(begin, begin + len(views) * BLOCK_LENGTH, BLOCK_LENGTH)
        if len(views) == 1 or not self.picker.asks_run(peer, index, begins):
            for begin, view in zip(begins, views, strict=True):
                self.on_block(peer, index, begin, view)
            return
        buffer = self._buffers[index] or self._lend(index)
        for begin, view in zip(begins, views, strict=True):
            buffer[begin : begin + BLOCK_LENGTH] = view
        self.on_landed(peer, index, begins)

    def on_joined(self, peer: Peer, blocks: JoinedBlocks) -> None:
        """Take blocks in that came in one message. Raises as `on_block`. HOT."""
        index, begin, view = blocks
        if (place := self.place_for(peer, index, begin, len(view))) is not None:
            place[:] = view
            self.on_landed(peer, index, range(begin, begin + len(view), BLOCK_LENGTH))
            return
        for at in range(0, len(view), BLOCK_LENGTH):
            self.on_block(peer, index, begin + at, view[at : at + BLOCK_LENGTH])

    def place_for(self, peer: Peer, index: int, begin: int, length: int) -> memoryview | None:
        """Where whole blocks belong that this peer and no other is asked for; None if they are not.
        Once they are there, and before anything else happens, `on_landed` must be called. HOT."""
        end = begin + length
        if not self.picker.asks_run(peer, index, range(begin, end, BLOCK_LENGTH)):
            return None
        return (self._buffers[index] or self._lend(index))[begin:end]

    def on_landed(self, peer: Peer, index: int, begins: range) -> None:
        """Count whole blocks in a row that are in their place. HOT."""
        receipt = self.picker.received_run(peer, index, begins)
        peer.queue.received_run(index, begins, peer.heard_at)
        if receipt.completed:
            self.completion.add(index)

    def on_block(self, peer: Peer, index: int, begin: int, view: memoryview) -> None:
        """Take a block in. Raises ProtocolError for one that cannot be ours. HOT."""
        length = len(view)
        if not peer.queue.received(index, begin, peer.heard_at):
            self._on_unrequested(peer, index, begin, length)
            return
        receipt = self.picker.received(peer, index, begin, length)
        if not receipt.accepted:
            if length != self._swarm.geometry.block_size(index, begin // BLOCK_LENGTH):
                # Nobody waits for it any more, and nobody else would be asked for it.
                raise ProtocolError(f"{peer.connection.remote} sent {length} bytes of a block")
            return
        buffer = self._buffers[index] or self._lend(index)
        buffer[begin : begin + length] = view
        if receipt.cancel:
            for other in receipt.cancel:
                other.queue.cancelled(index, begin)
                other.send(encoder.cancel(index, begin, length))
                if not other.queue.outstanding:
                    self._starved[other] = None
        if receipt.completed:
            self.completion.add(index)

    def _lend(self, index: int) -> memoryview:
        buffer = self._swarm.facilities.buffers.lend(self._swarm.geometry.piece_length)
        self._buffers[index] = buffer
        return buffer

    def _on_unrequested(self, peer: Peer, index: int, begin: int, length: int) -> None:
        """A block that was cancelled or timed out comes too late; any other is an offence."""
        if not self._swarm.geometry.contains(index, begin, length) or begin % BLOCK_LENGTH:
            raise ProtocolError(f"{peer.connection.remote} sent a block that does not exist")
        self.picker.duplicate_bytes += length
        if not peer.queue.forgive_late():
            raise ProtocolError(f"{peer.connection.remote} sends blocks nobody asked for")

    def content(self, index: int) -> memoryview:
        """The bytes of a complete piece, until it is `ended`."""
        buffer = self._buffers[index]
        assert buffer is not None
        return buffer[: self._swarm.geometry.piece_size(index)]

    def ended(self, index: int) -> None:
        """A begun piece is written, or all that came of it is given up."""
        self._release_buffer(index)
        self.unfinished.ended(index)

    # ── when other files are wanted ─────────────────────────────────────────────────────────────

    def choose(self, choice: FileChoice | None) -> None:
        """Ask for what is wanted now, and for nothing else."""
        info = self._swarm.info
        self.picker.set_wanted(*((choice.wanted, choice.urgent(info)) if choice else (None,)))
        begun = [partial.index for partial in self.picker.partials()]
        for index in [index for index in begun if not self.picker.interested_in(index)]:
            self._drop(index)
        for peer in self._swarm.peers.connected:
            self.update_interest(peer)
        self.feed_soon()

    # ── every second ────────────────────────────────────────────────────────────────────────────

    def tick(self, peer: Peer, now: float) -> None:
        """Release what a peer was asked for and does not send."""
        is_holding_up = self.picker.is_end_game or bool(self._starved)
        patience_s = IDLE_PATIENCE_S if is_holding_up else SNUB_S
        lost = peer.queue.tick(now, peer.down.rate, patience_s=patience_s)
        lost += self._overdue(peer, now)
        peer.is_snubbed = peer.queue.is_snubbed
        if lost:
            for request in lost:
                peer.connection.write(encoder.cancel(*request))
            self._starved.pop(peer, None)  # others come first
            self._release(peer, lost)
        elif self._feed_is_due:
            return  # it has its turn there
        elif not peer.queue.outstanding or peer in self._starved:
            # Its queue may have paused after rejects, or another torrent's buffer come free.
            self.refill(peer)

    def _overdue(self, peer: Peer, now: float) -> list[Span]:
        """Take back what a peer has not sent for long and an idle one could send. Who gave a block
        now and then could hold all buffers, or a suspect piece, for half an hour and longer."""
        idle = (other.pieces for other in self._starved if not other.queue.outstanding)
        if not self._idle.see(idle, now) or self._swarm.down.waiting:  # it is we who do not read
            return []
        lost = peer.queue.take_back(now - IDLE_PATIENCE_S, self._idle.could_send)
        if lost:
            indexes = {span[0] for span in lost}
            for partial in list(self.picker.partials()):
                if partial.is_solo and partial.index in indexes:
                    self._drop(partial.index)  # whole: who has it next is to send all of it
        return lost

    def _drop(self, index: int) -> None:
        """Give up a begun piece, and what was asked of it."""
        for peer, request in self.picker.piece_dropped(index):
            if peer.queue.cancelled(request[0], request[1]):
                peer.send(encoder.cancel(*request))
        self.ended(index)

    def drop_stuck_pieces(self) -> None:
        """Give up a begun piece that no peer can finish while others wait for its buffer."""
        index = self.picker.evictable() if self._starved else None
        if index is None:
            self._stuck = None
        elif self._stuck is None or self._stuck[0] != index:
            self._stuck = index, self._swarm.now()
        elif self._swarm.now() - self._stuck[1] > STUCK_S:
            self.picker.piece_dropped(index)
            self.ended(index)
            self.feed_soon()

    # ── over a restart ──────────────────────────────────────────────────────────────────────────

    def restore(self, kept: Iterable[UnfinishedBlock]) -> None:
        """Begin pieces with the blocks that an earlier life received. Call it before any peer."""
        geometry = self._swarm.geometry
        for piece, blocks in by_piece(kept).items():
            self.unfinished.restored(piece, set(blocks))
            if is_of(geometry, piece, blocks) and self.picker.restore(piece, blocks, _EARLIER_LIFE):
                put_back(self._lend(piece), blocks)
            else:
                self.unfinished.ended(piece)

    def take_unfinished(self, older_than_s: float) -> list[UnfinishedBlock]:
        """Copy the blocks to keep of the pieces that have been under way for so long."""
        before = self._swarm.now() - older_than_s
        return self.unfinished.take_new(self.picker, self._buffers, before)

    def _release_buffer(self, index: int) -> None:
        if index in self._buffers:
            size = self._swarm.geometry.piece_length
            self._swarm.facilities.buffers.release(size, self._buffers.pop(index))

    def close(self) -> None:
        """Give back the buffers that no write is using; those follow when they are written."""
        self.completion.write()
        writing = self.completion.writing
        for index in [index for index in self._buffers if index not in writing]:
            self._release_buffer(index)
        self._starved.clear()
