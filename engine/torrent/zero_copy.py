"""Blocks that leave the page cache without a copy: the kernel sends them by itself (BEP 3). HOT.

    joined blocks are taken: up to 64 ─► [header] and a span of the open file    sendfile
    else:                    up to 32 ─► a pipe of [header|block|header|block…]  splice

Only where many are sent at a time; for few a copy costs less than the system calls.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from engine.core.geometry import BLOCK_LENGTH, Span
from engine.net.kernel_span import FileSpan
from engine.storage.reader import read
from engine.swarm.upload_queue import Run
from engine.torrent.peer import Peer
from engine.torrent.slabs import joined_frames
from engine.wire import encoder

if TYPE_CHECKING:
    from engine.torrent.live import LiveTorrent

_WORTH_A_SPAN = 4
"""Blocks for which asking where they are and two system calls cost less than a copy."""
_WORTH_A_PIPE = 12
"""And those for which two more do."""
_MANY_WRITES = 8
"""What waits of files keeps them open: who asks for a bit of each and reads none must not have us
run out of descriptors."""


class ZeroCopy:
    """Of one torrent. `count` is told of each payload that was handed to a connection."""

    __slots__ = ("_count", "_swarm")

    def __init__(self, swarm: LiveTorrent, count: Callable[[Peer, int], None]) -> None:
        self._swarm = swarm
        self._count = count

    def send(self, peer: Peer, batch: list[Run | Span]) -> list[Run | Span]:
        """Send from the front of a batch as long as that can be done so; returns the rest."""
        joined, per_piece = peer.joined, self._swarm.geometry.blocks_per_piece
        send = self._send_file if joined > 1 else self._send_pipe
        for number, entry in enumerate(batch):
            if len(entry) == 3:
                return batch[number:]
            runs = joined_frames(*entry, per_piece, joined) if joined > 1 else (entry,)
            for first, end in runs:
                if not send(peer, first, end):
                    return [(first, entry[1]), *batch[number + 1 :]]
        return []

    def _send_file(self, peer: Peer, first: int, end: int) -> bool:
        """Send blocks of one piece as one frame; False if they are few, or not in the cache."""
        geometry, connection = self._swarm.geometry, peer.connection
        if end - first < _WORTH_A_SPAN or connection.pending_writes >= _MANY_WRITES:
            return False
        offset, length = first * BLOCK_LENGTH, (end - first) * BLOCK_LENGTH
        lent = self._swarm.files.lend_nowait(offset, length)
        if lent is None:
            return False
        head = encoder.piece_header(*geometry.block_place(first), length)
        lost = partial(self._look_at, offset, length)
        connection.write(head)
        connection.write_span(FileSpan(lent.fd, lent.at, length, lost), lent.give_back)
        self._sent(peer, len(head), length)
        return True

    def _send_pipe(self, peer: Peer, first: int, end: int) -> bool:
        """Send blocks as a frame each; returns as `_send_file`."""
        if end - first < _WORTH_A_PIPE:
            return False
        length = (end - first) * BLOCK_LENGTH
        lent = self._swarm.files.lend_nowait(first * BLOCK_LENGTH, length)
        if lent is None:
            return False
        heads = encoder.run_headers(range(first, end), self._swarm.geometry.blocks_per_piece)
        piped = self._swarm.facilities.pipes.fill(heads, lent.fd, lent.at, end - first)
        lent.give_back()
        if piped is None:
            return False
        peer.connection.write_span(piped, piped.give_back)
        self._sent(peer, len(heads), length)
        return True

    def _sent(self, peer: Peer, heads: int, payload: int) -> None:
        self._swarm.up.take(heads + payload, peer)
        self._count(peer, payload)

    def _look_at(self, offset: int, length: int) -> None:
        """A file ends before what it should have: let a disk thread see what is wrong there."""
        files, geometry = self._swarm.files, self._swarm.geometry
        self._swarm.facilities.disk.submit(
            lambda: read(files, geometry, [(offset, [bytearray(length)])]), self._on_looked
        )

    def _on_looked(self, result: object) -> None:
        if isinstance(result, Exception):
            self._swarm.storage_failed(result)
