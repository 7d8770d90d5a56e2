from __future__ import annotations

from dataclasses import replace

from engine.core.compact import Endpoint
from engine.discovery.dht.bloom import BloomFilter
from engine.discovery.dht.items import ImmutableItem, MutableItem
from engine.discovery.dht.messages import (
    AnnouncePeer,
    FindNode,
    GetItem,
    GetPeers,
    PutItem,
    Reply,
    SampleInfohashes,
)
from engine.discovery.dht.node_id import NodeId
from engine.discovery.dht.purpose import (
    MAX_PEERS,
    MAX_PEERS_OF_REPLY,
    FindItem,
    FindMutableItem,
    FindNodes,
    FindPeers,
    FindSamples,
)
from tests.discovery.dht.signatures import Signer, verify

TARGET = b"t" * 20
NODE = Endpoint("20.0.0.1", 1)
REPLY = Reply(b"t", NodeId(b"n" * 20), token=b"token")
SIGNER = Signer()


def _peers(first: int, behind: int) -> tuple[Endpoint, ...]:
    return tuple(
        Endpoint(f"30.{n >> 16}.{n >> 8 & 255}.{n & 255}", 1) for n in range(first, behind)
    )


def _held(item: MutableItem) -> Reply:
    return replace(REPLY, value=item.value, key=item.key, seq=item.seq, signature=item.signature)


def test_nodes() -> None:
    purpose = FindNodes(TARGET)
    assert purpose.query() == FindNode(TARGET)
    assert purpose.store(REPLY) is None
    assert not purpose.is_satisfied


def test_peers_are_told_once_and_bounded() -> None:
    purpose = FindPeers(TARGET)
    purpose.take(NODE, replace(REPLY, values=_peers(0, 3)))
    purpose.take(NODE, replace(REPLY, values=_peers(2, 4)))
    assert purpose.fresh_peers() == _peers(0, 4)
    assert purpose.fresh_peers() == ()
    purpose.take(NODE, replace(REPLY, values=_peers(100, 1000)))
    assert len(purpose.fresh_peers()) == MAX_PEERS_OF_REPLY
    for n in range(100):
        purpose.take(NODE, replace(REPLY, values=_peers(n * 100, n * 100 + 100)))
    assert len(purpose.peers) == MAX_PEERS


def test_announces() -> None:
    assert FindPeers(TARGET).store(REPLY) is None
    assert FindPeers(TARGET, port=5).store(replace(REPLY, token=b"")) is None
    assert FindPeers(TARGET, port=5).store(REPLY) == AnnouncePeer(TARGET, b"token", 5)
    purpose = FindPeers(TARGET, implied_port=True, is_seed=True, no_seeds=True, scrape=True)
    assert purpose.query() == GetPeers(TARGET, no_seeds=True, scrape=True)
    expected = AnnouncePeer(TARGET, b"token", 0, implied_port=True, is_seed=True)
    assert purpose.store(REPLY) == expected


def test_scrapes_unite_what_nodes_know() -> None:
    purpose = FindPeers(TARGET, scrape=True)
    seeds, others = _peers(0, 100), _peers(1000, 1300)
    for at in range(0, 100, 20):
        filters = [
            bytes(BloomFilter.of(peer.packed_host() for peer in some))
            for some in (seeds[at : at + 40], others[at * 3 : at * 3 + 120])
        ]
        purpose.take(NODE, replace(REPLY, seeds_filter=filters[0], peers_filter=filters[1]))
    # An old node does not tell seeds apart: those that others know as such are not counted twice.
    purpose.take(NODE, replace(REPLY, values=(*seeds[:50], *_peers(5000, 5040))))
    found_seeds, found_others = purpose.counts()
    assert abs(found_seeds - 100) <= 5
    assert abs(found_others - 340) <= 20


def test_an_immutable_item_is_believed_by_its_hash() -> None:
    item = ImmutableItem(b"5:value")
    purpose = FindItem(item.target)
    assert purpose.query() == GetItem(item.target)
    purpose.take(NODE, replace(REPLY, value=b"6:forged"))
    assert not purpose.is_satisfied
    purpose.take(NODE, replace(REPLY, value=item.value))
    assert purpose.item == item
    assert purpose.is_satisfied
    assert purpose.store(REPLY) is None


def test_an_immutable_item_is_stored_where_there_is_a_token() -> None:
    item = ImmutableItem(b"5:value")
    purpose = FindItem(item.target, item)
    purpose.take(NODE, replace(REPLY, value=item.value))
    assert not purpose.is_satisfied
    assert purpose.store(REPLY) == PutItem(item, b"token")
    assert purpose.store(replace(REPLY, token=b"")) is None


def test_the_newest_genuine_item_counts() -> None:
    purpose = FindMutableItem(SIGNER.key, verify, salt=b"salt")
    genuine = SIGNER.item(3, b"three", b"salt")
    assert purpose.query() == GetItem(genuine.target)
    for item in (
        SIGNER.item(2, b"two", b"salt"),
        genuine,
        replace(genuine, seq=9),
        replace(genuine, seq=8, value=b"1:x"),
        SIGNER.item(7, b"of another salt"),
        Signer(b"x" * 32).item(99, b"of another key", b"salt"),
        SIGNER.item(1, b"one", b"salt"),
    ):
        purpose.take(NODE, _held(item))
    purpose.take(NODE, replace(REPLY, seq=100))
    assert purpose.item == genuine
    assert not purpose.is_satisfied


def test_a_successor_is_published_once_the_newest_is_known() -> None:
    seen: list[MutableItem | None] = []

    def publish(newest: MutableItem | None) -> MutableItem:
        seen.append(newest)
        return SIGNER.item(newest.seq + 1 if newest else 0, b"next")

    current = SIGNER.item(4, b"four")
    purpose = FindMutableItem(SIGNER.key, verify, publish=publish, compare_and_swap=True)
    purpose.take(NODE, _held(current))
    expected = SIGNER.item(5, b"next")
    assert purpose.store(REPLY) == PutItem(expected, b"token")
    assert purpose.store(_held(current)) == PutItem(expected, b"token", 4)
    assert purpose.store(replace(REPLY, token=b"")) is None
    assert seen == [current]
    assert purpose.published == expected


def test_nothing_is_stored_when_nothing_is_published() -> None:
    purpose = FindMutableItem(SIGNER.key, verify, publish=lambda newest: None)
    assert purpose.store(REPLY) is None
    assert FindMutableItem(SIGNER.key, verify).store(REPLY) is None


def test_samples() -> None:
    purpose = FindSamples(TARGET)
    assert purpose.query() == SampleInfohashes(TARGET)
    purpose.take(NODE, replace(REPLY, samples=(b"1" * 20, b"2" * 20), torrent_count=70))
    purpose.take(NODE, replace(REPLY, samples=(b"2" * 20,), torrent_count=0))
    purpose.take(NODE, REPLY)
    assert purpose.info_hashes == {b"1" * 20, b"2" * 20}
    assert purpose.torrent_count == 71


def test_what_became_of_stores() -> None:
    purpose = FindNodes(TARGET)
    purpose.stored()
    purpose.refused(0)
    purpose.refused(301)
    purpose.refused(301)
    assert purpose.stored_count == 1
    assert purpose.refusals == {0: 1, 301: 2}
