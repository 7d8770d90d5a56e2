"""Answers: what is in them, what they cost, and who may store what."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from engine.core.compact import Endpoint
from engine.discovery.dht import krpc
from engine.discovery.dht.contact import Contact
from engine.discovery.dht.item_store import MAX_ITEMS_PER_HOST, ItemStore
from engine.discovery.dht.items import ImmutableItem, Item, encode_value
from engine.discovery.dht.messages import (
    AnnouncePeer,
    BadQuery,
    Body,
    ErrorCode,
    ErrorReply,
    FindNode,
    GetItem,
    GetPeers,
    Ping,
    PutItem,
    Query,
    Reply,
    SampleInfohashes,
    Want,
)
from engine.discovery.dht.node_id import NodeId
from engine.discovery.dht.peer_store import MAX_TORRENTS_PER_HOST, PeerStore
from engine.discovery.dht.responder import MAX_ITEM_REPLY_BYTES, MAX_REPLY_BYTES, Responder
from engine.discovery.dht.tokens import LIFETIME_S, TokenIssuer
from tests.discovery.dht.signatures import Signer, verify

OWN, ASKER = NodeId(b"o" * 20), NodeId(b"a" * 20)
SOURCE = Endpoint("20.0.0.1", 6881)
SIX = Endpoint("2001:db8::1", 6881)
TARGET = b"t" * 20
SIGNER = Signer()


class Table:
    def __init__(self, hosts: list[str]) -> None:
        self._contacts = [
            Contact(NodeId(bytes([n]) * 20), Endpoint(host, 6881)) for n, host in enumerate(hosts)
        ]

    def closest(self, target: bytes, now: float, count: int) -> list[Contact]:
        del target, now
        return self._contacts[:count]


TABLES = (
    Table([f"30.0.{n}.1" for n in range(20)]),
    Table([f"2001:db8:{n}::1" for n in range(20)]),
)


class Asker:
    def __init__(self) -> None:
        rng = Random(1)
        self.peers = PeerStore(rng)
        self.items = ItemStore(verify, rng)
        self._responder = Responder(TokenIssuer(rng, 0.0), self.peers, self.items)
        self.length = 0

    def ask(
        self,
        body: Body,
        source: Endpoint = SOURCE,
        now: float = 0.0,
        want: Want | None = None,
    ) -> Reply | ErrorReply:
        query = Query(b"tt", ASKER, body, want)
        datagram = self._responder.answer(query, source, now, OWN, TABLES)
        self.length = len(datagram)
        answer = krpc.decode(datagram)
        assert isinstance(answer, Reply | ErrorReply)
        assert answer.transaction == b"tt"
        return answer

    def reply(
        self,
        body: Body,
        source: Endpoint = SOURCE,
        now: float = 0.0,
        want: Want | None = None,
    ) -> Reply:
        answer = self.ask(body, source, now, want)
        assert isinstance(answer, Reply)
        assert answer.sender == OWN
        assert answer.your_address == source
        return answer

    def code(self, body: Body, source: Endpoint = SOURCE, now: float = 0.0) -> int:
        answer = self.ask(body, source, now)
        return answer.code if isinstance(answer, ErrorReply) else 0

    def put(self, item: Item, source: Endpoint = SOURCE, cas: int | None = None) -> int:
        token = self.reply(GetItem(item.target), source).token
        return self.code(PutItem(item, token, cas), source)


@pytest.fixture
def asker() -> Asker:
    return Asker()


def test_ping(asker: Asker) -> None:
    assert asker.reply(Ping()) == Reply(b"tt", OWN, your_address=SOURCE)


@pytest.mark.parametrize(
    ("source", "want", "four", "six"),
    [
        (SOURCE, None, True, False),
        (SIX, None, False, True),
        (SOURCE, Want.IPV6, False, True),
        (SIX, Want.IPV4, True, False),
        (SIX, Want.IPV4 | Want.IPV6, True, True),
    ],
)
def test_nodes_of_the_wanted_families(
    asker: Asker, source: Endpoint, want: Want | None, four: bool, six: bool
) -> None:
    for body in (FindNode(TARGET), GetPeers(TARGET), GetItem(TARGET), SampleInfohashes(TARGET)):
        reply = asker.reply(body, source, want=want)
        assert len(reply.nodes or ()) == 8 * four
        assert len(reply.nodes6 or ()) == 8 * six
        assert asker.length <= MAX_REPLY_BYTES


def test_nobody_is_told_of_himself(asker: Asker) -> None:
    reply = asker.reply(FindNode(TARGET), Endpoint("30.0.2.1", 6881))
    assert [c.endpoint.host for c in reply.nodes or ()] == [
        f"30.0.{n}.1" for n in range(9) if n != 2
    ]


def test_announces_need_the_token_of_their_address(asker: Asker) -> None:
    token = asker.reply(GetPeers(TARGET)).token
    announce = AnnouncePeer(TARGET, token, 51413)
    assert asker.code(announce, Endpoint("20.0.0.2", 6881)) == ErrorCode.PROTOCOL
    assert asker.code(replace(announce, info_hash=b"u" * 20)) == ErrorCode.PROTOCOL
    assert asker.code(replace(announce, token=b"guess")) == ErrorCode.PROTOCOL
    assert asker.reply(GetPeers(TARGET)).values == ()
    assert asker.code(announce) == 0
    assert asker.reply(GetPeers(TARGET)).values == (Endpoint(SOURCE.host, 51413),)
    assert asker.code(replace(announce, implied_port=True, is_seed=True)) == 0
    assert asker.reply(GetPeers(TARGET)).values == (SOURCE,)
    assert asker.reply(GetPeers(TARGET, no_seeds=True)).values == ()
    assert asker.code(announce, now=2 * LIFETIME_S) == ErrorCode.PROTOCOL


def test_no_token_where_nothing_more_is_taken(asker: Asker) -> None:
    token = asker.reply(GetPeers(TARGET)).token
    for n in range(MAX_TORRENTS_PER_HOST):
        asker.peers.announce(n.to_bytes(20, "big"), SOURCE, 0.0, is_seed=False)
    assert asker.reply(GetPeers(TARGET)).token == b""
    assert asker.code(AnnouncePeer(TARGET, token, 1)) == ErrorCode.SERVER


@pytest.mark.parametrize("source", [SOURCE, SIX])
@pytest.mark.parametrize("scrape", [False, True])
def test_large_swarms_fit_in_one_datagram(asker: Asker, source: Endpoint, scrape: bool) -> None:
    for n in range(400):
        host = f"2001:db8:{n:x}::9" if source.is_ipv6 else f"40.0.{n >> 8}.{n & 255}"
        asker.peers.announce(TARGET, Endpoint(host, 1), 0.0, is_seed=n % 2 == 0)
    both = Want.IPV4 | Want.IPV6
    reply = asker.reply(GetPeers(TARGET, scrape=scrape), source, want=both)
    assert asker.length <= MAX_REPLY_BYTES
    assert bool(reply.seeds_filter) == bool(reply.peers_filter) == scrape
    assert reply.token
    reply = asker.reply(GetPeers(TARGET), source)
    assert len(reply.values) >= 20
    assert len(reply.nodes6 if source.is_ipv6 else reply.nodes or ()) == 8


def test_filters_only_of_known_torrents(asker: Asker) -> None:
    assert asker.reply(GetPeers(TARGET, scrape=True)).seeds_filter == b""


def test_immutable_items(asker: Asker) -> None:
    item = ImmutableItem(encode_value(b"x" * 990))
    assert asker.reply(GetItem(item.target)).value is None
    assert asker.code(PutItem(item, b"guess")) == ErrorCode.PROTOCOL
    assert asker.put(item) == 0
    reply = asker.reply(GetItem(item.target), want=Want.IPV4 | Want.IPV6)
    assert reply.value == item.value
    assert reply.nodes
    assert asker.length <= MAX_ITEM_REPLY_BYTES


def test_mutable_items(asker: Asker) -> None:
    item = SIGNER.item(5, b"x" * 990, b"salt")
    assert asker.put(item) == 0
    reply = asker.reply(GetItem(item.target))
    assert (reply.value, reply.key, reply.seq, reply.signature) == (
        item.value,
        item.key,
        5,
        item.signature,
    )
    assert asker.length <= MAX_ITEM_REPLY_BYTES
    known = asker.reply(GetItem(item.target, newer_than=5))
    assert (known.value, known.key, known.seq) == (None, b"", 5)
    assert asker.reply(GetItem(item.target, newer_than=4)).value == item.value
    assert asker.put(SIGNER.item(4, b"old", b"salt")) == ErrorCode.OUTDATED
    assert asker.put(SIGNER.item(6, b"new", b"salt"), cas=4) == ErrorCode.CAS_MISMATCH
    assert asker.put(replace(item, seq=9)) == ErrorCode.INVALID_SIGNATURE
    assert asker.put(SIGNER.item(6, b"new", b"salt"), cas=5) == 0


def test_one_host_keeps_a_few_items(asker: Asker) -> None:
    codes = [asker.put(ImmutableItem(encode_value(n))) for n in range(MAX_ITEMS_PER_HOST + 1)]
    assert codes == [0] * MAX_ITEMS_PER_HOST + [ErrorCode.SERVER]


def test_samples(asker: Asker) -> None:
    assert asker.reply(SampleInfohashes(TARGET)).samples == ()
    for n in range(300):
        peer = Endpoint(f"40.0.{n >> 8}.{n & 255}", 1)
        asker.peers.announce(n.to_bytes(20, "big"), peer, 0.0, is_seed=False)
    reply = asker.reply(SampleInfohashes(TARGET), now=1.0)
    assert len(reply.samples or ()) == 20
    assert reply.torrent_count == 300
    assert 0 < reply.sample_interval_s <= 21600
    assert asker.length <= MAX_REPLY_BYTES


def test_bad_queries_get_their_error() -> None:
    rng = Random(1)
    responder = Responder(TokenIssuer(rng, 0.0), PeerStore(rng), ItemStore(verify, rng))
    bad = BadQuery(b"tt", ErrorCode.SALT_TOO_BIG, "salt too big")
    answer = krpc.decode(responder.answer(bad, SOURCE, 0.0, OWN, TABLES))
    assert answer == ErrorReply(b"tt", 207, "salt too big")


def test_a_missing_table_is_no_list(asker: Asker) -> None:
    rng = Random(1)
    responder = Responder(TokenIssuer(rng, 0.0), PeerStore(rng), ItemStore(verify, rng))
    query = Query(b"tt", ASKER, FindNode(TARGET), Want.IPV4 | Want.IPV6)
    reply = krpc.decode(responder.answer(query, SOURCE, 0.0, OWN, (TABLES[0], None)))
    assert isinstance(reply, Reply)
    assert reply.nodes
    assert reply.nodes6 is None
