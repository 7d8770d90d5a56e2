"""Messages of ut_holepunch: bytes, round trips, and what is no message."""

from __future__ import annotations

import contextlib
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.compact import Endpoint
from engine.errors import ProtocolError
from engine.wire.ut_holepunch import ErrorCode, HolepunchMessage, Kind, decode, encode

PORTS = st.integers(0, 65535)
ADDRESSES = st.one_of(
    st.builds(Endpoint, st.ip_addresses(v=4).map(str), PORTS),
    st.builds(Endpoint, st.ip_addresses(v=6).map(str), PORTS),
)
V4 = Endpoint("203.0.113.7", 6881)
V6 = Endpoint("2001:db8::7", 6881)


@pytest.mark.parametrize(
    ("message", "payload"),
    [
        (HolepunchMessage(Kind.RENDEZVOUS, V4), "00 00 cb007107 1ae1 00000000"),
        (HolepunchMessage(Kind.CONNECT, V4), "01 00 cb007107 1ae1 00000000"),
        (
            HolepunchMessage(Kind.ERROR, V6, ErrorCode.NO_SUPPORT),
            "02 01 20010db8000000000000000000000007 1ae1 00000003",
        ),
    ],
)
def test_the_bytes_of_bep_55(message: HolepunchMessage, payload: str) -> None:
    assert encode(message) == bytes.fromhex(payload)
    assert decode(bytes.fromhex(payload)) == message


@given(st.sampled_from([Kind.RENDEZVOUS, Kind.CONNECT]), ADDRESSES)
def test_what_is_said_is_understood(kind: Kind, address: Endpoint) -> None:
    said = decode(encode(HolepunchMessage(kind, address)))
    assert said is not None
    assert said.kind is kind
    assert ipaddress.ip_address(said.address.host) == ipaddress.ip_address(address.host)
    assert said.address.port == address.port
    # libtorrent leaves the error code out.
    assert decode(encode(said)[:-4]) == said


@given(ADDRESSES, st.integers(0, 2**32 - 1))
def test_an_error_repeats_what_was_asked_to_the_byte(address: Endpoint, code: int) -> None:
    asked = encode(HolepunchMessage(Kind.RENDEZVOUS, address))
    said = decode(asked)
    assert said is not None
    answer = encode(HolepunchMessage(Kind.ERROR, said.address, code))
    assert answer[1:-4] == asked[1:-4]
    read = decode(answer)
    assert read is not None
    assert read.error == code


@given(st.binary(max_size=40))
def test_any_bytes_are_a_message_or_a_typed_error(payload: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        message = decode(payload)
        assert message is None or decode(encode(message)) == message


def test_messages_of_the_future_are_ignored() -> None:
    assert decode(bytes.fromhex("03 00 cb007107 1ae1 00000000")) is None


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "00",
        "00 02 cb007107 1ae1 00000000",
        "00 00 cb007107 1a",
        "00 00 cb007107 1ae1 0000",
        "00 00 cb007107 1ae1 00000000 00",
        "00 01 cb007107 1ae1 00000000",
        "02 00 cb007107 1ae1",
    ],
)
def test_what_is_no_message_is_the_peers_fault(payload: str) -> None:
    with pytest.raises(ProtocolError):
        decode(bytes.fromhex(payload))
