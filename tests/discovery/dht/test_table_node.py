from __future__ import annotations

from engine.core.compact import Endpoint
from engine.discovery.dht.contact import Contact
from engine.discovery.dht.node_id import NodeId
from engine.discovery.dht.table_node import FRESH_S, TableNode


def _node(host: str = "20.0.0.1") -> TableNode:
    return TableNode(Contact(NodeId(b"n" * 20), Endpoint(host, 1)))


def test_good_questionable_bad() -> None:
    node = _node()
    assert not node.is_good(0.0)
    node.queried_at = 0.0
    assert not node.is_verified
    assert not node.is_good(0.0)
    node.replied_at = 0.0
    assert node.is_good(FRESH_S)
    assert not node.is_good(FRESH_S + 1)
    node.queried_at = FRESH_S
    assert node.is_good(FRESH_S + 1)
    node.failures = 1
    assert not node.is_good(FRESH_S)
    assert not node.is_bad
    node.failures = 2
    assert node.is_bad


def test_it_is_asked_more_rarely_with_every_failure() -> None:
    node = _node()
    node.pinged_at = 100.0
    waits = []
    for node.failures in range(6):
        wait = 0.0
        while not node.may_be_pinged(100.0 + wait):
            wait += 5.0
        waits.append(wait)
    assert waits == [15.0, 60.0, 240.0, 960.0, 3840.0, 3840.0]
    node.failures, node.not_before = 0, 500.0
    assert not node.may_be_pinged(499.0)
    assert node.may_be_pinged(500.0)


def test_local_nodes_have_no_network() -> None:
    assert _node("10.0.0.1").network == _node("127.0.0.1").network == b""
    assert _node().network
