"""Several blocks in one `piece` message: the same blocks however it is cut, and nothing kept."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.geometry import BLOCK_LENGTH
from engine.errors import ProtocolError
from engine.wire import encoder
from engine.wire.decoder import Decoder
from engine.wire.messages import MAX_BLOCK_BYTES, MAX_JOINED_BYTES, Block, Have, Message
from tests.wire.strategies import cut, frame, owned
from tests.wire.test_decoder import bytes_until_refused, feed_all

PIECE_LENGTH = MAX_JOINED_BYTES
CONTENT = random.Random(1).randbytes(6 * BLOCK_LENGTH)

_joined = st.builds(
    lambda index, first, count: Block(
        index, first * BLOCK_LENGTH, memoryview(CONTENT[: count * BLOCK_LENGTH])
    ),
    st.integers(0, 5),
    st.integers(0, 9),
    st.integers(1, 6),
)
_streams = st.lists(_joined | st.just(Have(7)), max_size=4)
_places = st.lists(st.integers(0, 2**20), max_size=12)


def _decoder() -> Decoder:
    decoder = Decoder()
    decoder.tell_runs(PIECE_LENGTH)
    return decoder


def _singly(sent: list[Message]) -> list[Message]:
    """The same, with each block for itself."""
    return [
        single
        for message in sent
        for single in (
            [
                Block(message.index, message.begin + at, message.view[at : at + BLOCK_LENGTH])
                for at in range(0, len(message.view), BLOCK_LENGTH)
            ]
            if isinstance(message, Block)
            else [message]
        )
    ]


@given(_streams, _places)
def test_any_cuts_give_the_same_blocks(sent: list[Message], where: list[int]) -> None:
    decoder = _decoder()
    stream = b"".join(map(frame, sent))
    assert feed_all(decoder, cut(stream, where), PIECE_LENGTH) == _singly(sent)
    assert decoder.pending_bytes == decoder.joined.left == decoder.missing_bytes == 0


@pytest.mark.parametrize("size", range(1, 20))
def test_a_head_may_be_cut_anywhere(size: int) -> None:
    sent: list[Message] = [Block(1, BLOCK_LENGTH, memoryview(CONTENT)), Have(2)]
    stream = b"".join(map(frame, sent))
    assert feed_all(_decoder(), [stream[:size], stream[size:]], PIECE_LENGTH) == _singly(sent)
    assert feed_all(
        _decoder(), (stream[at : at + size] for at in range(0, len(stream), size)), PIECE_LENGTH
    ) == _singly(sent)


def test_no_more_than_a_block_is_kept_of_the_longest_one() -> None:
    decoder = _decoder()
    decoder.feed(memoryview(encoder.piece_header(0, 0, MAX_JOINED_BYTES)))
    told = 0
    for _ in range(100):
        messages = decoder.feed(memoryview(bytes(10_000)))
        told += sum(len(message.view) for message in messages)  # type: ignore[union-attr]
        assert decoder.pending_bytes < BLOCK_LENGTH
        assert decoder.pending_bytes + decoder.missing_bytes == BLOCK_LENGTH
    assert told + decoder.pending_bytes == 1_000_000
    assert decoder.joined.left == MAX_JOINED_BYTES - 1_000_000


@pytest.mark.parametrize(
    "length", [MAX_JOINED_BYTES + BLOCK_LENGTH, MAX_JOINED_BYTES - 1, MAX_BLOCK_BYTES + 1]
)
def test_what_is_too_long_or_no_row_of_whole_blocks_is_refused(length: int) -> None:
    stream = encoder.piece_header(0, 0, length) + bytes(20)
    assert bytes_until_refused(_decoder(), stream) <= 5
    for size in (5, 13, 33):
        with pytest.raises(ProtocolError):
            _decoder().feed(memoryview(stream[:size]))


def test_where_pieces_are_no_whole_blocks_nothing_comes_joined() -> None:
    short = encoder.piece_header(0, 0, MAX_BLOCK_BYTES) + bytes(MAX_BLOCK_BYTES)
    (block,) = Decoder().feed(memoryview(short))
    assert isinstance(block, Block)
    long = encoder.piece_header(0, 0, 2 * MAX_BLOCK_BYTES)
    with pytest.raises(ProtocolError):
        Decoder().feed(memoryview(long))


@given(st.lists(st.tuples(st.integers(1, 60_000), st.booleans()), max_size=10))
def test_what_lands_in_its_place_and_what_is_fed_are_the_same_stream(
    reads: list[tuple[int, bool]],
) -> None:
    """Whoever feeds the decoder may change his mind between two reads."""
    decoder = _decoder()
    piece = bytearray(PIECE_LENGTH)
    stream = encoder.piece_header(3, 0, len(CONTENT)) + CONTENT + frame(Have(9))
    at = 0
    others: list[Message] = []
    for size, lands in [*reads, (len(stream), False)]:
        joined = decoder.joined
        if joined.left and lands:
            _, begin, length = joined.rest
            place = memoryview(piece)[begin : begin + length]
            landing = joined.land_in(place)
            assert len(landing) == joined.left
            count = min(size, len(landing))
            landing[:count] = stream[at : at + count]
            whole = joined.landed(count)
            assert joined.rest[1] == begin + whole
            assert whole % BLOCK_LENGTH == 0
            # Nobody but us may rely on what is behind the whole blocks.
            piece[begin + whole :] = bytes(PIECE_LENGTH - begin - whole)
            at += count
        else:
            for message in owned(decoder.feed(memoryview(stream[at : at + size])), PIECE_LENGTH):
                if isinstance(message, Block):
                    assert message.index == 3
                    piece[message.begin : message.begin + len(message.view)] = message.view
                else:
                    others.append(message)
            at += size
    assert piece[: len(CONTENT)] == CONTENT
    assert others == [Have(9)]
