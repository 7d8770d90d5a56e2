"""One node, spoken to datagram by datagram."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from engine.core.compact import Endpoint
from engine.discovery.dht import krpc
from engine.discovery.dht.contact import Contact
from engine.discovery.dht.events import (
    AddressLearned,
    Answered,
    ContactsNeeded,
    Joined,
    LookupFinished,
    NodeIdChanged,
    PeersFound,
)
from engine.discovery.dht.lookup_queue import MAX_RUNNING, MAX_WAITING
from engine.discovery.dht.messages import (
    Body,
    ErrorReply,
    FindNode,
    GetPeers,
    Ping,
    Query,
    Reply,
    Want,
)
from engine.discovery.dht.node import DhtNode
from engine.discovery.dht.node_id import NodeId, is_bound_to, random_id
from engine.discovery.dht.node_state import NodeState
from engine.discovery.dht.purpose import FindNodes, FindPeers
from engine.discovery.dht.transactions import TIMEOUT_S
from tests.discovery.dht.signatures import verify
from tests.discovery.dht.simulated_network import address

ENTRY = address(1)
ENTRY_ID = NodeId(b"e" * 20)
TARGET = b"t" * 20


def _node(**options: object) -> DhtNode:
    return DhtNode(Random(1), 0.0, verify, **options)  # type: ignore[arg-type]


def _sent(node: DhtNode) -> list[tuple[Endpoint, Query]]:
    found = []
    for to, datagram in node.datagrams_to_send():
        message = krpc.decode(datagram)
        assert isinstance(message, Query)
        found.append((to, message))
    return found


def _answer(
    node: DhtNode, query: tuple[Endpoint, Query], sender: NodeId, now: float, **fields: object
) -> None:
    to, message = query
    reply = Reply(message.transaction, sender, **fields)  # type: ignore[arg-type]
    node.received(krpc.encode(reply), to, now)


def _ask(node: DhtNode, body: Body, source: Endpoint, now: float, **options: bool) -> None:
    query = Query(b"qq", random_id(Random(source.host)), body, **options)  # type: ignore[arg-type]
    node.received(krpc.encode(query), source, now)


def test_bootstrap_asks_for_our_own_neighbourhood() -> None:
    node = _node()
    node.bootstrap([ENTRY, Endpoint("2001:db8::1", 1)], 0.0)
    ((to, query),) = _sent(node)
    assert (to, query.body) == (ENTRY, FindNode(node.node_id))
    assert query.want is None
    assert not query.is_read_only
    other = Contact(NodeId(b"o" * 20), address(2))
    _answer(node, (to, query), ENTRY_ID, 0.1, nodes=(other,))
    ((to, query),) = _sent(node)
    assert to == other.endpoint
    _answer(node, (to, query), other.id, 0.2, nodes=())
    assert node.events() == [Joined(2)]
    assert {c.contact for c in node.table} == {other, Contact(ENTRY_ID, ENTRY)}


def test_nobody_known_is_told_and_tried_again_more_and_more_rarely() -> None:
    node = _node()
    now, told_at = 0.0, []
    while now < 1500:
        node.on_timer(now)
        if ContactsNeeded() in node.events():
            told_at.append(now)
        now = max(now + 0.1, node.next_timer())
    assert told_at[0] == 0.0
    gaps = [later - earlier for earlier, later in pairwise(told_at)]
    assert gaps == sorted(gaps)
    assert gaps[0] <= 10
    assert 250 < gaps[-1] <= 310


def test_a_silent_entry_point_is_told() -> None:
    node = _node()
    node.bootstrap([ENTRY], 0.0)
    node.datagrams_to_send()
    node.on_timer(TIMEOUT_S)
    assert node.events() == [ContactsNeeded()]
    assert node.counters.timeouts == 1


def test_an_entry_point_that_claims_our_id_is_no_entry_point() -> None:
    node = _node()
    node.bootstrap([ENTRY], 0.0)
    (query,) = _sent(node)
    _answer(node, query, node.node_id, 0.1, nodes=(Contact(NodeId(b"o" * 20), address(2)),))
    assert node.counters.impostors == 1
    assert node.events() == [ContactsNeeded()]
    assert _sent(node) == []
    assert node.table.find(ENTRY) is None


def test_who_is_cut_off_tries_to_come_back_soon() -> None:
    node = _node()
    node.bootstrap([ENTRY], 0.0)
    (query,) = _sent(node)
    _answer(node, query, ENTRY_ID, 0.1)
    assert node.events() == [Joined(1)]
    now, told_at = 0.1, 0.0
    for _ in range(200):
        now = max(now, node.next_timer())
        node.on_timer(now)
        is_asking = any(isinstance(query.body, FindNode) for _, query in _sent(node))
        if told_at and is_asking:
            break
        if ContactsNeeded() in node.events():
            told_at = now
    assert 0 < told_at < now <= told_at + 10


def test_peers_come_as_they_are_found_and_the_end_is_told() -> None:
    node = _node()
    node.table.restore([Contact(ENTRY_ID, ENTRY)])
    purpose = FindPeers(TARGET)
    number = node.start_lookup(purpose, 0.0)
    (query,) = _sent(node)
    assert query[1].body == GetPeers(TARGET)
    peers = (Endpoint("40.0.0.1", 1), Endpoint("40.0.0.2", 2))
    other = Contact(NodeId(b"u" * 20), address(2))
    _answer(node, query, ENTRY_ID, 0.5, values=peers, nodes=(other,))
    assert node.events() == [PeersFound(number, TARGET, peers)]
    (query,) = _sent(node)
    _answer(node, query, other.id, 1.0, values=(*peers, Endpoint("40.0.0.3", 3)))
    found, finished = node.events()
    assert found == PeersFound(number, TARGET, (Endpoint("40.0.0.3", 3),))
    assert isinstance(finished, LookupFinished)
    assert finished.purpose is purpose
    assert finished.lookup == number
    assert (finished.hops, finished.queries, finished.replies) == (2, 2, 2)
    assert finished.duration_s == 1.0
    assert set(finished.closest) == {other, Contact(ENTRY_ID, ENTRY)}


def test_own_peers_are_found_too() -> None:
    node = _node()
    node.peers.announce(TARGET, Endpoint("40.0.0.9", 9), 0.0, is_seed=False)
    number = node.start_lookup(FindPeers(TARGET), 0.0)
    found, finished = node.events()
    assert found == PeersFound(number, TARGET, (Endpoint("40.0.0.9", 9),))
    assert isinstance(finished, LookupFinished)
    assert finished.queries == 0


def test_a_cancelled_lookup_is_heard_of_no_more() -> None:
    node = _node()
    node.table.restore([Contact(ENTRY_ID, ENTRY)])
    number = node.start_lookup(FindPeers(TARGET), 0.0)
    (query,) = _sent(node)
    node.cancel_lookup(number)
    nodes = (Contact(NodeId(b"o" * 20), address(2)),)
    _answer(node, query, ENTRY_ID, 0.5, values=(Endpoint("40.0.0.1", 1),), nodes=nodes)
    assert node.events() == []
    assert _sent(node) == []
    assert node.lookup_counts == (0, 0)


def test_lookups_wait_for_a_place_and_the_queue_ends() -> None:
    node = _node()
    node.table.restore([Contact(ENTRY_ID, ENTRY)])
    for _ in range(MAX_RUNNING + 2):
        node.start_lookup(FindNodes(TARGET), 0.0)
    assert node.lookup_counts == (MAX_RUNNING, 2)
    queries = _sent(node)
    assert len(queries) == MAX_RUNNING
    _answer(node, queries[0], ENTRY_ID, 0.1)
    assert node.lookup_counts == (MAX_RUNNING, 1)
    for _ in range(MAX_WAITING):
        number = node.start_lookup(FindNodes(TARGET), 0.2)
    assert node.lookup_counts == (MAX_RUNNING, MAX_WAITING)
    refused = node.events()[-1]
    assert isinstance(refused, LookupFinished)
    assert (refused.lookup, refused.queries) == (number, 0)


def test_queries_are_answered_and_askers_become_candidates() -> None:
    node = _node()
    _ask(node, Ping(), address(5), 0.0)
    ((to, datagram),) = node.datagrams_to_send()
    assert to == address(5)
    assert krpc.decode(datagram) == Reply(b"qq", node.node_id, your_address=address(5))
    assert len(node.table) == 0
    assert node.table.find(address(5)) is not None
    assert node.next_timer() <= 0.5
    node.on_timer(0.5)
    assert (address(5), Ping()) in [(to, query.body) for to, query in _sent(node)]


def test_read_only_askers_are_answered_and_forgotten() -> None:
    node = _node()
    _ask(node, Ping(), address(5), 0.0, is_read_only=True)
    assert len(node.datagrams_to_send()) == 1
    assert node.table.find(address(5)) is None


def test_a_read_only_node_asks_and_never_answers() -> None:
    node = _node(is_read_only=True)
    _ask(node, Ping(), address(5), 0.0)
    node.received(b"d1:ad2:id20:abcdefghij0123456789e1:q1:?1:t2:aa1:y1:qe", address(6), 0.0)
    assert node.datagrams_to_send() == []
    node.bootstrap([ENTRY], 0.0)
    ((_, query),) = _sent(node)
    assert query.is_read_only


def test_bad_queries_are_answered_with_an_error() -> None:
    node = _node()
    packet = b"d1:ad2:id20:abcdefghij0123456789e1:q1:?1:t2:aa1:y1:qe"
    node.received(packet, address(6), 0.0)
    ((_, datagram),) = node.datagrams_to_send()
    assert krpc.decode(datagram) == ErrorReply(b"aa", 204, "method unknown")


def test_a_peers_port_message_makes_an_acquaintance() -> None:
    node = _node()
    node.ping(ENTRY, 0.0)
    node.ping(Endpoint("2001:db8::1", 5), 0.0)
    (query,) = _sent(node)
    _answer(node, query, ENTRY_ID, 0.1)
    assert [each.contact for each in node.table] == [Contact(ENTRY_ID, ENTRY)]
    assert node.events() == [Answered(ENTRY, ENTRY_ID)]
    node.ping(ENTRY, 0.2)
    assert _sent(node) == []
    node.ping(ENTRY, 0.2, again=True)
    assert len(_sent(node)) == 1


def test_error_answers_end_the_wait_without_a_failure() -> None:
    node = _node()
    node.table.restore([Contact(ENTRY_ID, ENTRY)])
    number = node.start_lookup(FindPeers(TARGET), 0.0)
    ((to, query),) = _sent(node)
    node.received(krpc.encode(ErrorReply(query.transaction, 202, "busy")), to, 0.1)
    (event,) = node.events()
    assert isinstance(event, LookupFinished)
    assert (event.lookup, event.replies, event.timeouts) == (number, 0, 0)
    found = node.table.find(ENTRY)
    assert found is not None
    assert found.failures == 0


def test_time_outs_count_only_while_others_answer() -> None:
    node = _node()
    contacts = [Contact(NodeId(bytes([n]) * 20), address(n)) for n in range(1, 4)]
    for n, contact in enumerate(contacts):
        node.table.replied(contact, float(n))
    node.start_lookup(FindNodes(TARGET), 10.0)
    for now in (16.0, 22.0, 28.0):
        node.on_timer(now)
    assert node.counters.timeouts >= 3
    assert all(each.failures == 0 for each in node.table)
    _sent(node)
    node.start_lookup(FindNodes(TARGET), 30.0)
    queries = _sent(node)
    answered = next(query for query in queries if query[0] == contacts[0].endpoint)
    _answer(node, answered, contacts[0].id, 30.1)
    node.on_timer(30.0 + TIMEOUT_S)
    assert sorted(each.failures for each in node.table) == [0, 1, 1]


def test_our_address_is_believed_when_many_say_so_and_our_id_follows() -> None:
    node = _node()
    first_id = node.node_id
    events = []
    for n in range(1, 8):
        node.ping(address(n), float(n))
        (query,) = _sent(node)[-1:]
        ours = Endpoint("99.8.7.6", 6881)
        _answer(node, query, NodeId(bytes([n]) * 20), n + 0.1, your_address=ours)
        events += node.events()
        node.datagrams_to_send()
    assert node.host == "99.8.7.6"
    assert AddressLearned("99.8.7.6") in events
    assert NodeIdChanged(node.node_id) in events
    assert node.node_id != first_id
    assert is_bound_to(node.node_id, bytes([99, 8, 7, 6]))
    assert len(node.table) >= 5
    assert events.count(NodeIdChanged(node.node_id)) == 1


def test_our_id_is_not_moved_about() -> None:
    node = _node()
    ids = {node.node_id}
    for n in range(1, 200):
        ours = Endpoint(f"99.8.7.{n // 40}", 6881)
        node.ping(address(n), float(n))
        (query,) = _sent(node)[-1:]
        _answer(node, query, NodeId(bytes([n]) * 20), n + 0.1, your_address=ours)
        node.datagrams_to_send()
        ids.add(node.node_id)
    addresses = [event.host for event in node.events() if isinstance(event, AddressLearned)]
    assert len(addresses) >= 3
    assert len(ids) == 2


def test_answers_keep_to_their_budget() -> None:
    node = _node(reply_bytes_per_s=1000)
    for n in range(2, 200):
        _ask(node, Ping(), address(n), 0.0)
    sent = sum(len(datagram) for _, datagram in node.datagrams_to_send())
    assert 3000 < sent <= 4000
    assert node.counters.unanswered == 198 - node.counters.answered


def test_what_is_saved_is_restored() -> None:
    node = _node()
    contacts = [Contact(NodeId(bytes([n]) * 20), address(n)) for n in range(1, 6)]
    for contact in contacts:
        node.table.replied(contact, 0.0)
    state = NodeState.decode(node.snapshot().encode())
    again = _node(state=state)
    assert again.node_id == node.node_id
    again.on_timer(0.0)
    assert {to for to, _ in _sent(again)} <= {contact.endpoint for contact in contacts}
    assert set(again.snapshot().contacts) == set(contacts)
    six = DhtNode(Random(1), 0.0, verify, is_ipv6=True, state=state)
    assert len(six.table) == 0


def test_siblings_help_each_other() -> None:
    four, six = _node(), _node(is_ipv6=True)
    four.sibling, six.sibling = six, four
    six_contact = Contact(NodeId(b"6" * 20), address(6, is_ipv6=True))
    four.bootstrap([ENTRY], 0.0)
    (query,) = _sent(four)
    assert query[1].want == Want.IPV4 | Want.IPV6
    _answer(four, query, ENTRY_ID, 0.1, nodes=(), nodes6=(six_contact,))
    six.on_timer(0.2)
    assert {to for to, _ in _sent(six)} == {six_contact.endpoint}
    six.table.replied(six_contact, 0.3)
    find = Query(b"qq", NodeId(b"q" * 20), FindNode(TARGET), Want.IPV6)
    four.received(krpc.encode(find), address(9), 0.4)
    reply = krpc.decode(four.datagrams_to_send()[-1][1])
    assert isinstance(reply, Reply)
    assert (reply.nodes, reply.nodes6) == (None, (six_contact,))


@pytest.mark.parametrize("is_ipv6", [False, True])
def test_the_other_family_is_not_ours(is_ipv6: bool) -> None:
    node = _node(is_ipv6=is_ipv6)
    _ask(node, Ping(), address(3, is_ipv6=not is_ipv6), 0.0)
    assert node.datagrams_to_send() == []
    assert node.counters.malformed == 1
