from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.identifiers import InfoHash, PeerId
from engine.errors import ProtocolError
from engine.wire.handshake import (
    HANDSHAKE_LENGTH,
    INFO_HASH_END,
    OUR_RESERVED,
    PROTOCOL_NAME,
    Handshake,
    check_beginning,
    reserved_bits,
)

handshakes = st.builds(
    Handshake,
    info_hash=st.binary(min_size=20, max_size=20).map(InfoHash),
    peer_id=st.binary(min_size=20, max_size=20).map(PeerId),
    reserved=st.binary(min_size=8, max_size=8),
)
OURS = Handshake(InfoHash(b"h" * 20), PeerId(b"-SW0100-abcdefghijkl"))


def test_golden_bytes() -> None:
    assert OURS.encode() == (
        b"\x13BitTorrent protocol"
        b"\x00\x00\x00\x00\x00\x10\x00\x04"
        b"hhhhhhhhhhhhhhhhhhhh"
        b"-SW0100-abcdefghijkl"
    )


@given(handshakes)
def test_round_trip(handshake: Handshake) -> None:
    raw = handshake.encode()
    assert len(raw) == HANDSHAKE_LENGTH
    assert raw[28:INFO_HASH_END] == handshake.info_hash
    assert Handshake.decode(raw) == handshake
    assert Handshake.decode(memoryview(bytearray(raw))) == handshake


@given(handshakes, st.binary(min_size=1, max_size=9))
def test_truncated_or_with_trailing_garbage_is_refused(handshake: Handshake, more: bytes) -> None:
    raw = handshake.encode()
    for wrong in (*(raw[:size] for size in range(len(raw))), raw + more):
        with pytest.raises(ProtocolError):
            Handshake.decode(wrong)


def test_another_protocol_is_refused_at_its_first_wrong_byte() -> None:
    raw = OURS.encode()
    for size in range(HANDSHAKE_LENGTH + 1):
        check_beginning(raw[:size])
    for at in range(len(PROTOCOL_NAME)):
        wrong = bytearray(raw)
        wrong[at] ^= 0x20
        check_beginning(wrong[:at])
        with pytest.raises(ProtocolError, match="does not speak BitTorrent"):
            check_beginning(wrong[: at + 1])
        with pytest.raises(ProtocolError):
            Handshake.decode(wrong)


def test_our_bits() -> None:
    assert OURS.supports_fast
    assert OURS.supports_extensions
    assert not OURS.supports_dht
    assert reserved_bits(dht=True) == b"\x00\x00\x00\x00\x00\x10\x00\x05"
    assert reserved_bits(dht=False) == OUR_RESERVED


def test_each_bit_is_its_own() -> None:
    for byte in range(8):
        for bit in range(8):
            reserved = bytearray(8)
            reserved[byte] = 1 << bit
            it = Handshake(OURS.info_hash, OURS.peer_id, bytes(reserved))
            assert it.supports_extensions == ((byte, 1 << bit) == (5, 0x10))
            assert it.supports_fast == ((byte, 1 << bit) == (7, 0x04))
            assert it.supports_dht == ((byte, 1 << bit) == (7, 0x01))


def test_a_v2_hash_is_cut_to_twenty_bytes() -> None:
    assert Handshake(InfoHash(bytes(range(32))), OURS.peer_id).encode()[28:48] == bytes(range(20))
