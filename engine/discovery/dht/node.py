"""One node of the DHT: the state machine of one address of one family (BEP 5, 32, 42, 43, 45).

Sans-IO. After `received`, `on_timer` and every question, the owner sends `datagrams_to_send`, takes
`events`, and sets its timer to `next_timer`. An address of another family or interface is another
node with an id of its own; two nodes of one host may help each other as `sibling`s. Whatever comes
in is dropped and counted, or answered, and never raises; everything that is kept is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from engine.core.address_votes import AddressVotes
from engine.core.compact import Endpoint
from engine.discovery.dht import krpc
from engine.discovery.dht.contact import Contact
from engine.discovery.dht.counters import Counters
from engine.discovery.dht.credibility import credible
from engine.discovery.dht.events import (
    AddressLearned,
    Answered,
    ContactsNeeded,
    Event,
    Joined,
    LookupFinished,
    NodeIdChanged,
    PeersFound,
)
from engine.discovery.dht.flood_guard import REPLY_BYTES_PER_S, FloodGuard
from engine.discovery.dht.item_store import ItemStore
from engine.discovery.dht.lookup import Lookup, Outgoing
from engine.discovery.dht.lookup_queue import Asked, LookupQueue, Running
from engine.discovery.dht.messages import (
    BadQuery,
    ErrorCode,
    ErrorReply,
    Ping,
    Query,
    Reply,
    Want,
)
from engine.discovery.dht.node_id import NodeId, id_for_address, is_bound_to, random_id
from engine.discovery.dht.node_state import MAX_CONTACTS, NodeState
from engine.discovery.dht.peer_store import PeerStore
from engine.discovery.dht.purpose import FindNodes, FindPeers, Purpose
from engine.discovery.dht.responder import Responder, Tables
from engine.discovery.dht.routing_table import K, RoutingTable
from engine.discovery.dht.tokens import TokenIssuer
from engine.discovery.dht.transactions import Transactions
from engine.discovery.dht.upkeep import Upkeep
from engine.errors import ProtocolError

if TYPE_CHECKING:
    from random import Random

    from engine.discovery.dht.items import Verify

SPARSE_BELOW = 2 * K
"""A table with fewer good nodes does not wait before it asks whoever shows up."""
FILLED_FROM = 8 * K
"""A table with fewer nodes is filled quickly, one with more at leisure."""
ID_CHANGE_S = 3600.0
"""An id is changed at most this often, whatever others say of our address."""
SEEDS = 2 * K
MAX_ENTRY_POINTS = 32
MAX_UNSENT = 2000
MAX_NODES_HEARD = 16


class DhtNode:
    def __init__(
        self,
        rng: Random,
        now: float,
        verify: Verify,
        *,
        is_ipv6: bool = False,
        is_read_only: bool = False,
        enforces_bound_ids: bool = False,
        reply_bytes_per_s: int = REPLY_BYTES_PER_S,
        state: NodeState | None = None,
    ) -> None:
        """`rng` must be a SystemRandom where attackers are real: ids and tokens come from it.

        `is_read_only`: ask, and never answer (BEP 43). `enforces_bound_ids`: announce and store
        only at nodes whose ids BEP 42 accepts.
        """
        self.is_ipv6 = is_ipv6
        self.is_read_only = is_read_only
        self.sibling: DhtNode | None = None
        """The node of the other family on this host."""
        self.counters = Counters()
        self.table = RoutingTable(state.node_id if state else random_id(rng), rng, now)
        self._rng = rng
        self._enforces_bound_ids = enforces_bound_ids
        self._guard = FloodGuard(now, reply_bytes_per_s=reply_bytes_per_s)
        self._responder = Responder(TokenIssuer(rng, now), PeerStore(rng), ItemStore(verify, rng))
        self._transactions: Transactions[Asked] = Transactions(rng)
        self._lookups = LookupQueue()
        self._votes = AddressVotes()
        self._unsent: list[tuple[Endpoint, bytes]] = []
        self._events: list[Event] = []
        self._last_number = 0
        self._entry_points: tuple[Endpoint, ...] = ()
        self._last_reply_at = self._id_changed_at = float("-inf")
        self._upkeep = Upkeep(now)
        if state is not None:
            self.table.restore(c for c in state.contacts if c.endpoint.is_ipv6 == is_ipv6)

    @property
    def node_id(self) -> NodeId:
        return self.table.own_id

    @property
    def host(self) -> str | None:
        """Our address as others see it; None = not known yet."""
        return self._votes.host

    @property
    def peers(self) -> PeerStore:
        return self._responder.peers

    @property
    def items(self) -> ItemStore:
        return self._responder.items

    @property
    def lookup_counts(self) -> tuple[int, int]:
        """(lookups that run, lookups that wait)."""
        return len(self._lookups), self._lookups.waiting_count

    # What the owner does after every call.

    def datagrams_to_send(self) -> list[tuple[Endpoint, bytes]]:
        unsent, self._unsent = self._unsent, []
        return unsent

    def events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def next_timer(self) -> float:
        """When `on_timer` must be called."""
        return min(self._upkeep.next_at, self._transactions.next_at(), self._lookups.next_at())

    # What the owner wants.

    def bootstrap(self, endpoints: Iterable[Endpoint], now: float) -> None:
        """Join by nodes at these addresses, and by those that are known from an earlier run."""
        ours = (each for each in endpoints if each.is_ipv6 == self.is_ipv6)
        self._entry_points = tuple(dict.fromkeys(ours))[:MAX_ENTRY_POINTS]
        self._upkeep.joining(now, is_fresh_start=True)
        self._join(now)

    def ping(self, endpoint: Endpoint, now: float, *, again: bool = False) -> None:
        """Make acquaintance, as with the node that a peer's PORT message names; `again`: also with
        one that is known. An answer is told as Answered."""
        if endpoint.is_ipv6 == self.is_ipv6 and (again or self.table.find(endpoint) is None):
            self._ask(Outgoing(endpoint, None, Ping()), None, now)

    def start_lookup(self, purpose: Purpose, now: float) -> int:
        """Begin to look for something and return the number that events will name."""
        self._last_number += 1
        number = self._last_number
        if isinstance(purpose, FindPeers):
            purpose.add(self.peers.peers(purpose.target, 100, now, no_seeds=purpose.no_seeds))
        if self._lookups.has_place:
            self._run(number, purpose, now)
        elif not self._lookups.wait(number, purpose):
            self._events.append(LookupFinished(number, purpose))
        return number

    def cancel_lookup(self, number: int) -> None:
        """Let go of a lookup: nothing more is heard of it."""
        self._lookups.cancel(number)

    def snapshot(self) -> NodeState:
        """What the next run should be given as `state`."""
        return NodeState(self.node_id, tuple(self.table.contacts()[:MAX_CONTACTS]))

    # What happens.

    def received(self, datagram: bytes, source: Endpoint, now: float) -> None:
        self.counters.received += 1
        if source.is_ipv6 != self.is_ipv6 or not source.port:
            self.counters.malformed += 1
            return
        is_awaited = self._transactions.is_awaited(source)
        if not is_awaited and not self._guard.may_read(source, now):
            self.counters.flooding += 1
            return
        try:
            message = krpc.decode(datagram)
        except ProtocolError:
            self.counters.malformed += 1
            return
        match message:
            case Reply():
                self._on_reply(message, source, now)
            case ErrorReply():
                self._on_error(message, source, now)
            case _ if is_awaited and not self._guard.may_read(source, now):
                self.counters.flooding += 1  # it may answer, and not ask as much as it likes
            case _:
                self._on_query(message, source, now)

    def on_timer(self, now: float) -> None:
        stirred: dict[Running, None] = {}
        for expired in self._transactions.expired(now):
            self.counters.timeouts += 1
            asked = expired.context
            # When nothing at all has come in since, it may well be our own link that is down.
            if asked.expected_id is not None and self._last_reply_at >= expired.sent_at:
                self.table.failed(Contact(asked.expected_id, expired.endpoint), now)
            if asked.running is not None:
                asked.running.lookup.failed(expired.endpoint)
                stirred[asked.running] = None
        for running in self._lookups:
            if running.lookup.next_at() <= now:
                running.lookup.on_timer(now)
                stirred[running] = None
        for running in stirred:
            self._advance(running, now)
        if now >= self._upkeep.next_at:
            self._keep_up(now)

    def _on_query(self, query: Query | BadQuery, source: Endpoint, now: float) -> None:
        if self.is_read_only:
            return
        if isinstance(query, Query) and query.sender == self.node_id:
            self.counters.unanswered += 1
            return
        answer = self._responder.answer(query, source, now, self.node_id, self._tables())
        if len(self._unsent) < MAX_UNSENT and self._guard.may_answer(len(answer), now):
            self._send(source, answer)
            self.counters.answered += 1
        else:
            self.counters.unanswered += 1
        if isinstance(query, Query) and not query.is_read_only:
            self.table.queried(Contact(query.sender, source), now)
            if len(self.table) < SPARSE_BELOW:
                self._upkeep.hurry(now)

    def _on_reply(self, reply: Reply, source: Endpoint, now: float) -> None:
        found = self._transactions.end(reply.transaction, source)
        if found is None:
            self.counters.unasked += 1
            return
        self._last_reply_at = now
        asked = found.context
        is_expected = asked.expected_id in {None, reply.sender}
        if asked.running is None and asked.expected_id is None:
            self._events.append(Answered(source, reply.sender))
        if is_expected or self.table.find(source) is not None:
            self.table.replied(Contact(reply.sender, source), now)
        if not is_expected or reply.sender == self.node_id:
            self.counters.impostors += 1
            if asked.running is not None:
                asked.running.lookup.failed(source)
                self._advance(asked.running, now)
            return
        reply = credible(reply, source.host)
        self._hear_of(reply)
        if reply.your_address is not None and reply.your_address.is_ipv6 == self.is_ipv6:
            self._hear_our_address(source, reply.your_address.host, now)
        if asked.running is not None:
            asked.running.lookup.replied(source, reply, now)
            self._advance(asked.running, now)

    def _on_error(self, error: ErrorReply, source: Endpoint, now: float) -> None:
        found = self._transactions.end(error.transaction, source)
        if found is None:
            self.counters.unasked += 1
            return
        self._last_reply_at = now
        running = found.context.running
        if running is not None:
            running.lookup.failed(source, code=error.code or ErrorCode.GENERIC)
            self._advance(running, now)

    def _hear_of(self, reply: Reply) -> None:
        for nodes, is_ipv6 in ((reply.nodes, False), (reply.nodes6, True)):
            node = self if is_ipv6 == self.is_ipv6 else self.sibling
            if node is not None:
                for contact in (nodes or ())[:MAX_NODES_HEARD]:
                    node.table.heard_of(contact)

    def _hear_our_address(self, voter: Endpoint, host: str, now: float) -> None:
        if not self._votes.vote(voter.host, host):
            return
        self._events.append(AddressLearned(host))
        packed = Endpoint(host, 1).packed_host()
        if is_bound_to(self.node_id, packed) or now - self._id_changed_at < ID_CHANGE_S:
            return
        self._id_changed_at = now
        self.table = self.table.rekeyed(id_for_address(packed, self._rng), now)
        self._events.append(NodeIdChanged(self.node_id))
        self._join(now)

    # Lookups.

    def _join(self, now: float) -> None:
        """Find the neighbourhood of our own id."""
        want = Want.IPV4 | Want.IPV6 if self.sibling else None
        self._run(0, FindNodes(self.node_id), now, want=want, is_join=True)

    def _run(
        self,
        number: int,
        purpose: Purpose,
        now: float,
        *,
        want: Want | None = None,
        is_join: bool = False,
    ) -> None:
        seeds = self.table.seeds(purpose.target, SEEDS)
        needs_help = len(seeds) < K or (is_join and not self._upkeep.is_joined)
        lookup = Lookup(
            purpose,
            self.node_id,
            now,
            seeds=seeds,
            entry_points=self._entry_points if needs_help else (),
            must_be_bound=self._enforces_bound_ids,
        )
        running = Running(number, lookup, want, is_join=is_join)
        self._lookups.run(running)
        self._advance(running, now)

    def _advance(self, running: Running, now: float) -> None:
        if running not in self._lookups:
            return
        lookup, purpose = running.lookup, running.lookup.purpose
        for outgoing in lookup.next_queries(now):
            self._ask(outgoing, running, now)
        if running.number and isinstance(purpose, FindPeers) and (fresh := purpose.fresh_peers()):
            self._events.append(PeersFound(running.number, purpose.target, fresh))
        if not lookup.is_finished:
            return
        self._lookups.end(running)
        if running.is_join:
            self._joined(lookup, now)
        if running.number:
            self._events.append(running.summary(now))
        if (waiting := self._lookups.next_waiting()) is not None:
            self._run(*waiting, now)

    def _joined(self, lookup: Lookup, now: float) -> None:
        if not lookup.replies:
            self._upkeep.nobody_answered(now)
            self._events.append(ContactsNeeded())
        elif self._upkeep.joined(now):
            self.table.ask_for_more()
            self._events.append(Joined(len(self.table)))

    def _ask(self, outgoing: Outgoing, running: Running | None, now: float) -> None:
        endpoint, expected_id, body = outgoing
        if self._transactions.is_full:
            if running is not None:
                running.lookup.failed(endpoint)
            return
        transaction = self._transactions.begin(endpoint, now, Asked(expected_id, running))
        want = running.want if running else None
        query = Query(transaction, self.node_id, body, want, self.is_read_only)
        self._send(endpoint, krpc.encode(query))

    def _send(self, endpoint: Endpoint, datagram: bytes) -> None:
        self._unsent.append((endpoint, datagram))
        self.counters.sent += 1
        self.counters.sent_bytes += len(datagram)

    # Upkeep.

    def _keep_up(self, now: float) -> None:
        is_sparse = self.table.good_count(now) < SPARSE_BELOW
        contact = self.table.next_ping(now, is_sparse=is_sparse)
        if contact is not None:
            self._ask(Outgoing(contact.endpoint, contact.id, Ping()), None, now)
        self._upkeep.done(now, is_urgent=contact is not None and len(self.table) < FILLED_FROM)
        if self._upkeep.is_expiry_due(now):
            self.peers.expire(now)
            self.items.expire(now)
        if self._upkeep.is_join_due(now):
            self._retry(now)
        elif self._lookups.has_place and self._upkeep.is_refresh_due(now):
            target = self.table.refresh_target(now)
            if target is not None:
                self._run(0, FindNodes(target), now)

    def _retry(self, now: float) -> None:
        self._upkeep.joining(now)
        if self._entry_points or len(self.table) or self.table.replacement_count:
            self._join(now)
        else:
            self._events.append(ContactsNeeded())

    def _tables(self) -> Tables:
        other = self.sibling.table if self.sibling else None
        return (other, self.table) if self.is_ipv6 else (self.table, other)
