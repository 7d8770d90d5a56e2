"""NAT-PMP and PCP, byte by byte as RFC 6886 and RFC 6887 draw them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.discovery.port_mapping import (
    Carrier,
    Mapped,
    MapRequest,
    decode_pcp,
    decode_pmp,
    decode_pmp_address,
    encode_pcp,
    encode_pmp,
    encode_pmp_address_request,
    speaks_pmp_only,
)
from engine.errors import GatewayError

TCP = MapRequest(Carrier.TCP, 6881, 6881, 7200)
UDP = MapRequest(Carrier.UDP, 6881, 6890, 7200)
NONCE = bytes(range(12))


def test_nat_pmp_requests() -> None:
    assert encode_pmp_address_request() == b"\0\0"
    assert encode_pmp(TCP).hex() == "00020000" + "1ae1" + "1ae1" + "00001c20"
    assert encode_pmp(UDP).hex() == "00010000" + "1ae1" + "1aea" + "00001c20"
    gone = MapRequest(Carrier.TCP, 6881, 6890, 0)
    assert encode_pmp(gone).hex() == "00020000" + "1ae1" + "0000" + "00000000"


def test_nat_pmp_answers() -> None:
    address = bytes.fromhex("00800000" + "0000004d" + "c6336407")
    assert decode_pmp_address(address) == "198.51.100.7"
    mapped = bytes.fromhex("00820000" + "0000004d" + "1ae1" + "1aea" + "00000e10")
    assert decode_pmp(mapped, TCP) == Mapped(Carrier.TCP, 6881, 6890, 3600)
    assert decode_pmp(mapped, UDP) is None
    assert decode_pmp(mapped, MapRequest(Carrier.TCP, 1, 1, 1)) is None
    for length in range(len(mapped)):
        assert decode_pmp(mapped[:length], TCP) is None
    with pytest.raises(GatewayError, match="switched off"):
        decode_pmp(bytes.fromhex("00820002" + "00" * 12), TCP)
    with pytest.raises(GatewayError, match="no address"):
        decode_pmp_address(bytes.fromhex("00800003" + "00" * 8))
    with pytest.raises(GatewayError, match="mapped nothing"):
        decode_pmp(bytes.fromhex("00820000" + "0000004d" + "1ae1" + "0000" + "00000e10"), TCP)


def test_pcp_requests() -> None:
    asked = encode_pcp(UDP, client="192.168.1.9", nonce=NONCE).hex()
    assert asked == (
        "02010000" + "00001c20" + "00000000000000000000ffffc0a80109"
        "000102030405060708090a0b" + "11000000" + "1ae1" + "1aea"
        "00000000000000000000ffff00000000"
    )  # fmt: skip


PCP_HEAD = "02810000" + "00000e10" + "0000004d" + "00" * 12
PCP_MAP = (
    "000102030405060708090a0b" + "06000000" + "1ae1" + "1aea" + "00000000000000000000ffffc6336407"
)


def test_pcp_answers() -> None:
    mapped = bytes.fromhex(PCP_HEAD + PCP_MAP)
    expected = Mapped(Carrier.TCP, 6881, 6890, 3600, "198.51.100.7")
    assert decode_pcp(mapped, TCP, nonce=NONCE) == expected
    assert decode_pcp(mapped, UDP, nonce=NONCE) is None
    assert decode_pcp(mapped, TCP, nonce=bytes(12)) is None
    for length in range(len(mapped)):
        assert decode_pcp(mapped[:length], TCP, nonce=NONCE) is None
    refused = bytes.fromhex("02810002" + PCP_HEAD[8:] + PCP_MAP)
    with pytest.raises(GatewayError, match="not authorized"):
        decode_pcp(refused, TCP, nonce=NONCE)
    unheard_of = bytes.fromhex("028100ee" + PCP_HEAD[8:] + PCP_MAP)
    with pytest.raises(GatewayError, match="238"):
        decode_pcp(unheard_of, TCP, nonce=NONCE)


def test_an_address_of_ipv6_and_none_at_all() -> None:
    for host, expected in (("20010db8" + "00" * 11 + "07", "2001:db8::7"), ("00" * 16, None)):
        mapped = decode_pcp(bytes.fromhex(PCP_HEAD + PCP_MAP[:40] + host), TCP, nonce=NONCE)
        assert mapped is not None
        assert mapped.external_host == expected


def test_who_speaks_nat_pmp_only_is_told_by_its_answer_to_pcp() -> None:
    assert speaks_pmp_only(struct.pack(">BBHI", 0, 128, 1, 9))
    assert speaks_pmp_only(struct.pack(">BBHI", 0, 129, 1, 9))
    assert not speaks_pmp_only(struct.pack(">BBHI", 0, 128, 0, 9))
    assert not speaks_pmp_only(bytes.fromhex(PCP_HEAD))
    assert not speaks_pmp_only(b"\0\0\0")


@given(st.binary(max_size=80), st.sampled_from([b"", b"\0\x80", b"\0\x82\0\0", b"\x02\x81\0\0"]))
def test_any_answer_is_read_left_or_refused(data: bytes, beginning: bytes) -> None:
    for decode in (
        decode_pmp_address,
        lambda said: decode_pmp(said, TCP),
        lambda said: decode_pcp(said, TCP, nonce=NONCE),
    ):
        try:
            decode(beginning + data)
        except GatewayError as error:
            assert str(error)  # noqa: PT017 - any text will do
