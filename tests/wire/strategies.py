"""Messages of every kind, their frames, and ways to cut a stream into feeds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hypothesis import strategies as st

from engine.core.geometry import BLOCK_LENGTH
from engine.wire import encoder
from engine.wire.messages import (
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

u32 = st.integers(0, 2**32 - 1)
payloads = st.binary(max_size=70)
known_ids = frozenset(int(known) for known in MessageId)

messages: st.SearchStrategy[Message] = st.one_of(
    st.sampled_from(
        [
            KeepAlive(),
            Choke(),
            Unchoke(),
            Interested(),
            NotInterested(),
            HaveAll(),
            HaveNone(),
        ]
    ),
    st.builds(Have, u32),
    st.builds(Suggest, u32),
    st.builds(AllowedFast, u32),
    st.builds(Request, u32, u32, u32),
    st.builds(Cancel, u32, u32, u32),
    st.builds(Reject, u32, u32, u32),
    st.builds(Port, st.integers(0, 65535)),
    st.builds(BitfieldMessage, payloads),
    st.builds(Block, u32, u32, st.binary(min_size=1, max_size=70).map(memoryview)),
    st.builds(Extended, st.integers(0, 255), payloads),
    st.builds(
        Unknown,
        st.integers(0, 255).filter(lambda number: number not in known_ids),
        st.integers(0, 70),
    ),
)


def frame(message: Message) -> bytes:
    """Encode any message as its sender would."""
    match message:
        case KeepAlive():
            return encoder.keep_alive()
        case Choke():
            return encoder.choke()
        case Unchoke():
            return encoder.unchoke()
        case Interested():
            return encoder.interested()
        case NotInterested():
            return encoder.not_interested()
        case HaveAll():
            return encoder.have_all()
        case HaveNone():
            return encoder.have_none()
        case Have(index):
            return encoder.have(index)
        case Suggest(index):
            return encoder.suggest(index)
        case AllowedFast(index):
            return encoder.allowed_fast(index)
        case Request(index, begin, length):
            return encoder.request(index, begin, length)
        case Cancel(index, begin, length):
            return encoder.cancel(index, begin, length)
        case Reject(index, begin, length):
            return encoder.reject(index, begin, length)
        case Port(number):
            return encoder.port(number)
        case BitfieldMessage(bits):
            return encoder.bitfield(bits)
        case Extended(ext_id, payload):
            return encoder.extended(ext_id, payload)
        case Block(index, begin, view):
            header = bytearray(encoder.PIECE_HEADER_LENGTH)
            encoder.pack_piece_header_into(header, 0, index, begin, len(view))
            return bytes(header) + view
        case Unknown(message_id, length):
            return (1 + length).to_bytes(4, "big") + bytes([message_id]) + bytes(length)


def owned(received: Iterable[Message], piece_length: int = 0) -> list[Message]:
    """Copy the blocks out of the buffer that they borrow, and tell what is in runs one by one."""
    copies: list[Message] = []
    for message in received:
        if isinstance(message, Block):
            copies.append(message._replace(view=memoryview(bytes(message.view))))
        elif isinstance(message, BlockRun):
            for number, view in enumerate(message.views):
                begin = message.begin + number * BLOCK_LENGTH
                copies.append(Block(message.index, begin, memoryview(bytes(view))))
        elif isinstance(message, JoinedBlocks):
            for at in range(0, len(message.view), BLOCK_LENGTH):
                view = memoryview(bytes(message.view[at : at + BLOCK_LENGTH]))
                copies.append(Block(message.index, message.begin + at, view))
        elif isinstance(message, RequestRun):
            start = message.index * piece_length + message.begin
            for number in range(message.count):
                place = divmod(start + number * BLOCK_LENGTH, piece_length)
                copies.append(Request(*place, BLOCK_LENGTH))
        else:
            copies.append(message)
    return copies


def cut(stream: bytes, places: Iterable[int]) -> Iterator[bytes]:
    """Split at the given places, taken modulo the length; empty feeds are left out."""
    at = 0
    for place in sorted(place % (len(stream) + 1) for place in places):
        if place > at:
            yield stream[at:place]
            at = place
    if at < len(stream):
        yield stream[at:]
