from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.compact import (
    Endpoint,
    endpoint,
    pack,
    split_host_port,
    unpack_ipv4,
    unpack_ipv6,
)
from engine.errors import InputError

ports = st.integers(1, 65535)
v4 = st.builds(Endpoint, st.ip_addresses(v=4).map(str), ports)
v6 = st.builds(
    Endpoint,
    st.ip_addresses(v=6).filter(lambda address: address.ipv4_mapped is None).map(str),
    ports,
)


@given(st.lists(v4 | v6, max_size=12))
def test_round_trip(peers: list[Endpoint]) -> None:
    packed4, packed6 = pack(peers)
    assert unpack_ipv4(packed4) == [peer for peer in peers if not peer.is_ipv6]
    assert unpack_ipv6(packed6) == [peer for peer in peers if peer.is_ipv6]
    assert len(packed4) // 6 + len(packed6) // 18 == len(peers)


@given(st.binary(max_size=80))
def test_torn_entries_are_refused_and_all_others_are_read(data: bytes) -> None:
    for unpack, width in ((unpack_ipv4, 6), (unpack_ipv6, 18)):
        if len(data) % width:
            with pytest.raises(InputError, match="not a multiple"):
                unpack(data)
        else:
            assert len(unpack(data)) <= len(data) // width


def test_golden_bytes() -> None:
    assert unpack_ipv4(b"\x7f\0\0\x01\x1a\xe1") == [Endpoint("127.0.0.1", 6881)]
    assert unpack_ipv6(bytes(15) + b"\x01\x1a\xe1") == [Endpoint("::1", 6881)]
    assert pack([Endpoint("10.0.0.2", 258)]) == (b"\x0a\0\0\x02\x01\x02", b"")


def test_port_zero_is_left_out() -> None:
    assert unpack_ipv4(b"\x7f\0\0\x01\0\0" + b"\x7f\0\0\x02\0\x01") == [Endpoint("127.0.0.2", 1)]
    assert unpack_ipv6(bytes(18)) == []


def test_a_mapped_address_is_the_ipv4_one() -> None:
    mapped = bytes(10) + b"\xff\xff\x0a\0\0\x01"
    assert unpack_ipv6(mapped + b"\0\x50") == [Endpoint("10.0.0.1", 80)]
    assert endpoint("::ffff:10.0.0.1", 80) == endpoint("10.0.0.1", 80)


@given(st.ip_addresses().map(str), ports)
def test_endpoints_are_canonical(host: str, port: int) -> None:
    canonical = endpoint(host, port)
    assert endpoint(canonical.host, port) == canonical
    assert endpoint(host.upper(), port) == canonical
    assert len(canonical.packed_host()) == (16 if canonical.is_ipv6 else 4)


def test_spellings_of_one_address_are_equal() -> None:
    assert endpoint("2001:0DB8:0:0::0001", 1) == Endpoint("2001:db8::1", 1)
    assert endpoint("fe80::1%eth0", 1) == Endpoint("fe80::1", 1)


@pytest.mark.parametrize(
    "host", ["", "localhost", "1.2.3", "1.2.3.256", "01.2.3.4", "::g", "[::1]"]
)
def test_names_and_nonsense_are_no_address(host: str) -> None:
    with pytest.raises(InputError, match="no IP address"):
        endpoint(host, 1)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_impossible_ports_are_refused(port: int) -> None:
    with pytest.raises(InputError, match="no port"):
        endpoint("127.0.0.1", port)


@given(v4 | v6)
def test_text_round_trip(peer: Endpoint) -> None:
    assert split_host_port(str(peer)) == (peer.host, peer.port)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost:0", ("localhost", 0)),
        ("[::1]:6881", ("::1", 6881)),
        ("1.2.3.4:65535", ("1.2.3.4", 65535)),
    ],
)
def test_host_and_port_are_split(text: str, expected: tuple[str, int]) -> None:
    assert split_host_port(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "host",
        "host:",
        ":80",
        "[]:80",
        "::1",
        "::1:80",
        "host:65536",
        "host:-1",
        "host:+1",
        "host: 1",
        "host:٣",
        "host:1_0",
        "host:" + "9" * 5000,
    ],
    ids=lambda text: text[:20],
)
def test_what_is_not_host_and_port_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        split_host_port(text)


@given(st.text(max_size=20))
def test_any_text_is_split_or_refused(text: str) -> None:
    try:
        host, port = split_host_port(text)
    except InputError:
        return
    assert host
    assert 0 <= port < 65536
