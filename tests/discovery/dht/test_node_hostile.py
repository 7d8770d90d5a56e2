"""A node among enemies: what they send is dropped and counted, and nothing grows for it."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from engine.core.compact import Endpoint
from engine.discovery.dht import krpc
from engine.discovery.dht.contact import Contact
from engine.discovery.dht.events import LookupFinished
from engine.discovery.dht.flood_guard import BURST, MAX_SOURCES, QUERIES_PER_S
from engine.discovery.dht.messages import (
    AnnouncePeer,
    Body,
    ErrorReply,
    FindNode,
    GetPeers,
    Ping,
    Query,
    Reply,
    SampleInfohashes,
)
from engine.discovery.dht.node import DhtNode
from engine.discovery.dht.node_id import ID_BITS, NodeId, random_id
from engine.discovery.dht.peer_store import MAX_TORRENTS
from engine.discovery.dht.purpose import FindNodes, FindPeers
from engine.discovery.dht.routing_table import K
from tests.discovery.dht.signatures import verify
from tests.discovery.dht.simulated_network import SimulatedNetwork, address

FRIEND = Contact(NodeId(b"f" * 20), address(1))
TARGET = b"t" * 20


def _node() -> DhtNode:
    node = DhtNode(Random(1), 0.0, verify)
    node.table.replied(FRIEND, 0.0)
    return node


def _asked(node: DhtNode, purpose: FindNodes, now: float = 0.0) -> Query:
    """The query that a lookup sends to the friend."""
    node.start_lookup(purpose, now)
    ((to, datagram),) = node.datagrams_to_send()
    query = krpc.decode(datagram)
    assert to == FRIEND.endpoint
    assert isinstance(query, Query)
    return query


def _say(node: DhtNode, message: Reply | ErrorReply | Query, source: Endpoint, now: float) -> None:
    node.received(krpc.encode(message), source, now)


def test_spoofed_answers_change_nothing() -> None:
    node = _node()
    query = _asked(node, FindPeers(TARGET))
    lie = Reply(query.transaction, FRIEND.id, values=(Endpoint("66.6.6.6", 6),))
    _say(node, lie, address(2), 0.1)
    _say(node, lie, Endpoint(FRIEND.endpoint.host, 1), 0.1)
    for guess in range(50):
        wrong = Reply(guess.to_bytes(4, "big"), FRIEND.id, values=(Endpoint("66.6.6.6", 6),))
        _say(node, wrong, FRIEND.endpoint, 0.1)
        _say(node, ErrorReply(guess.to_bytes(4, "big"), 201, "no"), FRIEND.endpoint, 0.1)
    assert node.events() == []
    assert node.datagrams_to_send() == []
    assert node.counters.unasked == 102
    _say(node, Reply(query.transaction, FRIEND.id, values=(Endpoint("40.0.0.4", 4),)), FRIEND[1], 1)
    assert len(node.events()) == 2
    _say(node, Reply(query.transaction, FRIEND.id), FRIEND.endpoint, 1.1)
    assert node.counters.unasked == 103


def test_an_answer_with_another_id_costs_the_place_in_the_table() -> None:
    node = _node()
    query = _asked(node, FindPeers(TARGET))
    impostor = Reply(query.transaction, NodeId(b"x" * 20), values=(Endpoint("66.6.6.6", 6),))
    _say(node, impostor, FRIEND.endpoint, 0.1)
    assert node.counters.impostors == 1
    assert len(node.table) == 0
    (event,) = node.events()
    assert isinstance(event, LookupFinished)
    assert event.replies == 0
    assert isinstance(event.purpose, FindPeers)
    assert not event.purpose.peers


def test_whoever_reflects_or_claims_our_id_is_thrown_out() -> None:
    node = _node()
    query = _asked(node, FindPeers(TARGET))
    node.received(krpc.encode(query), FRIEND.endpoint, 0.1)
    assert node.datagrams_to_send() == []
    _say(node, Reply(query.transaction, node.node_id), FRIEND.endpoint, 0.1)
    assert node.counters.impostors == 1
    assert node.table.find(FRIEND.endpoint) is None


def test_lists_of_ourselves_of_the_teller_and_of_nonsense() -> None:
    node = _node()
    query = _asked(node, FindNodes(TARGET))
    ourselves = Contact(node.node_id, address(2))
    local = [Contact(NodeId(bytes([n]) * 20), Endpoint(f"192.168.0.{n}", 80)) for n in range(1, 9)]
    crowd = [Contact(NodeId(bytes([n]) * 20), Endpoint("66.6.6.6", n)) for n in range(1, 9)]
    nodes = (ourselves, FRIEND, *local, *crowd)
    _say(node, Reply(query.transaction, FRIEND.id, nodes=nodes), FRIEND.endpoint, 0.1)
    assert [to.host for to, _ in node.datagrams_to_send()] == ["66.6.6.6"]


def test_a_flood_from_one_network_is_not_read() -> None:
    node = _node()
    for n in range(5000):
        query = Query(b"t", NodeId(b"q" * 20), Ping())
        _say(node, query, Endpoint(f"66.6.6.{n % 250 + 1}", 1000 + n), 1.0)
    assert len(node.datagrams_to_send()) == BURST
    assert node.counters.flooding == 5000 - BURST
    _say(node, Query(b"t", NodeId(b"r" * 20), Ping()), address(9), 1.0)
    assert len(node.datagrams_to_send()) == 1


def test_whom_we_ask_may_answer_and_not_flood() -> None:
    node = _node()
    query = _asked(node, FindPeers(TARGET))
    for number in range(500):
        _say(node, Query(b"aa", FRIEND.id, Ping()), FRIEND.endpoint, number / 1000)
    assert len(node.datagrams_to_send()) <= BURST + QUERIES_PER_S
    assert node.counters.flooding >= 500 - BURST - QUERIES_PER_S
    _say(node, Reply(query.transaction, FRIEND.id), FRIEND.endpoint, 0.6)
    assert [type(event) for event in node.events()] == [LookupFinished]


def test_a_flood_of_spoofed_sources_neither_amplifies_nor_grows() -> None:
    node = _node()
    rng = Random(3)
    sent_bytes = received_bytes = 0
    for n in range(20_000):
        source = Endpoint(f"{rng.randrange(20, 90)}.{rng.randrange(256)}.{n % 256}.1", 53)
        packet = krpc.encode(Query(b"t", random_id(rng), FindNode(rng.randbytes(20))))
        received_bytes += len(packet)
        node.received(packet, source, n / 2000)
        sent_bytes += sum(len(datagram) for _, datagram in node.datagrams_to_send())
    assert sent_bytes < received_bytes
    assert node.counters.flooding > 10_000
    assert len(node._guard) <= MAX_SOURCES
    assert len(node.table) <= 1
    assert node.table.replacement_count <= K
    assert node.lookup_counts == (0, 0)


def test_a_friend_is_heard_through_the_noise() -> None:
    """An answer that we wait for is read however many strangers shout."""
    node = _node()
    query = _asked(node, FindPeers(TARGET))
    for n in range(5000):
        node.received(b"noise", Endpoint(f"66.{n >> 8}.{n & 255}.1", 1), 0.05)
    _say(node, Reply(query.transaction, FRIEND.id), FRIEND.endpoint, 0.1)
    assert len(node.events()) == 1


def test_announces_without_our_token_store_nothing() -> None:
    node = _node()
    rng = Random(4)
    for n in range(3000):
        announce = AnnouncePeer(rng.randbytes(20), rng.randbytes(8), 6881)
        _say(node, Query(b"t", random_id(rng), announce), address(100 + n % 900), n / 100)
        node.datagrams_to_send()
    assert node.peers.torrent_count == 0


def test_the_store_is_bounded_for_those_with_tokens_too() -> None:
    node = _node()
    rng = Random(5)
    for n in range(MAX_TORRENTS + 500):
        source, info_hash = address(n), rng.randbytes(20)
        now = n / 100
        _say(node, Query(b"t", NodeId(b"q" * 20), GetPeers(info_hash)), source, now)
        reply = krpc.decode(node.datagrams_to_send()[-1][1])
        assert isinstance(reply, Reply)
        announce = AnnouncePeer(info_hash, reply.token, 6881)
        _say(node, Query(b"t", NodeId(b"q" * 20), announce), source, now)
        node.datagrams_to_send()
    assert node.peers.torrent_count == MAX_TORRENTS


def test_answers_are_small_change() -> None:
    """What a spoofed query makes us send to its victim is bounded, whatever it asks."""
    node = _node()
    rng = Random(6)
    for n in range(400):
        contact = Contact(random_id(rng), address(300 + n))
        node.table.replied(contact, 0.0)
        node.peers.announce(TARGET, address(800 + n), 0.0, is_seed=True)
        node.peers.announce(rng.randbytes(20), address(3000 + n), 0.0, is_seed=True)
    bodies: list[Body] = [
        FindNode(TARGET),
        GetPeers(TARGET, scrape=True),
        SampleInfohashes(TARGET),
    ]
    victim = Endpoint("99.9.9.9", 53)
    total = 0
    for n in range(3000):
        _say(node, Query(b"t", NodeId(b"q" * 20), bodies[n % 3]), victim, n / 100)
        for _, datagram in node.datagrams_to_send():
            assert len(datagram) <= 1024
            total += len(datagram)
    # 30 seconds: the burst, then ten a second.
    assert total <= (BURST + 300) * 1024


def test_a_sybil_neighbourhood_is_bounded() -> None:
    """Thousands of ids near to ours, each with a network of its own, that all answer."""
    node = _node()
    rng = Random(7)
    own = int.from_bytes(node.node_id, "big")
    for n in range(4000):
        key = own ^ 1 << rng.randrange(ID_BITS) ^ rng.getrandbits(8)
        contact = Contact(NodeId((key % (1 << ID_BITS)).to_bytes(20, "big")), address(n))
        node.table.replied(contact, 0.0)
        node.table.heard_of(Contact(random_id(rng), address(5000 + n)))
    assert len(node.table) <= ID_BITS * K
    assert node.table.replacement_count <= ID_BITS * K
    for contact in node.table.contacts():
        node.table.failed(contact, 1.0)
    for second in range(600):
        node.on_timer(float(second))
        assert len(node.datagrams_to_send()) < 60
        node.events()


_NOISE = st.binary(max_size=60) | st.builds(
    lambda transaction, sender, body: krpc.encode(Query(transaction, NodeId(sender), body)),
    st.binary(min_size=1, max_size=8),
    st.binary(min_size=20, max_size=20),
    st.sampled_from([Ping(), FindNode(TARGET), GetPeers(TARGET), AnnouncePeer(TARGET, b"t", 5)]),
)


@given(st.lists(st.tuples(_NOISE, st.integers(1, 40), st.floats(0, 3)), max_size=30), st.randoms())
def test_nothing_that_comes_raises(noise: list[tuple[bytes, int, float]], chooser: Random) -> None:
    node = _node()
    node.bootstrap([address(2)], 0.0)
    now = 0.0
    waiting: list[tuple[Endpoint, bytes]] = []
    for datagram, number, wait_s in noise:
        now += wait_s
        node.received(datagram, address(number), now)
        waiting += node.datagrams_to_send()
        if waiting and chooser.random() < 0.7:
            to, sent = chooser.choice(waiting)
            damaged = bytearray(sent.replace(b"1:y1:q", b"1:y1:r"))
            damaged[chooser.randrange(len(damaged))] = chooser.randrange(256)
            node.received(bytes(damaged), to, now)
            message = krpc.decode(sent)
            if isinstance(message, Query):
                sender = chooser.choice([FRIEND.id, node.node_id, NodeId(TARGET)])
                nodes = (FRIEND, Contact(node.node_id, to), Contact(sender, address(number)))
                _say(node, Reply(message.transaction, sender, nodes, values=(to,)), to, now)
        if node.next_timer() <= now:
            node.on_timer(now)
        node.events()
    assert node.next_timer() > now - 1


def test_lookups_survive_damage_to_every_fifth_datagram() -> None:
    net = SimulatedNetwork(5)
    for _ in range(60):
        net.add()
    net.join_all()

    def damage(source: Endpoint, to: Endpoint, datagram: bytes) -> bytes | None:
        del source, to
        if net.rng.random() < 0.8:
            return datagram
        damaged = bytearray(datagram)
        for _ in range(3):
            damaged[net.rng.randrange(len(damaged))] = net.rng.randrange(256)
        return bytes(damaged[: net.rng.randrange(len(damaged) + 1)])

    net.tamper = damage
    node = next(iter(net.nodes.values()))
    found = [net.lookup(node, FindNodes(net.rng.randbytes(20))) for _ in range(5)]
    assert sum(len(each.closest) for each in found) >= 25
