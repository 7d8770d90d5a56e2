from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.bitfield import Bitfield
from engine.core.geometry import Geometry
from engine.errors import ProtocolError
from engine.wire.messages import (
    MAX_BLOCK_BYTES,
    AllowedFast,
    BitfieldMessage,
    Block,
    Cancel,
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
    Reject,
    Request,
    RequestRun,
    Suggest,
    Unchoke,
    Unknown,
)
from engine.wire.peer_protocol import MAX_ALLOWED_FAST, PeerProtocol
from tests.wire.strategies import messages

PIECE = 256 * 1024
LAST = 40_000
GEOMETRY = Geometry(10 * PIECE + LAST, PIECE)
"""Eleven pieces, the last one shorter."""

ALL = Bitfield.full(11).to_bytes()
FAST_ONLY: list[Message] = [HaveAll(), HaveNone(), Suggest(1), Reject(1, 0, 16384), AllowedFast(1)]


def protocol(*, fast: bool = True, extensions: bool = True) -> PeerProtocol:
    return PeerProtocol(GEOMETRY, fast=fast, extensions=extensions)


def test_a_connection_begins_choked_and_without_interest() -> None:
    peer = protocol()
    assert peer.am_choking
    assert peer.peer_choking
    assert not peer.am_interested
    assert not peer.peer_interested
    assert peer.peer_pieces == Bitfield(11)


def test_flags_follow_the_messages_and_repeats_say_nothing_new() -> None:
    peer = protocol()
    assert peer.received(Choke()) is False
    assert peer.received(Unchoke()) is True
    assert peer.peer_choking is False
    assert peer.received(Unchoke()) is False
    assert peer.received(Choke()) is True
    assert peer.peer_choking is True
    assert peer.received(NotInterested()) is False
    assert peer.received(Interested()) is True
    assert peer.peer_interested is True
    assert peer.received(Interested()) is False
    assert peer.received(NotInterested()) is True
    assert peer.peer_interested is False


def test_our_own_half_is_the_owners() -> None:
    peer = protocol()
    for message in (HaveAll(), Unchoke(), Interested(), Request(0, 0, 16384)):
        peer.received(message)
    assert peer.am_choking
    assert not peer.am_interested


@given(st.lists(st.integers(0, 10), max_size=30))
def test_haves_add_up_and_a_second_one_is_ignored(indexes: list[int]) -> None:
    peer = protocol()
    known: set[int] = set()
    for index in indexes:
        assert peer.received(Have(index)) is (index not in known)
        known.add(index)
    assert set(peer.peer_pieces) == known


@given(st.sets(st.integers(0, 10)))
def test_a_bitfield_is_taken_into_the_object_that_was_handed_out(pieces: set[int]) -> None:
    field = Bitfield(11)
    for index in pieces:
        field.add(index)
    peer = protocol()
    handed_out = peer.peer_pieces
    assert peer.received(BitfieldMessage(field.to_bytes())) is bool(pieces)
    assert handed_out is peer.peer_pieces
    assert handed_out == field
    assert handed_out.count == len(pieces)


def test_have_all_and_have_none() -> None:
    everything, nothing = protocol(), protocol()
    handed_out = everything.peer_pieces
    assert everything.received(HaveAll()) is True
    assert handed_out.is_full
    assert everything.received(Have(3)) is False
    assert nothing.received(HaveNone()) is False
    assert nothing.peer_pieces.count == 0


@pytest.mark.parametrize(
    "bits", [b"", ALL[:-1], ALL + b"\0", b"\xff\xff", b"\0\x01"], ids=lambda bits: bits.hex()
)
def test_a_bitfield_of_wrong_length_or_with_spare_bits_is_refused(bits: bytes) -> None:
    peer = protocol()
    with pytest.raises(ProtocolError, match="bitfield"):
        peer.received(BitfieldMessage(bits))
    assert peer.peer_pieces.count == 0


@given(st.sets(st.integers(0, 10)), st.sets(st.integers(0, 10)))
def test_a_later_bitfield_adds_to_what_was_said(first: set[int], second: set[int]) -> None:
    """aria2 sends one instead of twenty HAVEs."""
    peer = protocol()
    handed_out = peer.peer_pieces
    for pieces, news in ((first, first), (second, second - first)):
        field = Bitfield(11)
        for index in pieces:
            field.add(index)
        assert peer.received(BitfieldMessage(field.to_bytes())) is bool(news)
    assert set(handed_out) == first | second
    assert handed_out.count == len(first | second)
    assert peer.received(HaveAll()) is (len(first | second) < 11)
    assert handed_out.is_full


@pytest.mark.parametrize("first", [BitfieldMessage(ALL), HaveAll(), HaveNone()])
def test_to_have_nothing_is_said_first_or_never(first: Message) -> None:
    peer = protocol()
    peer.received(first)
    with pytest.raises(ProtocolError, match="in the middle"):
        peer.received(HaveNone())


@pytest.mark.parametrize(
    "before", [Extended(0, b"de"), KeepAlive(), Port(6881), Unknown(99, 3)], ids=repr
)
def test_what_many_clients_send_before_the_bitfield_is_allowed(before: Message) -> None:
    peer = protocol()
    assert peer.received(before) is True
    peer.received(BitfieldMessage(ALL))
    assert peer.peer_pieces.is_full


@pytest.mark.parametrize(
    "before",
    [
        Have(1),
        Choke(),
        Unchoke(),
        Interested(),
        NotInterested(),
        Request(0, 0, 16384),
        Request(10, 0, 16384),
        Cancel(0, 0, 16384),
        AllowedFast(1),
        Suggest(1),
    ],
    ids=repr,
)
def test_a_bitfield_in_the_middle_counts(before: Message) -> None:
    peer = protocol()
    peer.received(before)
    assert peer.received(BitfieldMessage(ALL)) is True
    assert peer.peer_pieces.is_full
    with pytest.raises(ProtocolError, match="in the middle"):
        peer.received(HaveNone())


@pytest.mark.parametrize("message", FAST_ONLY, ids=repr)
def test_fast_messages_need_the_fast_extension(message: Message) -> None:
    protocol(fast=True).received(message)
    with pytest.raises(ProtocolError, match="without the fast extension"):
        protocol(fast=False).received(message)


def test_extended_messages_need_the_extension_protocol() -> None:
    with pytest.raises(ProtocolError, match="without the extension protocol"):
        protocol(extensions=False).received(Extended(0, b"de"))


@pytest.mark.parametrize("kind", [Have, Suggest, AllowedFast])
@pytest.mark.parametrize("index", [11, 12, 2**32 - 1])
def test_an_index_outside_the_torrent_is_refused(
    kind: type[Have | Suggest | AllowedFast], index: int
) -> None:
    peer = protocol()
    peer.received(kind(10))
    with pytest.raises(ProtocolError, match=f"piece {index} of 11"):
        peer.received(kind(index))


@given(
    st.integers(0, 12),
    st.integers(0, PIECE + 1),
    st.sampled_from([0, 1, 16384, LAST, 131072, PIECE]),
)
def test_requests_are_legal_inside_a_piece_and_up_to_the_longest_block(
    index: int, begin: int, length: int
) -> None:
    size = PIECE if index < 10 else LAST if index == 10 else 0
    legal = 0 < length <= MAX_BLOCK_BYTES and begin + length <= size
    if legal:
        assert protocol().received(Request(index, begin, length)) is True
    else:
        with pytest.raises(ProtocolError):
            protocol().received(Request(index, begin, length))


@given(st.integers(0, 12), st.sampled_from([0, 16384, PIECE - 16384, PIECE]), st.integers(1, 50))
def test_a_run_of_requests_is_legal_if_each_of_them_is(index: int, begin: int, count: int) -> None:
    start = index * PIECE + begin
    starts = range(start, start + count * 16384, 16384)
    spans = [(at // PIECE, at % PIECE, 16384) for at in starts]
    if begin < PIECE and all(GEOMETRY.contains(*span) for span in spans):
        assert protocol().received(RequestRun(index, begin, count)) is True
    else:
        with pytest.raises(ProtocolError):
            protocol().received(RequestRun(index, begin, count))


@pytest.mark.parametrize(
    "span",
    [
        (10, LAST - 16383, 16384),
        (9, PIECE - 1, 2),
        (11, 0, 1),
        (2**32 - 1, 0, 1),
        (0, 2**32 - 1, 16384),
        (0, 0, 2**32 - 1),
        (0, 0, MAX_BLOCK_BYTES + 1),
        (0, 0, 0),
        (10, 0, 0),
    ],
)
def test_edges_of_illegal_requests(span: tuple[int, int, int]) -> None:
    with pytest.raises(ProtocolError):
        protocol().received(Request(*span))


@pytest.mark.parametrize("kind", [Cancel, Reject])
def test_cancel_and_reject_name_a_block_of_the_torrent(kind: type[Cancel | Reject]) -> None:
    peer = protocol()
    assert peer.received(kind(10, 0, LAST)) is True
    for span in ((11, 0, 1), (0, 0, 0), (10, 1, LAST), (0, PIECE, 1)):
        with pytest.raises(ProtocolError, match="no such block"):
            peer.received(kind(*span))


def test_a_block_that_is_shown_must_lie_in_the_torrent() -> None:
    peer = protocol()
    assert peer.received(Block(0, 0, memoryview(bytes(16384)))) is True
    with pytest.raises(ProtocolError, match="no such block"):
        peer.received(Block(10, LAST - 1, memoryview(bytes(2))))


def test_allowed_fast_pieces_are_remembered_once() -> None:
    peer = protocol()
    assert peer.received(AllowedFast(4)) is True
    assert peer.received(AllowedFast(4)) is False
    assert peer.allowed_fast == {4}


def test_a_flood_of_allowed_fast_is_remembered_up_to_a_limit() -> None:
    peer = PeerProtocol(Geometry(1000, 1), fast=True, extensions=False)
    told = [peer.received(AllowedFast(index)) for index in range(1000)]
    assert len(peer.allowed_fast) == MAX_ALLOWED_FAST == sum(told)


def test_an_empty_torrent_has_an_empty_bitfield() -> None:
    peer = PeerProtocol(Geometry(0, 16384), fast=True, extensions=True)
    assert peer.received(BitfieldMessage(b"")) is False
    with pytest.raises(ProtocolError):
        peer.received(Have(0))
    with pytest.raises(ProtocolError):
        peer.received(Request(0, 0, 1))


@given(st.lists(messages, max_size=20), st.booleans(), st.booleans())
def test_any_conversation_is_taken_or_refused_with_a_protocol_error(
    conversation: list[Message], fast: bool, extensions: bool
) -> None:
    peer = protocol(fast=fast, extensions=extensions)
    for message in conversation:
        try:
            peer.received(message)
        except ProtocolError:
            break
    assert peer.peer_pieces.count == len(list(peer.peer_pieces)) <= 11
    assert fast or not peer.allowed_fast
