"""Whole networks on a virtual clock: 300 nodes join, announce, find, store, lose their friends."""

from __future__ import annotations

import math
from random import Random

import pytest

from engine.core.compact import Endpoint
from engine.discovery.dht.events import Joined
from engine.discovery.dht.items import ImmutableItem, MutableItem, encode_value
from engine.discovery.dht.node import DhtNode
from engine.discovery.dht.node_id import distance, is_bound_to
from engine.discovery.dht.purpose import (
    FindItem,
    FindMutableItem,
    FindNodes,
    FindPeers,
    FindSamples,
)
from tests.discovery.dht.signatures import Signer, verify
from tests.discovery.dht.simulated_network import PORT, SimulatedNetwork, address

SIGNER = Signer()
SIZE = 300


@pytest.fixture(scope="module")
def net() -> SimulatedNetwork:
    """300 nodes, of which every fifth falls silent in the end; tests only add to it."""
    net = SimulatedNetwork(1)
    for number in range(SIZE):
        net.adopt(DhtNode(net.rng, 0.0, verify), address(number))
    net.join_all(per_second=30)
    net.run(65)
    net.silent.update(address(number) for number in range(4, SIZE, 5))
    return net


def _live(net: SimulatedNetwork) -> list[DhtNode]:
    return [node for endpoint, node in net.nodes.items() if endpoint not in net.silent]


def _nearest(net: SimulatedNetwork, target: bytes) -> set[bytes]:
    ids = [node.node_id for node in _live(net)]
    return set(sorted(ids, key=lambda node_id: distance(node_id, target))[:8])


def test_everybody_joins(net: SimulatedNetwork) -> None:
    joined = {endpoint for endpoint, event in net.events if isinstance(event, Joined)}
    assert joined >= set(net.nodes) - {address(0)}
    assert all(node.table.good_count(net.now) >= 8 for node in _live(net))


def test_ids_follow_from_addresses_once_these_are_known(net: SimulatedNetwork) -> None:
    settled = [
        (endpoint, node) for endpoint, node in net.nodes.items() if node.host == endpoint.host
    ]
    assert len(settled) > 0.9 * len(_live(net))
    assert all(is_bound_to(node.node_id, endpoint.packed_host()) for endpoint, node in settled)


def test_lookups_find_the_nearest_in_few_hops(net: SimulatedNetwork) -> None:
    rng = Random(2)
    exact = 0
    for _ in range(20):
        target = rng.randbytes(20)
        found = net.lookup(rng.choice(_live(net)), FindNodes(target))
        exact += len({contact.id for contact in found.closest} & _nearest(net, target))
        assert found.hops <= math.log2(SIZE)
        assert found.queries <= 60
        assert found.duration_s < 15
    assert exact >= 20 * 7


def test_peers_are_announced_and_found(net: SimulatedNetwork) -> None:
    rng = Random(3)
    info_hash = rng.randbytes(20)
    announcers = rng.sample(_live(net), 12)
    for number, node in enumerate(announcers):
        purpose = FindPeers(info_hash, port=5000 + number, is_seed=number % 2 == 0)
        net.lookup(node, purpose)
        assert purpose.stored_count >= 6
    expected = {
        Endpoint(net.endpoint_of(node).host, 5000 + number)
        for number, node in enumerate(announcers)
    }
    seeker = rng.choice([node for node in _live(net) if node not in announcers])
    purpose = FindPeers(info_hash, scrape=True)
    net.lookup(seeker, purpose)
    assert set(purpose.peers) == expected
    seeds, downloaders = purpose.counts()
    assert abs(seeds - 6) <= 1
    assert abs(downloaders - 6) <= 1
    downloading = FindPeers(info_hash, no_seeds=True)
    net.lookup(seeker, downloading)
    assert {peer.port % 2 for peer in downloading.peers} == {1}


def test_implied_ports_are_those_of_the_node(net: SimulatedNetwork) -> None:
    node = _live(net)[7]
    info_hash = Random(4).randbytes(20)
    net.lookup(node, FindPeers(info_hash, port=1234, implied_port=True))
    purpose = FindPeers(info_hash)
    net.lookup(_live(net)[50], purpose)
    assert set(purpose.peers) == {Endpoint(net.endpoint_of(node).host, PORT)}


def test_immutable_items_are_kept(net: SimulatedNetwork) -> None:
    item = ImmutableItem(encode_value({"name": "value", "list": [1, 2, 3]}))
    storing = FindItem(item.target, item)
    net.lookup(_live(net)[3], storing)
    assert storing.stored_count >= 6
    purpose = FindItem(item.target)
    net.lookup(_live(net)[90], purpose)
    assert purpose.item == item
    missing = FindItem(b"?" * 20)
    net.lookup(_live(net)[90], missing)
    assert missing.item is None


def test_mutable_items_move_on(net: SimulatedNetwork) -> None:
    def publish(newest: MutableItem | None) -> MutableItem:
        return SIGNER.item(newest.seq + 1 if newest else 1, b"version", b"salt")

    for version in (1, 2, 3):
        storing = FindMutableItem(
            SIGNER.key, verify, salt=b"salt", publish=publish, compare_and_swap=True
        )
        net.lookup(_live(net)[version * 10], storing)
        assert storing.stored_count >= 6
        purpose = FindMutableItem(SIGNER.key, verify, salt=b"salt")
        net.lookup(_live(net)[100 + version], purpose)
        assert purpose.item is not None
        assert purpose.item.seq == version


def test_samples_are_of_what_was_announced(net: SimulatedNetwork) -> None:
    rng = Random(5)
    info_hashes = {rng.randbytes(20) for _ in range(5)}
    for info_hash in info_hashes:
        net.lookup(_live(net)[11], FindPeers(info_hash, port=1))
    found: set[bytes] = set()
    for info_hash in info_hashes:
        purpose = FindSamples(info_hash)
        net.lookup(_live(net)[60], purpose)
        found |= purpose.info_hashes
    assert found >= info_hashes


def test_datagrams_are_never_fragmented(net: SimulatedNetwork) -> None:
    assert 0 < net.longest_bytes <= 1400


def test_a_network_that_loses_half_of_its_nodes_heals() -> None:
    net = SimulatedNetwork(6)
    for _ in range(48):
        net.add()
    net.join_all()
    net.run(60)
    gone = list(net.nodes)[1::2]
    net.silent.update(gone)
    net.run(1000)
    node = _live(net)[0]
    assert node.table.good_count(net.now) >= 8
    assert not {contact.endpoint for contact in node.table.closest(bytes(20), net.now)} & set(gone)
    target = net.rng.randbytes(20)
    found = net.lookup(node, FindNodes(target))
    assert len({contact.id for contact in found.closest} & _nearest(net, target)) >= 7
    assert found.timeouts <= 2


def test_packet_loss_is_lived_with() -> None:
    net = SimulatedNetwork(7, loss=0.1)
    for _ in range(48):
        net.add()
    net.join_all()
    net.run(60)
    hits = 0
    for _ in range(10):
        target = net.rng.randbytes(20)
        found = net.lookup(net.rng.choice(_live(net)), FindNodes(target))
        hits += len({contact.id for contact in found.closest} & _nearest(net, target))
    # A fifth of all questions or answers is lost, and nobody asks twice.
    assert hits >= 10 * 5


def test_a_node_comes_back_with_its_saved_state_and_no_entry_point() -> None:
    net = SimulatedNetwork(8)
    for _ in range(40):
        net.add()
    net.join_all()
    net.run(30)
    endpoint, old = list(net.nodes.items())[30]
    state = old.snapshot()
    again = DhtNode(Random(9), net.now, verify, state=state)
    assert again.node_id == old.node_id
    net.adopt(again, endpoint)
    net.run(20)
    assert again.table.good_count(net.now) >= 8


def test_two_nodes_are_a_network() -> None:
    """All that a magnet link needs: one node in common with somebody who has it."""
    net = SimulatedNetwork(10)
    first, second, third = (net.add() for _ in range(3))
    for node in (second, third):
        node.bootstrap([address(0)], net.now)
        net.settle(net.endpoint_of(node))
    net.run(3)
    info_hash = b"i" * 20
    announcing = FindPeers(info_hash, port=7000)
    net.lookup(second, announcing)
    assert announcing.stored_count >= 1
    purpose = FindPeers(info_hash)
    net.lookup(third, purpose)
    assert set(purpose.peers) == {Endpoint(address(1).host, 7000)}
    assert len(first.table) == 2


def test_ipv6_networks() -> None:
    net = SimulatedNetwork(11, is_ipv6=True)
    for _ in range(40):
        net.add()
    net.join_all()
    net.run(20)
    target = net.rng.randbytes(20)
    found = net.lookup(_live(net)[5], FindPeers(target, port=9))
    assert len({contact.id for contact in found.closest} & _nearest(net, target)) >= 7
    purpose = FindPeers(target)
    net.lookup(_live(net)[30], purpose)
    assert set(purpose.peers) == {Endpoint(address(5, is_ipv6=True).host, 9)}
    assert net.longest_bytes <= 1024


def test_an_idle_node_says_little() -> None:
    net = SimulatedNetwork(12)
    for _ in range(40):
        net.add()
    net.join_all()
    net.run(120)
    before = net.datagrams
    net.run(300)
    per_node_and_minute = (net.datagrams - before) / 40 / 5
    assert per_node_and_minute < 30
