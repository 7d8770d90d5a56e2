"""Legality and state of one peer connection after its handshakes (BEP 3, 6, 10).

Invariant: `peer_pieces` is what the peer said it has, and stays one object while the peer lives.
Our own half (`am_choking`, `am_interested`) is set by the owner in the moment it sends the message.
Knows nothing of who serves or picks: a legal request may still be refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

from engine.core.bitfield import Bitfield
from engine.core.geometry import BLOCK_LENGTH
from engine.errors import ProtocolError
from engine.wire.messages import (
    MAX_BLOCK_BYTES,
    AllowedFast,
    BitfieldMessage,
    Block,
    BlockRun,
    Cancel,
    Choke,
    Extended,
    Have,
    HaveAll,
    HaveNone,
    Interested,
    JoinedBlocks,
    KeepAlive,
    Message,
    NotInterested,
    Port,
    Reject,
    Request,
    RequestRun,
    Suggest,
    Unchoke,
    Unknown,
)

if TYPE_CHECKING:
    from engine.core.geometry import Geometry

MAX_ALLOWED_FAST: Final = 128
"""Allowed-fast pieces remembered per peer; ten are usual (BEP 6), and the rest is only advice."""

_MAY_COME_FIRST: Final = (KeepAlive, Extended, Port, Unknown)
"""What may stand before the bitfield: many clients send their extension handshake first."""


class PeerProtocol:
    """State of one connection. `fast` and `extensions` say what both handshakes agreed on."""

    __slots__ = (
        "_extensions",
        "_fast",
        "_geometry",
        "_last_piece",
        "_piece_length",
        "allowed_fast",
        "am_choking",
        "am_interested",
        "is_opening",
        "peer_choking",
        "peer_interested",
        "peer_pieces",
    )

    def __init__(self, geometry: Geometry, *, fast: bool, extensions: bool) -> None:
        self._geometry = geometry
        self._last_piece = geometry.piece_count - 1
        self._piece_length = geometry.piece_length
        self._fast = fast
        self._extensions = extensions
        self.is_opening = True
        """The peer may still say all that it has."""
        self.am_choking = True
        self.am_interested = False
        self.peer_choking = True
        self.peer_interested = False
        self.peer_pieces = Bitfield(geometry.piece_count)
        self.allowed_fast: set[int] = set()
        """Pieces that the peer serves us even while it chokes us (BEP 6)."""

    @property
    def is_fast(self) -> bool:
        """Whether BEP 6 is in force."""
        return self._fast

    @property
    def has_extensions(self) -> bool:
        """Whether BEP 10 is in force."""
        return self._extensions

    def received(self, message: Message) -> bool:
        """Apply a message. False: it says nothing new and may be ignored.

        Must be shown every message in order, except that Blocks may be left out: they change
        nothing here. Raises ProtocolError on one that is illegal now.
        """
        if isinstance(message, (Request, RequestRun)):
            self.check_request(message)
            return True
        if isinstance(message, (BitfieldMessage, HaveAll, HaveNone)):
            return self._said_all(message)
        if not isinstance(message, _MAY_COME_FIRST):
            self.is_opening = False
        match message:
            case Have(index):
                self._check_index(index)
                return self.peer_pieces.add(index)
            case Choke():
                was, self.peer_choking = self.peer_choking, True
                return not was
            case Unchoke():
                was, self.peer_choking = self.peer_choking, False
                return was
            case Interested():
                was, self.peer_interested = self.peer_interested, True
                return not was
            case NotInterested():
                was, self.peer_interested = self.peer_interested, False
                return was
            case Cancel(index, begin, length):
                self._check_span(index, begin, length)
            case Extended():
                if not self._extensions:
                    raise ProtocolError("extended message without the extension protocol")
            case KeepAlive() | Port() | Unknown():
                pass
            case Block(index, begin, view) | JoinedBlocks(index, begin, view):
                self._check_span(index, begin, len(view))
            case BlockRun(index, begin, views):
                for number, view in enumerate(views):
                    self._check_span(index, begin + number * BLOCK_LENGTH, len(view))
            case Suggest(index):
                self._check_fast("suggest")
                self._check_index(index)
            case Reject(index, begin, length):
                self._check_fast("reject")
                self._check_span(index, begin, length)
            case AllowedFast(index):
                self._check_fast("allowed fast")
                self._check_index(index)
                if index in self.allowed_fast or len(self.allowed_fast) >= MAX_ALLOWED_FAST:
                    return False
                self.allowed_fast.add(index)
            case _:
                assert_never(message)
        return True

    def check_request(self, request: Request | RequestRun) -> None:
        """What `received` does for requests, which change nothing. Raises ProtocolError. HOT."""
        self.is_opening = False
        index, begin, length = request
        if type(request) is RequestRun:
            end = index * self._piece_length + begin + length * BLOCK_LENGTH
            if begin >= self._piece_length or end > self._geometry.total_length:
                raise ProtocolError(f"requests of {length} blocks from {begin} of piece {index}")
            return
        if length > MAX_BLOCK_BYTES:
            raise ProtocolError(f"request of {length} bytes")
        # Only the last piece is of another size: that question is for the geometry.
        if length <= 0 or index >= self._last_piece or begin + length > self._piece_length:
            self._check_span(index, begin, length)

    def _said_all(self, message: BitfieldMessage | HaveAll | HaveNone) -> bool:
        """Take what the peer has in one go.

        BEP 3 wants that first or never, but aria2 says it again instead of many a HAVE, and who
        hangs up on that starves it. What was had once stays had.
        """
        is_first, self.is_opening = self.is_opening, False
        if isinstance(message, BitfieldMessage):
            theirs = Bitfield.from_bytes(message.bits, self._geometry.piece_count)
            return self.peer_pieces.update(theirs)
        self._check_fast(type(message).__name__)
        if isinstance(message, HaveAll):
            return self.peer_pieces.update(Bitfield.full(self._geometry.piece_count))
        if not is_first:
            raise ProtocolError("HaveNone in the middle of the conversation")
        return False

    def _check_fast(self, what: str) -> None:
        if not self._fast:
            raise ProtocolError(f"{what} without the fast extension")

    def _check_index(self, index: int) -> None:
        if index >= self._geometry.piece_count:
            raise ProtocolError(f"piece {index} of {self._geometry.piece_count}")

    def _check_span(self, index: int, begin: int, length: int) -> None:
        if not self._geometry.contains(index, begin, length):
            raise ProtocolError(f"no such block: {index}:{begin}+{length}")
