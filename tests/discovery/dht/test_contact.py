from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.compact import Endpoint
from engine.core.scope import network_of
from engine.discovery.dht.contact import Contact, pack_nodes, unpack_nodes
from engine.discovery.dht.node_id import NodeId
from engine.errors import ProtocolError

ID = NodeId(b"mnopqrstuvwxyz123456")


def test_compact_nodes_of_both_families() -> None:
    four = Contact(ID, Endpoint("1.2.3.4", 0x1234))
    six = Contact(ID, Endpoint("2001:db8::1", 0x1234))
    assert pack_nodes([four]) == ID + bytes.fromhex("010203041234")
    assert pack_nodes([six]) == ID + bytes.fromhex("20010db8" + "00" * 11 + "01" + "1234")
    assert unpack_nodes(pack_nodes([four, four]), ipv6=False) == [four, four]
    assert unpack_nodes(pack_nodes([six]), ipv6=True) == [six]


@pytest.mark.parametrize("length", [1, 25, 27, 38])
def test_torn_lists_are_refused(length: int) -> None:
    with pytest.raises(ProtocolError):
        unpack_nodes(bytes(length), ipv6=False)


@pytest.mark.parametrize(
    "host",
    [
        *("0.0.0.0", "0.1.2.3", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *("::", "ff02::1", "::ffff:1.2.3.4"),
    ],
)
def test_impossible_addresses_are_left_out(host: str) -> None:
    data = pack_nodes([Contact(ID, Endpoint(host, 6881))])
    assert unpack_nodes(data, ipv6=":" in host) == []


def test_port_zero_is_left_out() -> None:
    assert unpack_nodes(pack_nodes([Contact(ID, Endpoint("1.2.3.4", 0))]), ipv6=False) == []


def test_networks_of_one_owner() -> None:
    assert network_of("1.2.3.4") == network_of("1.2.3.200") != network_of("1.2.4.4")
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:0:0:1")
    assert network_of("2001:db8::1") != network_of("2001:db8:0:1::1")


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_give_contacts_or_are_refused(data: bytes, ipv6: bool) -> None:
    try:
        contacts = unpack_nodes(data, ipv6=ipv6)
    except ProtocolError:
        assert len(data) % (38 if ipv6 else 26)
    else:
        assert all(contact.endpoint.is_ipv6 == ipv6 for contact in contacts)
        assert unpack_nodes(pack_nodes(contacts), ipv6=ipv6) == contacts
