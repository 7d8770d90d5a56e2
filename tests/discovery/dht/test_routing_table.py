"""The routing table: its rules one by one, and its invariants whatever happens to it."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.core.compact import Endpoint
from engine.discovery.dht.contact import Contact
from engine.discovery.dht.node_id import ID_BITS, NodeId, common_prefix, distance
from engine.discovery.dht.routing_table import STRANGER_DELAY_S, K, RoutingTable
from engine.discovery.dht.table_node import FRESH_S, GONE_AFTER_FAILURES

OWN = NodeId(bytes(20))


def _contact(prefix: int, number: int, host: str | None = None, port: int = 6881) -> Contact:
    """A node whose id shares exactly `prefix` bits with ours."""
    key = 1 << ID_BITS - 1 - prefix | number
    endpoint = Endpoint(host or f"{20 + prefix % 100}.{number >> 8}.{number & 255}.1", port)
    return Contact(NodeId(key.to_bytes(20, "big")), endpoint)


def _table() -> RoutingTable:
    return RoutingTable(OWN, Random(1), 0.0)


def _fill(table: RoutingTable, prefix: int, count: int = K, now: float = 0.0) -> list[Contact]:
    contacts = [_contact(prefix, n) for n in range(count)]
    for contact in contacts:
        table.replied(contact, now)
    return contacts


def test_only_the_bucket_of_our_own_id_splits() -> None:
    table = _table()
    _fill(table, 0)
    assert table.bucket_sizes == [(8, 0)]
    _fill(table, 1, 1)
    assert table.bucket_sizes == [(8, 0), (1, 0)]
    _fill(table, 0, 12)
    assert table.bucket_sizes == [(8, 4), (1, 0)]
    _fill(table, 5, 12)
    assert table.bucket_sizes == [(8, 4), (1, 0), *[(0, 0)] * 3, (8, 4), (0, 0)]
    assert len(table) == 17


def test_a_bad_node_makes_room_for_the_replacement_that_was_heard_last() -> None:
    table = _table()
    _fill(table, 1, 1)
    contacts = _fill(table, 0, K + 2)
    table.replied(contacts[K], 5.0)
    for _ in range(2):
        table.failed(contacts[3], 10.0)
    kept = {node.contact for node in table}
    assert contacts[3] not in kept
    assert contacts[K] in kept
    assert contacts[K + 1] not in kept


def test_without_a_replacement_bad_nodes_stay_for_a_while() -> None:
    table = _table()
    (contact,) = _fill(table, 0, 1)
    for failures in range(1, GONE_AFTER_FAILURES):
        table.failed(contact, 1.0)
        assert len(table) == 1
        assert table.closest(bytes(20), 1.0) == []
        assert table.seeds(bytes(20), 8) == [contact], failures
    table.failed(contact, 1.0)
    assert len(table) == 0


def test_an_answer_forgives_failures() -> None:
    table = _table()
    (contact,) = _fill(table, 0, 1)
    for _ in range(20):
        table.failed(contact, 1.0)
        table.replied(contact, 1.0)
    assert table.closest(bytes(20), 1.0) == [contact]


def test_hearsay_and_queries_bring_nobody_into_a_bucket() -> None:
    table = _table()
    for n in range(K):
        table.heard_of(_contact(0, n))
        table.queried(_contact(1, n), 0.0)
    assert len(table) == 0
    assert table.replacement_count <= K
    assert table.closest(bytes(20), 0.0) == []


def test_hearsay_pushes_out_hearsay_only() -> None:
    table = _table()
    _fill(table, 1, 1)
    contacts = _fill(table, 0, 2 * K)
    for n in range(100, 200):
        table.heard_of(_contact(0, n))
    assert table.bucket_sizes[0] == (K, K)
    assert all(table.find(contact.endpoint) for contact in contacts)


def test_an_id_that_changed_costs_the_place_and_wakes_the_neighbours() -> None:
    table = _table()
    contacts = _fill(table, 0)
    table.replied(Contact(NodeId(b"\xff" * 20), contacts[0].endpoint), 1.0)
    # It is a stranger again, as is fitting.
    assert contacts[0] not in {node.contact for node in table}
    assert len(table) == K - 1
    assert table.good_count(1.0) == 0
    assert table.next_ping(1.0) in contacts[1:]


def test_a_query_with_another_id_makes_us_ask_and_nothing_else() -> None:
    table = _table()
    (contact,) = _fill(table, 0, 1)
    table.queried(Contact(NodeId(b"\xff" * 20), contact.endpoint), 1.0)
    assert table.closest(bytes(20), 1.0) == [contact]
    assert table.next_ping(2.0) == contact
    table.replied(contact, 2.0)
    assert table.next_ping(100.0) is None


def test_a_stranger_may_change_its_mind_about_its_id() -> None:
    table = _table()
    first, second = _contact(0, 1), Contact(NodeId(b"\x7f" * 20), _contact(0, 1).endpoint)
    table.queried(first, 0.0)
    table.queried(second, 1.0)
    assert table.next_ping(1.0 + STRANGER_DELAY_S) == second
    assert table.replacement_count == 1


def test_an_id_is_not_taken_over_from_another_address() -> None:
    table = _table()
    (contact,) = _fill(table, 0, 1)
    thief = Contact(contact.id, Endpoint("99.0.0.1", 1))
    table.replied(thief, 1.0)
    assert table.find(thief.endpoint) is None
    for _ in range(2):
        table.failed(contact, 2.0)
    table.replied(thief, 3.0)
    assert [node.contact for node in table] == [thief]


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("20.0.0.1", "20.0.0.1", False),
        ("20.0.0.1", "20.0.0.2", False),
        ("20.0.0.1", "20.0.1.1", True),
        ("2001:db8::1", "2001:db8::2", False),
        ("2001:db8::1", "2001:db8:0:1::1", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("192.168.0.1", "192.168.0.2", True),
    ],
)
def test_one_place_for_one_owner(one: str, other: str, both: bool) -> None:
    table = _table()
    table.replied(_contact(0, 1, one, 1), 0.0)
    table.replied(_contact(0, 2, other, 2), 0.0)
    assert len(table) == 1 + both


def test_one_host_has_one_place_whatever_ids_it_has() -> None:
    table = _table()
    _fill(table, 0)
    _fill(table, 1)
    table.replied(_contact(3, 1, "66.6.6.6", 1), 0.0)
    table.replied(_contact(0, 50, "66.6.6.6", 2), 0.0)
    table.heard_of(_contact(1, 51, "66.6.6.6", 3))
    assert sum(map(sum, table.bucket_sizes)) == 2 * K + 1


def test_we_are_not_in_our_own_table() -> None:
    table = _table()
    ourselves = Contact(OWN, Endpoint("20.0.0.1", 1))
    table.replied(ourselves, 0.0)
    table.heard_of(ourselves)
    table.queried(ourselves, 0.0)
    table.restore([ourselves])
    assert table.find(ourselves.endpoint) is None


def test_closest_are_the_closest() -> None:
    table, rng = _table(), Random(2)
    for n in range(300):
        node_id = NodeId(rng.randbytes(20))
        table.replied(Contact(node_id, Endpoint(f"20.{n >> 8}.{n & 255}.1", 1)), 0.0)
    everybody = [node.contact for node in table]
    for _ in range(20):
        target = rng.randbytes(20)
        expected = sorted(everybody, key=lambda contact: distance(contact.id, target))
        assert table.closest(target, 0.0) == expected[:K]
        assert table.seeds(target, 20) == expected[:20]


def test_what_waits_for_a_place_is_asked_first() -> None:
    table = _table()
    heard = _contact(0, 1)
    table.heard_of(heard)
    assert table.next_ping(0.0) == heard
    assert table.next_ping(1.0) is None
    table.replied(heard, 1.0)
    assert len(table) == 1
    assert table.next_ping(60.0) is None
    assert table.next_ping(FRESH_S + 2) == heard


def test_strangers_are_left_alone_until_their_nat_has_forgotten_us() -> None:
    table = _table()
    stranger = _contact(0, 1)
    table.queried(stranger, 0.0)
    assert table.next_ping(STRANGER_DELAY_S - 1) is None
    assert table.next_ping(STRANGER_DELAY_S) == stranger
    lonely = _table()
    lonely.queried(stranger, 0.0)
    assert lonely.next_ping(1.0, is_sparse=True) == stranger
    assert lonely.next_ping(2.0, is_sparse=True) is None


def test_a_full_bucket_that_others_wait_for_is_gone_through_by_age() -> None:
    table = _table()
    _fill(table, 1, 1, FRESH_S + 50)
    for n in range(K):
        table.replied(_contact(0, n), float(n))
    table.heard_of(_contact(0, 50))
    now = FRESH_S + 4.0
    asked = [table.next_ping(now) for _ in range(5)]
    assert asked == [_contact(0, 0), _contact(0, 1), _contact(0, 2), _contact(0, 3), None]


def test_buckets_that_stand_still_are_refreshed_once() -> None:
    table = _table()
    _fill(table, 0)
    _fill(table, 1)
    _fill(table, 2)
    assert table.refresh_target(FRESH_S) is None
    now = FRESH_S + 1
    targets = [table.refresh_target(now) for _ in range(4)]
    prefixes = sorted(common_prefix(OWN, target) for target in targets if target)
    assert prefixes[:2] == [0, 1]
    assert prefixes[2] >= 2
    assert targets[3] is None


def test_buckets_with_room_are_refreshed_after_joining() -> None:
    table = _table()
    _fill(table, 0)
    _fill(table, 1, 3)
    assert table.refresh_target(1.0) is None
    table.ask_for_more()
    target = table.refresh_target(1.0)
    assert target is not None
    assert common_prefix(OWN, target) >= 1
    assert table.refresh_target(1.0) is None


def test_restored_nodes_are_asked_but_not_shown() -> None:
    table = _table()
    contacts = [_contact(n % 3, n) for n in range(12)]
    table.restore(contacts)
    assert len(table) == 12
    assert table.closest(bytes(20), 0.0) == []
    assert set(table.seeds(bytes(20), 20)) == set(contacts)
    assert set(table.contacts()) == set(contacts)
    assert table.next_ping(0.0) in contacts


def test_a_new_id_keeps_the_acquaintances() -> None:
    table = _table()
    contacts = [*_fill(table, 0), *_fill(table, 1, 3)]
    moved = table.rekeyed(NodeId(b"\xff" * 20), 1.0)
    assert moved.own_id == b"\xff" * 20
    assert set(moved.closest(bytes(20), 1.0, 20)) == set(contacts)


def test_the_whole_id_space_near_us_is_bounded() -> None:
    table = _table()
    for prefix in range(ID_BITS):
        for n in range(min(20, 1 << ID_BITS - 1 - prefix)):
            table.replied(_contact(prefix, n, f"{20 + prefix % 200}.{prefix}.{n}.1"), 0.0)
    assert len(table.bucket_sizes) <= ID_BITS
    assert len(table) <= ID_BITS * K


class TableMachine(RuleBasedStateMachine):
    """Everything that can happen, in any order, with nodes that lie about ids and addresses."""

    @initialize(seed=st.integers(0, 9))
    def start(self, seed: int) -> None:
        self.rng = Random(seed)
        self.now = 0.0
        self.table = RoutingTable(OWN, self.rng, self.now)
        self.answered: set[Contact] = set()

    contacts = st.builds(
        lambda prefix, number, host, port: Contact(
            _contact(prefix, number).id,
            Endpoint(f"{20 + host % 3}.0.{host // 2}.{host % 2}", 6881 + port),
        ),
        st.sampled_from([0, 0, 0, 1, 1, 2, 3, 150, 159]),
        st.integers(0, 15),
        st.integers(0, 40),
        st.integers(0, 1),
    ).filter(lambda contact: contact.id != OWN)

    @rule(contact=contacts)
    def replies(self, contact: Contact) -> None:
        self.table.replied(contact, self.now)
        self.answered.add(contact)

    @rule(contact=contacts)
    def asks(self, contact: Contact) -> None:
        self.table.queried(contact, self.now)

    @rule(contact=contacts)
    def is_named(self, contact: Contact) -> None:
        self.table.heard_of(contact)

    @rule(contact=contacts)
    def is_silent(self, contact: Contact) -> None:
        self.table.failed(contact, self.now)

    @rule(number=st.integers(0, 100))
    def known_one_is_silent(self, number: int) -> None:
        nodes = list(self.table)
        if nodes:
            self.table.failed(nodes[number % len(nodes)].contact, self.now)

    @rule(contact=contacts)
    def is_restored(self, contact: Contact) -> None:
        self.table.restore([contact])
        self.answered.add(contact)

    @rule(is_sparse=st.booleans())
    def upkeep(self, is_sparse: bool) -> None:
        chosen = self.table.next_ping(self.now, is_sparse=is_sparse)
        assert chosen is None or self.table.find(chosen.endpoint) is not None
        self.table.refresh_target(self.now)

    @rule(seconds=st.sampled_from([1.0, 30.0, 600.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def everything_is_where_it_belongs(self) -> None:
        if not hasattr(self, "table"):
            return
        sizes = self.table.bucket_sizes
        assert all(nodes <= K and waiting <= K for nodes, waiting in sizes)
        nodes = list(self.table)
        endpoints = [node.contact.endpoint for node in nodes]
        assert len(set(endpoints)) == len(endpoints)
        assert len({node.contact.id for node in nodes}) == len(nodes)
        assert len({endpoint.host for endpoint in endpoints}) == len(endpoints)
        assert all(node.contact in self.answered for node in nodes)
        assert all(node.contact.id != OWN for node in nodes)
        assert all(self.table.find(node.contact.endpoint) is node for node in nodes)
        at = 0
        for index, (count, _) in enumerate(sizes):
            for node in nodes[at : at + count]:
                shared = common_prefix(OWN, node.contact.id)
                assert shared == index or (index == len(sizes) - 1 and shared > index)
            assert len({node.network for node in nodes[at : at + count]}) == count
            at += count
        shown = [self.table.find(c.endpoint) for c in self.table.closest(bytes(20), self.now)]
        assert all(node and node.is_verified and not node.failures for node in shown)


TableMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=60, deadline=None, suppress_health_check=[]
)
TestTable = TableMachine.TestCase
