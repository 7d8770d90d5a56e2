"""Lookups against networks that are honest, silent, greedy or mad."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from engine.core.compact import Endpoint
from engine.discovery.dht.contact import Contact
from engine.discovery.dht.lookup import (
    ALPHA,
    LIFETIME_S,
    MAX_CANDIDATES,
    MAX_QUERIES,
    MAX_SILENT_REFERRALS,
    SLOW_AFTER_S,
    K,
    Lookup,
    Outgoing,
)
from engine.discovery.dht.messages import AnnouncePeer, FindNode, GetPeers, Reply
from engine.discovery.dht.node_id import NodeId, distance, id_for_address
from engine.discovery.dht.purpose import FindNodes, FindPeers
from tests.discovery.dht.simulated_network import address

OWN = NodeId(b"\xee" * 20)
TARGET = bytes(20)
TIMEOUT_S = 6.0

Answer = Callable[[Outgoing], Reply | None]


def _contact(number: int, key: int | None = None) -> Contact:
    node_id = Random(number).randbytes(20) if key is None else key.to_bytes(20, "big")
    return Contact(NodeId(node_id), address(number))


def _reply(sender: bytes, nodes: Sequence[Contact] = (), *, token: bytes = b"") -> Reply:
    return Reply(b"t", NodeId(sender), nodes=tuple(nodes), token=token)


def _run(lookup: Lookup, answer: Answer, *, delay_s: float = 0.1) -> float:
    """Drive a lookup to its end; returns the time. Silence is reported after the time-out."""
    now = 0.0
    pending: list[tuple[float, Outgoing, Reply | None]] = []
    for _ in range(5000):
        for outgoing in lookup.next_queries(now):
            reply = answer(outgoing)
            pending.append((now + (delay_s if reply else TIMEOUT_S), outgoing, reply))
        if lookup.is_finished:
            return now
        pending.sort(key=lambda entry: entry[0])
        at = min(lookup.next_at(), pending[0][0] if pending else float("inf"))
        now = max(now, at)
        lookup.on_timer(now)
        while pending and pending[0][0] <= now:
            _, outgoing, reply = pending.pop(0)
            if reply is None:
                lookup.failed(outgoing.endpoint)
            else:
                lookup.replied(outgoing.endpoint, reply, now)
    raise AssertionError("the lookup does not end")


class World:
    """Nodes that know the K nodes nearest to a key, and some by chance."""

    def __init__(self, size: int, seed: int = 1) -> None:
        self.rng = Random(seed)
        self.contacts = [_contact(number) for number in range(size)]
        self.silent: set[Endpoint] = set()
        self.asked: list[Outgoing] = []
        self._ids = {contact.endpoint: contact.id for contact in self.contacts}

    def answer(self, outgoing: Outgoing) -> Reply | None:
        self.asked.append(outgoing)
        endpoint = outgoing.endpoint
        if endpoint in self.silent:
            return None
        own = self._ids[endpoint]
        # Of a random half, so that the way to the target takes a few steps.
        known = self.rng.sample(self.contacts, max(1, len(self.contacts) // 2))
        known.sort(key=lambda contact: distance(contact.id, TARGET))
        return _reply(own, known[:K], token=b"token of " + own[:4])

    def nearest(self, count: int = K) -> list[Contact]:
        live = [c for c in self.contacts if c.endpoint not in self.silent]
        return sorted(live, key=lambda contact: distance(contact.id, TARGET))[:count]


def test_the_nearest_nodes_are_found() -> None:
    world = World(200)
    lookup = Lookup(FindNodes(TARGET), OWN, 0.0, seeds=world.contacts[:3])
    _run(lookup, world.answer)
    assert lookup.closest == world.nearest()
    assert lookup.queries == lookup.replies <= 40
    assert len({outgoing.endpoint for outgoing in world.asked}) == len(world.asked)


@given(st.integers(0, 100), st.floats(0.0, 0.4))
def test_silent_nodes_cost_time_and_nothing_else(seed: int, silence: float) -> None:
    world = World(120, seed)
    world.silent = {c.endpoint for c in world.contacts[1:] if world.rng.random() < silence}
    lookup = Lookup(FindNodes(TARGET), OWN, 0.0, seeds=world.contacts[:1])
    _run(lookup, world.answer)
    found = set(lookup.closest)
    assert not found & {c for c in world.contacts if c.endpoint in world.silent}
    assert len(found & set(world.nearest())) >= K - 3


def test_no_more_than_alpha_at_a_time_unless_they_are_slow() -> None:
    contacts = [_contact(number) for number in range(20)]
    lookup = Lookup(FindNodes(TARGET), OWN, 0.0, seeds=contacts)
    first = lookup.next_queries(0.0)
    assert len(first) == ALPHA
    assert lookup.next_queries(0.1) == []
    assert lookup.next_at() == SLOW_AFTER_S
    lookup.on_timer(SLOW_AFTER_S)
    second = lookup.next_queries(SLOW_AFTER_S)
    assert len(second) == ALPHA
    assert not {each.endpoint for each in first} & {each.endpoint for each in second}
    # A late answer is as good as any.
    late = next(c for c in contacts if c.endpoint == first[0].endpoint)
    lookup.replied(late.endpoint, _reply(late.id), 2.0)
    assert lookup.closest == [late]


def test_entry_points_are_asked_without_knowing_their_ids() -> None:
    world = World(50)
    entry = world.contacts[7]
    lookup = Lookup(FindNodes(TARGET), OWN, 0.0, entry_points=[entry.endpoint])
    _run(lookup, world.answer)
    assert world.asked[0].expected_id is None
    assert set(lookup.closest) == set(world.nearest())


def test_nobody_to_ask_is_an_end() -> None:
    lookup = Lookup(FindNodes(TARGET), OWN, 5.0)
    assert lookup.next_queries(5.0) == []
    assert lookup.is_finished
    assert lookup.closest == []
    assert lookup.hops == 0


def test_answers_count_once_and_only_from_those_asked() -> None:
    contacts = [_contact(number) for number in range(3)]
    lookup = Lookup(FindNodes(TARGET), OWN, 0.0, seeds=contacts[:2])
    lookup.replied(contacts[0].endpoint, _reply(contacts[0].id), 0.0)
    assert lookup.replies == 0
    lookup.next_queries(0.0)
    for _ in range(3):
        lookup.replied(contacts[0].endpoint, _reply(contacts[0].id), 0.1)
        lookup.replied(contacts[2].endpoint, _reply(contacts[2].id), 0.1)
        lookup.failed(contacts[0].endpoint)
    assert (lookup.replies, lookup.timeouts) == (1, 0)


def test_nodes_that_return_themselves_us_or_each_other() -> None:
    contacts = [_contact(number) for number in range(K)]
    ourselves = Contact(OWN, address(999))

    def answer(outgoing: Outgoing) -> Reply:
        assert outgoing.endpoint != ourselves.endpoint
        own = next(c for c in contacts if c.endpoint == outgoing.endpoint)
        return _reply(own.id, [own, ourselves, *contacts])

    lookup = Lookup(FindNodes(TARGET), OWN, 0.0, seeds=contacts[:1])
    _run(lookup, answer)
    assert set(lookup.closest) == set(contacts)
    assert lookup.queries == K


def test_nodes_that_invent_ever_nearer_silent_ones() -> None:
    """A liar's inventions are tried a few times, then the liar is not believed any more."""
    world = World(100)
    liar = _contact(5000, key=1 << 150)
    made_up = [_contact(6000 + n, key=n + 1) for n in range(16)]

    def answer(outgoing: Outgoing) -> Reply | None:
        if outgoing.endpoint == liar.endpoint:
            return _reply(liar.id, made_up)
        return None if outgoing.endpoint.host in hosts else world.answer(outgoing)

    hosts = {contact.endpoint.host for contact in made_up}
    lookup = Lookup(FindNodes(TARGET), OWN, 0.0, seeds=[liar, *world.contacts[:3]])
    ended_at = _run(lookup, answer)
    assert lookup.closest == [liar, *world.nearest(K - 1)]
    assert lookup.timeouts <= MAX_SILENT_REFERRALS + ALPHA
    assert ended_at < 15


def test_a_chain_of_inventions_that_answer_ends() -> None:
    """Whoever owns many addresses can lead us on, but not for ever."""
    count = 0

    def answer(outgoing: Outgoing) -> Reply:
        nonlocal count
        assert outgoing.expected_id
        key = int.from_bytes(outgoing.expected_id, "big")
        nodes = []
        for n in range(16):
            count += 1
            nodes.append(_contact(count, key=max(1, key - 1 - n)))
        return _reply(outgoing.expected_id, nodes)

    lookup = Lookup(FindNodes(TARGET), OWN, 0.0, seeds=[_contact(0, key=1 << 159)])
    ended_at = _run(lookup, answer)
    assert lookup.queries == MAX_QUERIES
    assert ended_at <= LIFETIME_S
    assert len(lookup.closest) == K


def test_a_full_list_still_takes_what_is_nearer() -> None:
    """Whoever fills it with far nodes keeps nobody from being found."""
    world = World(40)
    far = [_contact(2000 + n, key=(1 << 160) - 1 - n) for n in range(2 * MAX_CANDIDATES)]
    lookup = Lookup(FindNodes(TARGET), OWN, 0.0, seeds=[*far, world.contacts[0]])
    assert len(lookup._candidates) == MAX_CANDIDATES

    def answer(outgoing: Outgoing) -> Reply | None:
        if outgoing.endpoint in {contact.endpoint for contact in far}:
            return _reply(outgoing.expected_id or b"", far[:16])
        return world.answer(outgoing)

    _run(lookup, answer)
    assert set(lookup.closest) == set(world.nearest())


def test_one_host_and_one_network_are_asked_a_few_times_at_most() -> None:
    crowd = [
        Contact(NodeId(n.to_bytes(20, "big")), Endpoint(f"66.6.6.{n % 250}", n))
        for n in range(1, 400)
    ]
    asked: list[Endpoint] = []

    def answer(outgoing: Outgoing) -> Reply:
        asked.append(outgoing.endpoint)
        assert outgoing.expected_id
        return _reply(outgoing.expected_id, crowd[:16])

    lookup = Lookup(FindNodes(TARGET), OWN, 0.0, seeds=crowd)
    _run(lookup, answer)
    assert len(asked) == 2
    assert len({endpoint.host for endpoint in asked}) == 2


def test_a_node_known_to_two_others_is_not_an_invention() -> None:
    silent = [_contact(7000 + n, key=(n + 1) << 100) for n in range(14)]
    shared = _contact(8000, key=99 << 100)
    liars = [_contact(9000 + n, key=(200 + n) << 140) for n in range(2)]

    def run(count: int) -> list[Contact]:
        def answer(outgoing: Outgoing) -> Reply | None:
            if outgoing.endpoint in {liar.endpoint for liar in liars}:
                return _reply(outgoing.expected_id or b"", [*silent, shared])
            return _reply(shared.id) if outgoing.endpoint == shared.endpoint else None

        lookup = Lookup(FindNodes(TARGET), OWN, 0.0, seeds=liars[:count])
        _run(lookup, answer)
        return lookup.closest

    assert run(2) == [shared, *liars]
    assert run(1) == liars[:1]


def test_announces_go_to_the_nearest_nodes_that_gave_a_token() -> None:
    world = World(100)
    tokenless = {contact.endpoint for contact in world.nearest(3)}
    stores: list[Outgoing] = []

    def answer(outgoing: Outgoing) -> Reply | None:
        if isinstance(outgoing.body, AnnouncePeer):
            stores.append(outgoing)
            return None if len(stores) == 1 else _reply(outgoing.expected_id or b"")
        assert outgoing.body == GetPeers(TARGET)
        reply = world.answer(outgoing)
        if reply and outgoing.endpoint in tokenless:
            return _reply(reply.sender, reply.nodes or ())
        return reply

    purpose = FindPeers(TARGET, port=6881, is_seed=True)
    lookup = Lookup(purpose, OWN, 0.0, seeds=world.contacts[:5])
    _run(lookup, answer)
    assert {store.endpoint for store in stores} == {
        contact.endpoint for contact in world.nearest() if contact.endpoint not in tokenless
    }
    for store in stores:
        assert isinstance(store.body, AnnouncePeer)
        assert store.expected_id
        assert store.body.token == b"token of " + store.expected_id[:4]
        assert store.body.is_seed
    assert purpose.stored_count == len(stores) - 1
    assert purpose.refusals == {0: 1}


def test_refusals_are_counted_by_code() -> None:
    contacts = [_contact(n) for n in range(2)]
    purpose = FindPeers(TARGET, port=1)
    lookup = Lookup(purpose, OWN, 0.0, seeds=contacts)
    for outgoing in lookup.next_queries(0.0):
        lookup.replied(outgoing.endpoint, _reply(outgoing.expected_id or b"", token=b"t"), 0.1)
    for outgoing in lookup.next_queries(0.2):
        assert isinstance(outgoing.body, AnnouncePeer)
        lookup.failed(outgoing.endpoint, code=203)
    assert lookup.next_queries(0.3) == []
    assert lookup.is_finished
    assert purpose.refusals == {203: 2}


def test_only_bound_ids_count_where_that_is_enforced() -> None:
    rng = Random(1)
    bound = [
        Contact(id_for_address(address(n).packed_host(), rng), address(n)) for n in range(K + 4)
    ]
    unbound = [_contact(100 + n, key=n + 1) for n in range(K)]

    def answer(outgoing: Outgoing) -> Reply:
        return _reply(outgoing.expected_id or b"", [*unbound, *bound[:4]], token=b"t")

    for must_be_bound in (True, False):
        lookup = Lookup(
            FindNodes(TARGET), OWN, 0.0, seeds=bound[4:] + unbound[:2], must_be_bound=must_be_bound
        )
        _run(lookup, answer)
        assert bool(set(lookup.closest) & set(unbound)) is not must_be_bound
        assert len(lookup.closest) == K


def test_the_last_word_is_spoken_in_time() -> None:
    """Nothing is asked for ever when answers trickle in at the last moment."""
    count = 0

    def answer(outgoing: Outgoing) -> Reply:
        nonlocal count
        key = int.from_bytes(outgoing.expected_id or b"", "big")
        count += 1
        return _reply(outgoing.expected_id or b"", [_contact(count, key=max(1, key - 1))])

    lookup = Lookup(FindNodes(TARGET), OWN, 0.0, seeds=[_contact(0, key=1 << 159)])
    ended_at = _run(lookup, answer, delay_s=TIMEOUT_S - 0.5)
    assert ended_at <= LIFETIME_S + TIMEOUT_S


def test_the_query_is_that_of_the_purpose() -> None:
    lookup = Lookup(FindNodes(TARGET), OWN, 0.0, seeds=[_contact(1)])
    (outgoing,) = lookup.next_queries(0.0)
    assert outgoing == Outgoing(address(1), _contact(1).id, FindNode(TARGET))
