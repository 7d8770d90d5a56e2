from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.geometry import BLOCK_LENGTH
from engine.errors import ProtocolError
from engine.wire import encoder
from engine.wire.decoder import DEFAULT_MAX_MESSAGE_BYTES, Decoder
from engine.wire.messages import (
    MAX_BLOCK_BYTES,
    BitfieldMessage,
    Block,
    BlockRun,
    Choke,
    Extended,
    Have,
    HaveAll,
    HaveNone,
    Interested,
    KeepAlive,
    Message,
    NotInterested,
    Port,
    Request,
    RequestRun,
    Unchoke,
    Unknown,
)
from tests.wire.strategies import cut, frame, known_ids, messages, owned

streams = st.lists(messages, max_size=12)
places = st.lists(st.integers(0, 2**16), max_size=10)

FIXED_LENGTHS = {
    0: 1,
    1: 1,
    2: 1,
    3: 1,
    4: 5,
    6: 13,
    8: 13,
    9: 3,
    13: 5,
    14: 1,
    15: 1,
    16: 13,
    17: 5,
}


def feed_all(decoder: Decoder, feeds: Iterable[bytes], piece_length: int = 0) -> list[Message]:
    """Feed through one reused buffer that is overwritten after each feed, as a connection does."""
    buffer = bytearray()
    received: list[Message] = []
    for data in feeds:
        if len(data) > len(buffer):
            buffer = bytearray(len(data))
        buffer[: len(data)] = data
        received += owned(decoder.feed(memoryview(buffer)[: len(data)]), piece_length)
        buffer[: len(data)] = b"\xaa" * len(data)
    return received


def head(length: int, message_id: int) -> bytes:
    return length.to_bytes(4, "big") + bytes([message_id])


def bytes_until_refused(decoder: Decoder, stream: bytes) -> int:
    """How many bytes it takes, one at a time, until the decoder raises."""
    for count, byte in enumerate(stream, 1):
        try:
            decoder.feed(memoryview(bytes([byte])))
        except ProtocolError:
            return count
    raise AssertionError("never refused")


@given(streams)
def test_whole_stream_gives_the_messages_that_made_it(sent: list[Message]) -> None:
    decoder = Decoder()
    assert feed_all(decoder, [b"".join(map(frame, sent))]) == sent
    assert decoder.pending_bytes == 0


@given(streams)
def test_byte_by_byte_gives_the_same_messages(sent: list[Message]) -> None:
    stream = b"".join(map(frame, sent))
    decoder = Decoder()
    assert feed_all(decoder, (stream[at : at + 1] for at in range(len(stream)))) == sent
    assert decoder.pending_bytes == 0


@given(streams, places)
def test_any_cuts_give_the_same_messages(sent: list[Message], where: list[int]) -> None:
    decoder = Decoder()
    assert feed_all(decoder, cut(b"".join(map(frame, sent)), where)) == sent
    assert decoder.pending_bytes == 0


@given(streams, messages, st.data())
def test_a_torn_message_behind_whole_ones_is_kept(
    sent: list[Message], last: Message, data: st.DataObject
) -> None:
    torn = frame(last)
    kept = data.draw(st.integers(0, len(torn) - 1))
    decoder = Decoder()
    assert feed_all(decoder, [b"".join(map(frame, sent)) + torn[:kept]]) == sent
    assert decoder.pending_bytes == kept
    assert feed_all(decoder, [torn[kept:]]) == [last]


@given(st.binary(max_size=60), places)
def test_garbage_is_refused_or_read_alike_however_it_is_cut(data: bytes, where: list[int]) -> None:
    verdicts = []
    for feeds in ([data], cut(data, where), (data[at : at + 1] for at in range(len(data)))):
        try:
            verdicts.append(feed_all(Decoder(), feeds))
        except ProtocolError:
            verdicts.append(None)
    assert verdicts[0] == verdicts[1] == verdicts[2]


@given(streams, st.binary(min_size=1, max_size=30))
def test_garbage_behind_a_stream_never_loses_what_came_in_an_earlier_feed(
    sent: list[Message], rubbish: bytes
) -> None:
    decoder = Decoder()
    assert feed_all(decoder, [b"".join(map(frame, sent))]) == sent
    try:
        feed_all(decoder, [rubbish])
    except ProtocolError:
        pass
    else:
        assert decoder.pending_bytes <= len(rubbish)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("00000000", KeepAlive()),
        ("00000001 00", Choke()),
        ("00000001 01", Unchoke()),
        ("00000001 02", Interested()),
        ("00000001 03", NotInterested()),
        ("00000005 04 00000102", Have(0x102)),
        ("00000003 05 a040", BitfieldMessage(b"\xa0\x40")),
        ("0000000d 06 00000001 00004000 00008000", Request(1, 0x4000, 0x8000)),
        ("0000000b 07 00000001 00004000 6869", Block(1, 0x4000, memoryview(b"hi"))),
        ("00000003 09 1ae1", Port(6881)),
        ("00000001 0e", HaveAll()),
        ("00000001 0f", HaveNone()),
        ("00000004 14 00 6465", Extended(0, b"de")),
        ("00000003 63 6465", Unknown(0x63, 2)),
    ],
)
def test_golden_frames(raw: str, message: Message) -> None:
    assert owned(Decoder().feed(memoryview(bytes.fromhex(raw)))) == [message]


def test_a_block_borrows_the_fed_buffer() -> None:
    buffer = bytearray(frame(Block(3, 4, memoryview(b"payload"))))
    (block,) = Decoder().feed(memoryview(buffer))
    assert isinstance(block, Block)
    assert block.view.obj is buffer
    buffer[-1:] = b"D"
    assert bytes(block.view) == b"payloaD"


def test_a_split_block_does_not_borrow_the_fed_buffer() -> None:
    raw = frame(Block(3, 4, memoryview(b"payload")))
    decoder = Decoder()
    assert decoder.feed(memoryview(raw[:15])) == []
    rest = bytearray(raw[15:] + frame(Have(1)))
    block, have = decoder.feed(memoryview(rest))
    rest[:] = b"\xaa" * len(rest)
    assert isinstance(block, Block)
    assert bytes(block.view) == b"payload"
    assert have == Have(1)


def test_what_is_missing_of_a_split_message_is_known_from_its_head_on() -> None:
    raw = frame(Block(3, 4, memoryview(bytes(16384))))
    decoder = Decoder()
    decoder.feed(memoryview(raw[:4]))
    assert decoder.missing_bytes == 0
    for kept in (5, 13, 14, 5000, len(raw) - 1):
        decoder = Decoder()
        decoder.feed(memoryview(raw[:3]))
        decoder.feed(memoryview(raw[3:kept]))
        assert decoder.missing_bytes == len(raw) - kept
    assert len(decoder.feed(memoryview(raw[-1:]))) == 1
    assert decoder.missing_bytes == 0
    decoder.feed(memoryview(raw + raw[:100]))
    assert decoder.missing_bytes == len(raw) - 100


def test_real_blocks_at_every_alignment_of_a_small_receive_buffer() -> None:
    sent = [Block(7, at << 14, memoryview(bytes([at]) * 16384)) for at in range(8)]
    stream = b"".join(map(frame, sent))
    for size in (1460, 16384, 16397, 65536, len(stream)):
        feeds = (stream[at : at + size] for at in range(0, len(stream), size))
        assert feed_all(Decoder(), feeds) == sent


@given(
    st.lists(
        st.builds(
            lambda index, number, length: Block(index, number << 14, memoryview(bytes(length))),
            st.integers(0, 1),
            st.integers(0, 3),
            st.sampled_from([1, 16383, 16384, 16384, 16384, 16385]),
        )
        | st.just(KeepAlive()),
        max_size=12,
    ),
    places,
)
def test_blocks_in_a_row_are_told_as_runs_and_nothing_else_is(
    sent: list[Message], where: list[int]
) -> None:
    stream = b"".join(map(frame, sent))
    assert feed_all(Decoder(), cut(stream, where)) == sent
    told = Decoder().feed(memoryview(stream))
    assert owned(told) == sent
    for first, second in pairwise(told):
        if isinstance(first, BlockRun) and isinstance(second, BlockRun):
            end = first.begin + len(first.views) * 16384
            assert (first.index, end) != (second.index, second.begin)
    assert all(len(view) == 16384 for run in told if isinstance(run, BlockRun) for view in run[2])


@given(
    st.lists(
        st.builds(
            lambda index, block, odd, length: Request(index, block * BLOCK_LENGTH + odd, length),
            st.integers(0, 2),
            st.integers(0, 3),
            st.sampled_from([0, 0, 0, 1]),
            st.sampled_from([1, 16384, 16384, 16384, 16384, 16385]),
        )
        | st.just(KeepAlive()),
        max_size=20,
    ),
    st.integers(1, 3),
    places,
)
def test_requests_in_a_row_are_told_as_runs_and_nothing_else_is(
    sent: list[Message], blocks_per_piece: int, where: list[int]
) -> None:
    piece_length = blocks_per_piece * BLOCK_LENGTH
    stream = b"".join(map(frame, sent))
    fed = Decoder()
    fed.tell_runs(piece_length)
    assert feed_all(fed, cut(stream, where), piece_length) == sent
    decoder = Decoder()
    decoder.tell_runs(piece_length)
    told = decoder.feed(memoryview(stream))
    assert owned(told, piece_length) == sent
    runs = [message for message in told if isinstance(message, RequestRun)]
    assert all(run.begin % BLOCK_LENGTH == 0 and run.begin < piece_length for run in runs)
    for first, second in pairwise(told):
        if isinstance(first, RequestRun) and isinstance(second, RequestRun):
            end = first.index * piece_length + first.begin + first.count * BLOCK_LENGTH
            assert end != second.index * piece_length + second.begin
    assert Decoder().feed(memoryview(stream)) == sent


@pytest.mark.parametrize("prefix", [0xFFFFFFFF, 0x80000000, DEFAULT_MAX_MESSAGE_BYTES + 1])
def test_an_absurd_length_is_refused_at_its_fourth_byte(prefix: int) -> None:
    assert bytes_until_refused(Decoder(), prefix.to_bytes(4, "big") + bytes(8)) == 4
    for size in (4, 5, 20):
        with pytest.raises(ProtocolError):
            Decoder().feed(memoryview((prefix.to_bytes(4, "big") + bytes(16))[:size]))


@pytest.mark.parametrize(("message_id", "length"), FIXED_LENGTHS.items())
def test_a_wrong_fixed_length_is_refused_at_the_id(message_id: int, length: int) -> None:
    for wrong in {1, 2, 3, 4, 5, 6, 9, 12, 13, 14, 17, 200_000} - {length}:
        stream = head(wrong, message_id) + bytes(20)
        assert bytes_until_refused(Decoder(), stream) == 5
        for size in (5, 12, 13, 25):
            with pytest.raises(ProtocolError, match=f"message {message_id} of {wrong} bytes"):
                Decoder().feed(memoryview(stream[:size]))


@pytest.mark.parametrize(
    ("message_id", "length"),
    [(7, 1), (7, 8), (7, 9), (7, 10 + MAX_BLOCK_BYTES), (20, 1), (99, 262_145)],
)
def test_limits_of_lengths_that_vary(message_id: int, length: int) -> None:
    stream = head(length, message_id) + bytes(20)
    assert bytes_until_refused(Decoder(), stream) <= 5
    with pytest.raises(ProtocolError):
        Decoder().feed(memoryview(stream))


def test_the_longest_block_passes_whole_and_split() -> None:
    block = Block(0, 0, memoryview(bytes(MAX_BLOCK_BYTES)))
    raw = frame(block)
    assert feed_all(Decoder(), [raw]) == [block]
    assert feed_all(Decoder(), [raw[:100], raw[100:]]) == [block]


def test_a_long_prefix_makes_nothing_be_kept_but_what_came() -> None:
    decoder = Decoder()
    decoder.feed(memoryview(head(9 + MAX_BLOCK_BYTES, 7)))
    assert decoder.pending_bytes == 5


def test_a_bitfield_longer_than_other_messages_is_taken_when_its_size_is_known() -> None:
    bits = b"\xff" * 1000
    decoder = Decoder(max_message_bytes=500)
    with pytest.raises(ProtocolError):
        decoder.feed(memoryview(encoder.bitfield(bits)))
    decoder = Decoder(max_message_bytes=500)
    decoder.set_bitfield_bytes(1000)
    assert feed_all(decoder, cut(encoder.bitfield(bits), range(3, 1000, 7))) == [
        BitfieldMessage(bits)
    ]


def test_a_bitfield_beyond_every_limit_is_taken_when_its_size_is_known() -> None:
    count = DEFAULT_MAX_MESSAGE_BYTES + 77
    raw = encoder.bitfield(bytes(count))
    for cuts in ([], [2], [4], [5], [9000]):
        decoder = Decoder()
        decoder.set_bitfield_bytes(count)
        assert feed_all(decoder, cut(raw, cuts)) == [BitfieldMessage(bytes(count))]


@pytest.mark.parametrize("count", [0, 9, 11, 100_000])
def test_a_bitfield_of_another_size_is_refused_before_it_is_there(count: int) -> None:
    decoder = Decoder()
    decoder.set_bitfield_bytes(10)
    assert bytes_until_refused(decoder, encoder.bitfield(bytes(count))[:6]) == 5


def test_an_empty_bitfield_of_an_empty_torrent_is_taken() -> None:
    decoder = Decoder()
    decoder.set_bitfield_bytes(0)
    assert decoder.feed(memoryview(encoder.bitfield(b""))) == [BitfieldMessage(b"")]


def test_every_unknown_id_is_skipped() -> None:
    ids = [number for number in range(256) if number not in known_ids]
    stream = b"".join(head(4, number) + b"abc" for number in ids)
    assert Decoder().feed(memoryview(stream)) == [Unknown(number, 3) for number in ids]


def test_messages_keep_their_order_over_feeds() -> None:
    stream = encoder.haves(range(1000))
    edges = [*range(0, len(stream), 101), len(stream)]
    received = feed_all(Decoder(), (stream[a:b] for a, b in pairwise(edges)))
    assert received == [Have(index) for index in range(1000)]
