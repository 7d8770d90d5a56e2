from __future__ import annotations

from engine.core.compact import Endpoint
from engine.discovery.dht.contact import Contact
from engine.discovery.dht.credibility import credible
from engine.discovery.dht.messages import Reply
from engine.discovery.dht.node_id import NodeId

ID = NodeId(b"n" * 20)


def _reply() -> Reply:
    four = ("10.0.0.1", "20.0.0.1", "127.0.0.1", "192.168.0.1")
    return Reply(
        b"t",
        ID,
        tuple(Contact(ID, Endpoint(host, 1)) for host in four),
        tuple(Contact(ID, Endpoint(host, 1)) for host in ("fe80::1", "2001:db8::1", "::1")),
        values=tuple(Endpoint(host, 1) for host in four),
    )


def test_strangers_cannot_send_us_into_our_own_network() -> None:
    found = credible(_reply(), "30.0.0.1")
    assert found.nodes == (Contact(ID, Endpoint("20.0.0.1", 1)),)
    assert found.nodes6 == (Contact(ID, Endpoint("2001:db8::1", 1)),)
    assert found.values == (Endpoint("20.0.0.1", 1),)


def test_neighbours_may_know_neighbours() -> None:
    assert credible(_reply(), "192.168.0.9") == _reply()


def test_what_is_not_there_stays_so() -> None:
    assert credible(Reply(b"t", ID), "30.0.0.1") == Reply(b"t", ID)
