"""The messages of ut_metadata: there and back, the bytes of the BEP, and what is no message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core import bencode
from engine.errors import ProtocolError
from engine.wire.ut_metadata import (
    METADATA_PIECE_BYTES,
    MetadataData,
    MetadataMessage,
    MetadataReject,
    MetadataRequest,
    decode,
    encode,
)

PIECES = st.integers(0, (1 << 31) - 1)
MESSAGES = st.one_of(
    st.builds(MetadataRequest, PIECES),
    st.builds(MetadataReject, PIECES),
    st.builds(
        MetadataData,
        PIECES,
        st.binary(max_size=200) | st.just(b"i" * METADATA_PIECE_BYTES),
        st.none() | st.integers(1, 1 << 40),
    ),
)


@given(MESSAGES)
def test_there_and_back(message: MetadataMessage) -> None:
    assert decode(encode(message)) == message


def test_the_bytes_of_the_bep() -> None:
    assert encode(MetadataRequest(0)) == b"d8:msg_typei0e5:piecei0ee"
    assert encode(MetadataReject(0)) == b"d8:msg_typei2e5:piecei0ee"
    data = b"d8:msg_typei1e5:piecei0e10:total_sizei34256eexxxxxxxx"
    assert encode(MetadataData(0, b"xxxxxxxx", 34256)) == data
    assert decode(data) == MetadataData(0, b"xxxxxxxx", 34256)


def test_keys_in_any_order_and_keys_of_others() -> None:
    assert decode(b"d5:piecei7e8:msg_typei0e1:x3:abce") == MetadataRequest(7)


@pytest.mark.parametrize("kind", [3, 4, 1000, -1])
def test_messages_of_the_future_are_ignored(kind: int) -> None:
    assert decode(b"d8:msg_typei%de5:piecei0ee" % kind) is None
    assert decode(b"d8:msg_typei%dee" % kind) is None


@pytest.mark.parametrize("total", [b"i0e", b"i-5e", b"3:abc", b"le"])
def test_a_size_without_sense_is_unsaid(total: bytes) -> None:
    payload = b"d8:msg_typei1e5:piecei0e10:total_size%bexyz" % total
    assert decode(payload) == MetadataData(0, b"xyz")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"i0e",
        b"le",
        b"d",
        b"de",
        b"d8:msg_typei0ee",
        b"d5:piecei0ee",
        b"d8:msg_type1:05:piecei0ee",
        b"d8:msg_typei0e5:piece1:0e",
        b"d8:msg_typei0e5:piecei-1ee",
        b"d8:msg_typei0e5:piecei2147483648ee",
        b"d8:msg_typei0e5:piecei99999999999999999999999ee",
        b"d1:x" + b"l" * 100 + b"e" * 100 + b"e",
        b"d1:x5000:" + b"x" * 5000 + b"8:msg_typei0e5:piecei0ee",
        bencode.encode({"msg_type": 1, "piece": 0}) + bytes(METADATA_PIECE_BYTES + 1),
    ],
)
def test_what_is_no_message(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(payload)


@given(st.binary(max_size=300))
def test_anything_is_read_or_refused(payload: bytes) -> None:
    try:
        message = decode(payload)
    except ProtocolError:
        return
    assert message is None or decode(encode(message)) == message
