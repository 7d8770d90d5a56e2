"""Receive buffer → messages (BEP 3, 5, 6, 10); a block is a borrowed view. HOT.

Contract of `feed`: all of `data` is consumed; the messages that are complete now are returned, in
order; the beginning of a split one is kept. Raises ProtocolError as soon as a frame is seen to be
illegal, and must not be fed again after that. Where the cuts between feeds fall never changes the
messages, but for which blocks, and which requests for whole blocks, are told as a run.

    data      [ …rest of a split frame | frame | frame | beginning of a frame… ]
    _pending  the beginning of one frame and nothing else, `_wanted` bytes long in the end

The length prefix is checked at its fourth byte, the limit of the id at the fifth, and what is kept
grows only with what arrived: a prefix alone makes nothing be allocated. Whether a message is legal
at this moment is peer_protocol.py's question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import Struct
from typing import Final

from engine.core.geometry import BLOCK_LENGTH
from engine.errors import ProtocolError
from engine.wire.joined_blocks import JoinedReader
from engine.wire.messages import (
    MAX_BLOCK_BYTES,
    MAX_JOINED_BYTES,
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
    KeepAlive,
    Message,
    MessageId,
    NotInterested,
    Port,
    Reject,
    Request,
    RequestRun,
    Suggest,
    Unchoke,
    Unknown,
)

DEFAULT_MAX_MESSAGE_BYTES: Final = 256 * 1024
"""Longest message without its prefix: ample for extension messages, which alone use it up."""

_PREFIX_BYTES: Final = 4
_HEAD_BYTES: Final = 5
_BLOCK_AT: Final = 13
_REQUEST_BYTES: Final = 17
_WHOLE_BLOCK: Final = 9 + BLOCK_LENGTH
_WHOLE_BLOCK_BYTES: Final = 4 + _WHOLE_BLOCK
_MAX_PIECE: Final = 9 + MAX_BLOCK_BYTES
_MAX_JOINED: Final = 9 + MAX_JOINED_BYTES

_unpack_one = Struct(">I").unpack_from
_unpack_two = Struct(">II").unpack_from
_unpack_three = Struct(">III").unpack_from
_unpack_port = Struct(">H").unpack_from
_unpack_head = Struct(">IB").unpack_from
_read_spans = Struct(">IBIII").iter_unpack
_read_whole_blocks = Struct(f">IBII{BLOCK_LENGTH}x").iter_unpack
_unpack_long_head = Struct(">IBII").unpack_from
_new_tuple = tuple.__new__
"""Makes a NamedTuple without its generated constructor, which costs as much as all the rest."""

_FIXED_LENGTHS: Final[Mapping[int, int]] = {
    MessageId.CHOKE: 1,
    MessageId.UNCHOKE: 1,
    MessageId.INTERESTED: 1,
    MessageId.NOT_INTERESTED: 1,
    MessageId.HAVE: 5,
    MessageId.REQUEST: 13,
    MessageId.CANCEL: 13,
    MessageId.PORT: 3,
    MessageId.SUGGEST: 5,
    MessageId.HAVE_ALL: 1,
    MessageId.HAVE_NONE: 1,
    MessageId.REJECT: 13,
    MessageId.ALLOWED_FAST: 5,
}
"""Length prefixes: the id and its payload."""


class Decoder:
    """Decodes one connection, beginning behind the handshake."""

    __slots__ = ("_bitfield_length", "_longest", "_pending", "_run_length", "_wanted", "joined")

    def __init__(self, *, max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES) -> None:
        self._longest = max_message_bytes
        self._bitfield_length: int | None = None
        self._run_length = 0
        self.joined = JoinedReader()
        """Who feeds us may receive what is left there to where it belongs, and go round us."""
        self._pending = bytearray()
        self._wanted = _PREFIX_BYTES

    def set_bitfield_bytes(self, count: int) -> None:
        """Refuse bitfields of another size, and take this one however long; call before feeding."""
        self._bitfield_length = 1 + count

    def tell_runs(self, piece_length: int) -> None:
        """Tell requests that follow each other as one RequestRun, and take blocks that come joined
        in one message; the piece length, in bytes, must be a multiple of BLOCK_LENGTH."""
        self._run_length = piece_length

    @property
    def pending_bytes(self) -> int:
        """Bytes of a split message that are kept until its rest arrives."""
        return len(self._pending) + self.joined.pending_bytes

    @property
    def missing_bytes(self) -> int:
        """Bytes until the split message, or block of several, is whole: nothing can be read out of
        fewer. 0 = unknown, or nothing is split."""
        if self._wanted > _HEAD_BYTES:
            return self._wanted - len(self._pending)
        return self.joined.missing_bytes

    def feed(self, data: memoryview) -> list[Message]:
        """Consume `data`, a flat view of bytes, and return the messages that are complete.

        The view of a Block borrows `data` (or a buffer of its own when it was split) and is valid
        until the next feed. Raises ProtocolError; the messages before the illegal one are lost.
        """
        messages: list[Message] = []
        append = messages.append
        at = 0
        end = len(data)
        if self.joined.left:
            at = self.joined.read(data, 0, messages)
        elif self._pending:
            if len(self._pending) + end < self._wanted:
                self._pending += data
                return messages
            at = self._resume(data, 0, messages)
        while end - at >= _HEAD_BYTES:
            if end - at >= _BLOCK_AT:
                length, message_id, index, begin = _unpack_long_head(data, at)
                frame_end = at + 4 + length
                if length > _WHOLE_BLOCK and self._comes_joined(message_id, length):
                    self.joined.start(index, begin, length - 9)
                    at = self.joined.read(data, at + _BLOCK_AT, messages)
                    continue
                if frame_end <= end:
                    if length == _WHOLE_BLOCK and message_id == 7:
                        at = _read_runs(data, at, end, messages)
                        continue
                    if message_id == 7 and 9 < length <= _MAX_PIECE:
                        append(_new_tuple(Block, (index, begin, data[at + 13 : frame_end])))
                        at = frame_end
                        continue
                    if message_id == 6 and length == 13:
                        at = _read_requests(data, at, end, self._run_length, messages)
                        continue
            else:
                length, message_id = _unpack_head(data, at)
                if self._comes_joined(message_id, length):
                    break
                frame_end = at + 4 + length
            if not length:
                append(_KEEP_ALIVE)
                at = frame_end
                continue
            self._check_length(message_id, length)
            if frame_end > end:
                self._pending += data[at:]
                self._wanted = 4 + length
                return messages
            append(_parse(message_id, data[at + 5 : frame_end]))
            at = frame_end
        if at < end:
            self._resume(data, at, messages)
        return messages

    def _resume(self, data: memoryview, at: int, messages: list[Message]) -> int:
        """Go on with one split frame from `at`; returns the offset behind what it took."""
        pending = self._pending
        while True:
            missing = self._wanted - len(pending)
            if missing:
                pending += data[at : at + missing]
                at = min(at + missing, len(data))
                if len(pending) < self._wanted:
                    return at
            (length,) = _unpack_one(pending)
            if self._wanted == _PREFIX_BYTES:
                if not length:
                    messages.append(_KEEP_ALIVE)
                    pending.clear()
                    return at
                self._check_prefix(length)
                self._wanted = _HEAD_BYTES
                continue
            if self._wanted == _HEAD_BYTES:
                if self._comes_joined(pending[4], length):
                    self._wanted = _BLOCK_AT
                    continue
                self._check_length(pending[4], length)
                if length > 1:
                    self._wanted = 4 + length
                    continue
            self._pending = bytearray()
            self._wanted = _PREFIX_BYTES
            if self._comes_joined(pending[4], length):
                index, begin = _unpack_two(pending, _HEAD_BYTES)
                self.joined.start(index, begin, length - 9)
                return self.joined.read(data, at, messages)
            messages.append(_parse(pending[4], memoryview(pending)[_HEAD_BYTES:]))
            return at

    def _comes_joined(self, message_id: int, length: int) -> bool:
        """Whether it is a `piece` message of several whole blocks: they are told one by one."""
        return (
            message_id == MessageId.PIECE
            and _WHOLE_BLOCK < length <= _MAX_JOINED
            and (length - 9) % BLOCK_LENGTH == 0
            and self._run_length > 0
        )

    def _check_prefix(self, length: int) -> None:
        piece = _MAX_JOINED if self._run_length else _MAX_PIECE
        if length > max(self._longest, piece, self._bitfield_length or 0):
            raise ProtocolError(f"message of {length} bytes")

    def _check_length(self, message_id: int, length: int) -> None:
        if message_id == MessageId.PIECE:
            legal = 9 < length <= _MAX_PIECE
        elif message_id == MessageId.BITFIELD and self._bitfield_length is not None:
            legal = length == self._bitfield_length
        elif message_id == MessageId.EXTENDED:
            legal = 1 < length <= self._longest
        elif message_id in _FIXED_LENGTHS:
            legal = length == _FIXED_LENGTHS[message_id]
        else:
            legal = length <= self._longest
        if not legal:
            raise ProtocolError(f"message {message_id} of {length} bytes")


_KEEP_ALIVE: Final = KeepAlive()

_EMPTY: Final[Mapping[int, Message]] = {
    MessageId.CHOKE: Choke(),
    MessageId.UNCHOKE: Unchoke(),
    MessageId.INTERESTED: Interested(),
    MessageId.NOT_INTERESTED: NotInterested(),
    MessageId.HAVE_ALL: HaveAll(),
    MessageId.HAVE_NONE: HaveNone(),
}


def _read_runs(data: memoryview, at: int, end: int, messages: list[Message]) -> int:
    """Read whole blocks from `at`, where one begins, as long as there is nothing else; nearly all
    that a download reads. Returns the offset behind them. HOT."""
    frames = data[at : end - (end - at) % _WHOLE_BLOCK_BYTES]
    run_index = run_end = -1
    views: list[memoryview] = []
    for length, message_id, index, begin in _read_whole_blocks(frames):
        if length != _WHOLE_BLOCK or message_id != 7:
            break
        view = data[at + _BLOCK_AT : at + _WHOLE_BLOCK_BYTES]
        at += _WHOLE_BLOCK_BYTES
        if begin == run_end and index == run_index:
            views.append(view)
        else:
            views = [view]
            messages.append(_new_tuple(BlockRun, (index, begin, views)))
            run_index = index
        run_end = begin + BLOCK_LENGTH
    return at


def _read_requests(
    data: memoryview, at: int, end: int, piece_length: int, messages: list[Message]
) -> int:
    """Read requests from `at`, where one begins, as long as there is nothing else: they come by the
    dozen, for blocks that follow each other. Returns the offset behind them. HOT."""
    frames = data[at : end - (end - at) % _REQUEST_BYTES]
    count = first_index = first_begin = 0
    next_index = next_begin = -1
    for length, message_id, index, begin, size in _read_spans(frames):
        if message_id != 6 or length != 13:
            break
        at += _REQUEST_BYTES
        if begin != next_begin or index != next_index or size != BLOCK_LENGTH:
            if count:
                messages.append(_new_tuple(RequestRun, (first_index, first_begin, count)))
                count = 0
                next_begin = -1
            if size != BLOCK_LENGTH or begin % BLOCK_LENGTH or begin >= piece_length:
                messages.append(_new_tuple(Request, (index, begin, size)))
                continue
            first_index = next_index = index
            first_begin = next_begin = begin
        count += 1
        next_begin += BLOCK_LENGTH
        if next_begin == piece_length:
            next_index += 1
            next_begin = 0
    if count:
        messages.append(_new_tuple(RequestRun, (first_index, first_begin, count)))
    return at


def _block(payload: memoryview) -> Block:
    index, begin = _unpack_two(payload)
    return Block(index, begin, payload[8:])


_READERS: Final[Mapping[int, Callable[[memoryview], Message]]] = {
    MessageId.HAVE: lambda payload: Have(*_unpack_one(payload)),
    MessageId.BITFIELD: lambda payload: BitfieldMessage(bytes(payload)),
    MessageId.REQUEST: lambda payload: Request(*_unpack_three(payload)),
    MessageId.PIECE: _block,
    MessageId.CANCEL: lambda payload: Cancel(*_unpack_three(payload)),
    MessageId.PORT: lambda payload: Port(*_unpack_port(payload)),
    MessageId.SUGGEST: lambda payload: Suggest(*_unpack_one(payload)),
    MessageId.REJECT: lambda payload: Reject(*_unpack_three(payload)),
    MessageId.ALLOWED_FAST: lambda payload: AllowedFast(*_unpack_one(payload)),
    MessageId.EXTENDED: lambda payload: Extended(payload[0], bytes(payload[1:])),
}


def _parse(message_id: int, payload: memoryview) -> Message:
    """Read a payload whose length was checked."""
    reader = _READERS.get(message_id)
    if reader is not None:
        return reader(payload)
    return _EMPTY.get(message_id) or Unknown(message_id, len(payload))
