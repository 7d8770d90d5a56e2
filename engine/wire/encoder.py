"""Messages → frames, ready to be written (BEP 3, 5, 6, 10).

Every function returns whole frames. The callers are ours, so that a number which does not fit the
wire is a bug and raises struct.error. `requests` and `pack_run_headers_into` run once per batch
and once per block: HOT.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import Struct, pack
from typing import Final

from engine.core.geometry import BLOCK_LENGTH, cut_into_blocks
from engine.wire.messages import MessageId

PIECE_HEADER_LENGTH: Final = 13
"""Bytes before the block in a `piece` frame: length prefix, id, index, begin."""

_EMPTY = Struct(">IB")
_INDEX = Struct(">IBI")
_SPAN = Struct(">IBIII")
_PORT = Struct(">IBH")
_EXTENDED = Struct(">IBB")
_PIECE = Struct(">IBII")
_pack_span = _SPAN.pack
_pack_piece_into = _PIECE.pack_into

_HAVE = _INDEX.pack(5, MessageId.HAVE, 0)
_NUMBER_BYTES: Final = 4
_pack_one = Struct(">I").pack

_REQUEST_BYTES: Final = 17
_NO_INDEX: Final = b"\xff\xff\xff\xff"
_MOST_IN_A_ROW: Final = 1024
_IN_A_ROW: Final = b"".join(
    _pack_span(13, MessageId.REQUEST, 0xFFFFFFFF, block * BLOCK_LENGTH, BLOCK_LENGTH)
    for block in range(_MOST_IN_A_ROW)
)
"""Requests for the first blocks of a piece; only its index, which no other bytes look like, is left
to be filled in."""

_HEADERS_IN_A_ROW: Final = b"".join(
    _PIECE.pack(9 + BLOCK_LENGTH, MessageId.PIECE, 0xFFFFFFFF, block * BLOCK_LENGTH)
    for block in range(_MOST_IN_A_ROW)
)
"""Heads of `piece` frames in the same way."""

_KEEP_ALIVE = bytes(4)
_CHOKE = _EMPTY.pack(1, MessageId.CHOKE)
_UNCHOKE = _EMPTY.pack(1, MessageId.UNCHOKE)
_INTERESTED = _EMPTY.pack(1, MessageId.INTERESTED)
_NOT_INTERESTED = _EMPTY.pack(1, MessageId.NOT_INTERESTED)
_HAVE_ALL = _EMPTY.pack(1, MessageId.HAVE_ALL)
_HAVE_NONE = _EMPTY.pack(1, MessageId.HAVE_NONE)


def keep_alive() -> bytes:
    return _KEEP_ALIVE


def choke() -> bytes:
    return _CHOKE


def unchoke() -> bytes:
    return _UNCHOKE


def interested() -> bytes:
    return _INTERESTED


def not_interested() -> bytes:
    return _NOT_INTERESTED


def have(index: int) -> bytes:
    return _INDEX.pack(5, MessageId.HAVE, index)


def haves(indexes: Sequence[int]) -> bytes:
    """One `have` frame per index, to be written at once; nothing for no index.

    Byte by byte of all numbers: of small pieces there are tens of thousands a second, and joining
    as many frames would take a hundred bytes of memory for each.
    """
    count = len(indexes)
    frames = bytearray(_HAVE * count)
    numbers = pack(f">{count}I", *indexes)
    for byte in range(_NUMBER_BYTES):
        at = len(_HAVE) - _NUMBER_BYTES + byte
        frames[at :: len(_HAVE)] = numbers[byte::_NUMBER_BYTES]
    return bytes(frames)


def bitfield(bits: bytes) -> bytes:
    return _EMPTY.pack(1 + len(bits), MessageId.BITFIELD) + bits


def request(index: int, begin: int, length: int) -> bytes:
    return _SPAN.pack(13, MessageId.REQUEST, index, begin, length)


def requests(spans: Iterable[tuple[int, int, int]]) -> bytes:
    """One `request` frame per block of each (index, begin, length), to be written at once. HOT."""
    return b"".join(
        [
            _pack_span(13, 6, index, begin, length)
            if length <= BLOCK_LENGTH
            else _requests_in_a_row(index, begin, length)
            for index, begin, length in spans
        ]
    )


def _requests_in_a_row(index: int, begin: int, length: int) -> bytes:
    """Requests for the blocks of one span, out of those that are ready made where they reach."""
    first, rest = divmod(begin, BLOCK_LENGTH)
    before_last, last_length = divmod(length - 1, BLOCK_LENGTH)
    end = first + before_last + 1
    if rest or not 0 <= first < end <= _MOST_IN_A_ROW:
        blocks = cut_into_blocks([(index, begin, length)])
        return b"".join([_pack_span(13, 6, *block) for block in blocks])
    frames = _IN_A_ROW[first * _REQUEST_BYTES : end * _REQUEST_BYTES - 4]
    return frames.replace(_NO_INDEX, _pack_one(index)) + _pack_one(last_length + 1)


def piece_header(index: int, begin: int, length: int) -> bytes:
    """The head of a `piece` frame; `length` bytes belong behind it."""
    return _PIECE.pack(9 + length, MessageId.PIECE, index, begin)


def run_headers(blocks: range, blocks_per_piece: int) -> bytes:
    """The heads of the `piece` frames of whole blocks, which are numbered through the torrent, one
    behind the other. HOT."""
    if blocks_per_piece > _MOST_IN_A_ROW:
        places = (divmod(number, blocks_per_piece) for number in blocks)
        return b"".join([piece_header(at, k * BLOCK_LENGTH, BLOCK_LENGTH) for at, k in places])
    heads = b""
    first = blocks.start
    while first < blocks.stop:
        index, start = divmod(first, blocks_per_piece)
        stop = min(start + blocks.stop - first, blocks_per_piece)
        row = _HEADERS_IN_A_ROW[start * PIECE_HEADER_LENGTH : stop * PIECE_HEADER_LENGTH]
        heads += row.replace(_NO_INDEX, _pack_one(index))
        first += stop - start
    return heads


def pack_piece_header_into(buffer: bytearray, at: int, index: int, begin: int, length: int) -> None:
    """Write the header of a `piece` frame at `at`; the block belongs right behind it."""
    _pack_piece_into(buffer, at, 9 + length, 7, index, begin)


def pack_run_headers_into(buffer: bytearray, at: int, blocks: range, blocks_per_piece: int) -> None:
    """Write the headers of whole blocks, which are numbered through the torrent, into `buffer`,
    which has [header][block][header]… from `at` on. HOT."""
    for number in blocks:
        index = number // blocks_per_piece
        begin = (number - index * blocks_per_piece) * BLOCK_LENGTH
        _pack_piece_into(buffer, at, 9 + BLOCK_LENGTH, 7, index, begin)
        at += PIECE_HEADER_LENGTH + BLOCK_LENGTH


def cancel(index: int, begin: int, length: int) -> bytes:
    return _SPAN.pack(13, MessageId.CANCEL, index, begin, length)


def port(dht_port: int) -> bytes:
    """Tell where our DHT node listens (BEP 5)."""
    return _PORT.pack(3, MessageId.PORT, dht_port)


def suggest(index: int) -> bytes:
    return _INDEX.pack(5, MessageId.SUGGEST, index)


def have_all() -> bytes:
    return _HAVE_ALL


def have_none() -> bytes:
    return _HAVE_NONE


def reject(index: int, begin: int, length: int) -> bytes:
    return _SPAN.pack(13, MessageId.REJECT, index, begin, length)


def allowed_fast(index: int) -> bytes:
    return _INDEX.pack(5, MessageId.ALLOWED_FAST, index)


def extended(ext_id: int, payload: bytes) -> bytes:
    """`ext_id` is one that the receiver handed out, or 0 for the extension handshake (BEP 10)."""
    return _EXTENDED.pack(2 + len(payload), MessageId.EXTENDED, ext_id) + payload
