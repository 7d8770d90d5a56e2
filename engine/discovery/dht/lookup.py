"""An iterative lookup: ask the nodes nearest to a key for nearer ones, till there are none (BEP 5).

Sans-IO: the owner sends what `next_queries` returns and reports what became of each query. The
nearest K nodes that answered are the result. Nothing that nodes say makes it run longer than
MAX_QUERIES and LIFETIME_S allow, or ask one host twice outside of local networks; a node that gives
only silent nodes is not listened to any more.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import Counter
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from engine.core.compact import Endpoint
from engine.core.scope import is_local, network_of
from engine.discovery.dht.contact import Contact
from engine.discovery.dht.messages import Body, Reply
from engine.discovery.dht.node_id import NodeId, is_bound_to
from engine.discovery.dht.purpose import Purpose

ALPHA = 4
"""Queries under way at a time, not counting those that are slow."""
K = 8
SLOW_AFTER_S = 1.5
"""A query not answered by then gives its place to another; its answer is still welcome."""
LIFETIME_S = 90.0
MAX_QUERIES = 200
MAX_CANDIDATES = 400
"""Many, so that a few liars with long lists do not crowd out what honest nodes said."""
MAX_NODES_TAKEN = 16
"""Of the nodes in one reply; K are usual."""
MAX_OF_NETWORK = 2
MAX_SILENT_REFERRALS = 6
"""Honest lists are half dead at times."""

_FARTHEST = 1 << 160


class _State(Enum):
    FRESH = 1
    ASKED = 2
    SLOW = 3
    REPLIED = 4
    FAILED = 5


class Candidate:
    """A node that may be asked; `distance` is beyond all others while its id is unknown."""

    __slots__ = (
        "asked_at",
        "distance",
        "endpoint",
        "hops",
        "id",
        "is_corroborated",
        "referrer",
        "reply",
        "state",
    )

    def __init__(
        self, endpoint: Endpoint, node_id: NodeId | None, distance: int, referrer: Candidate | None
    ) -> None:
        self.endpoint = endpoint
        self.id = node_id
        self.distance = distance
        self.referrer = referrer
        self.is_corroborated = referrer is None
        """More than one node told us of it."""
        self.hops: int = referrer.hops + 1 if referrer else 1
        self.state = _State.FRESH
        self.asked_at = 0.0
        self.reply: Reply | None = None

    def __lt__(self, other: Candidate) -> bool:
        return self.distance < other.distance


class Outgoing(NamedTuple):
    """A query to be sent; `expected_id` is None where the id of the node is not known."""

    endpoint: Endpoint
    expected_id: NodeId | None
    body: Body


class Lookup:
    def __init__(
        self,
        purpose: Purpose,
        own_id: NodeId,
        now: float,
        *,
        seeds: Iterable[Contact] = (),
        entry_points: Iterable[Endpoint] = (),
        must_be_bound: bool = False,
    ) -> None:
        """`entry_points` are addresses of nodes whose ids are unknown; `must_be_bound` counts and
        stores with those nodes only whose ids BEP 42 accepts."""
        self.purpose = purpose
        self.started_at = now
        self.finished_at: float | None = None
        self.queries = self.replies = self.timeouts = 0
        self._own_id = own_id
        self._target = int.from_bytes(purpose.target, "big")
        self._must_be_bound = must_be_bound
        self._candidates: list[Candidate] = []
        self._by_endpoint: dict[Endpoint, Candidate] = {}
        self._hosts: set[str] = set()
        self._networks: Counter[bytes] = Counter()
        self._silent_referrals: Counter[Endpoint] = Counter()
        self._fruitful: set[Endpoint] = set()
        self._to_store: list[Outgoing] | None = None
        self._storing: set[Endpoint] = set()
        # Entry points first: who runs there may have another id by now than the table says.
        for endpoint in entry_points:
            self._add(endpoint, None, None)
        for contact in seeds:
            self._add(contact.endpoint, contact.id, None)

    @property
    def is_finished(self) -> bool:
        return self.finished_at is not None

    @property
    def closest(self) -> list[Contact]:
        """The nearest nodes that answered so far, K at most."""
        return [Contact(c.id, c.endpoint) for c in self._closest() if c.id is not None]

    @property
    def hops(self) -> int:
        """How many nodes, one told of by the other, led to the nearest one that answered."""
        return next((c.hops for c in self._candidates if c.state is _State.REPLIED), 0)

    def next_queries(self, now: float) -> list[Outgoing]:
        """Must be called after the start and after every report; finishes the lookup by itself."""
        if self.is_finished:
            return []
        if self._to_store is not None:
            return self._next_stores(now)
        if not self.purpose.is_satisfied and now < self.started_at + LIFETIME_S:
            chosen, is_waiting = self._choose()
            if chosen or is_waiting:
                for candidate in chosen:
                    candidate.state = _State.ASKED
                    candidate.asked_at = now
                self.queries += len(chosen)
                query = self.purpose.query()
                return [Outgoing(each.endpoint, each.id, query) for each in chosen]
        self._to_store = [
            Outgoing(c.endpoint, c.id, body)
            for c in self._closest()
            if c.reply is not None and (body := self.purpose.store(c.reply)) is not None
        ]
        return self._next_stores(now)

    def replied(self, endpoint: Endpoint, reply: Reply, now: float) -> None:
        """Report an answer that came from where the query went to."""
        if self.is_finished:
            return
        if endpoint in self._storing:
            self._storing.discard(endpoint)
            self.purpose.stored()
            return
        candidate = self._by_endpoint.get(endpoint)
        if candidate is None or candidate.state not in {_State.ASKED, _State.SLOW}:
            return
        if candidate.id is None:
            self._candidates.remove(candidate)
            candidate.id = reply.sender
            candidate.distance = int.from_bytes(reply.sender, "big") ^ self._target
            insort(self._candidates, candidate)
        candidate.state = _State.REPLIED
        candidate.reply = reply
        self.replies += 1
        if candidate.referrer is not None:
            self._fruitful.add(candidate.referrer.endpoint)
        self.purpose.take(candidate.endpoint, reply)
        nodes = reply.nodes6 if endpoint.is_ipv6 else reply.nodes
        for contact in (nodes or ())[:MAX_NODES_TAKEN]:
            self._add(contact.endpoint, contact.id, candidate)

    def failed(self, endpoint: Endpoint, *, code: int = 0) -> None:
        """Report silence (code 0), an error, or an answer that is not to be believed."""
        if endpoint in self._storing:
            self._storing.discard(endpoint)
            self.purpose.refused(code)
            return
        candidate = self._by_endpoint.get(endpoint)
        if candidate is None or candidate.state not in {_State.ASKED, _State.SLOW}:
            return
        if candidate.state is _State.ASKED:
            self._note_silence(candidate)
        candidate.state = _State.FAILED
        self._candidates.remove(candidate)
        self.timeouts += not code

    def _note_silence(self, candidate: Candidate) -> None:
        if candidate.referrer is not None:
            self._silent_referrals[candidate.referrer.endpoint] += 1

    def next_at(self) -> float:
        """When `on_timer` must be called even if nothing is reported; inf = reports will do."""
        if self._to_store is not None:
            return math.inf
        asked = [c.asked_at for c in self._candidates if c.state is _State.ASKED]
        end = self.started_at + LIFETIME_S
        return min(min(asked) + SLOW_AFTER_S, end) if asked else end

    def on_timer(self, now: float) -> None:
        """Give up waiting for what is slow; `next_queries` must be called after it."""
        for candidate in self._candidates:
            if candidate.state is _State.ASKED and now >= candidate.asked_at + SLOW_AFTER_S:
                candidate.state = _State.SLOW
                self._note_silence(candidate)

    def _choose(self) -> tuple[list[Candidate], bool]:
        """Choose whom to ask now, and say whether an answer is worth waiting for."""
        asked = sum(c.state is _State.ASKED for c in self._candidates)
        places = min(ALPHA - asked, MAX_QUERIES - self.queries)
        is_starved = False
        chosen: list[Candidate] = []
        counted = waiting = 0
        for candidate in self._candidates:
            if counted + waiting >= K:
                break
            if candidate.state is _State.REPLIED:
                counted += self._counts(candidate)
            elif candidate.state is _State.ASKED:
                waiting += 1
            elif candidate.state is _State.FRESH and not self._is_distrusted(candidate):
                if len(chosen) >= places:
                    is_starved = True
                    break
                chosen.append(candidate)
                waiting += 1
        return chosen, waiting > 0 or (is_starved and asked > 0)

    def _counts(self, candidate: Candidate) -> bool:
        if not self._must_be_bound or candidate.id is None or is_local(candidate.endpoint.host):
            return True
        return is_bound_to(candidate.id, candidate.endpoint.packed_host())

    def _is_distrusted(self, candidate: Candidate) -> bool:
        referrer = candidate.referrer
        return (
            referrer is not None
            and not candidate.is_corroborated
            and self._silent_referrals[referrer.endpoint] >= MAX_SILENT_REFERRALS
            and referrer.endpoint not in self._fruitful
        )

    def _closest(self) -> list[Candidate]:
        replied = (c for c in self._candidates if c.state is _State.REPLIED and self._counts(c))
        return [candidate for candidate, _ in zip(replied, range(K), strict=False)]

    def _next_stores(self, now: float) -> list[Outgoing]:
        stores, self._to_store = self._to_store or [], []
        self._storing.update(store.endpoint for store in stores)
        self.queries += len(stores)
        if not self._storing:
            self.finished_at = now
        return stores

    def _add(self, endpoint: Endpoint, node_id: NodeId | None, referrer: Candidate | None) -> None:
        known = self._by_endpoint.get(endpoint)
        if known is not None:
            if known.id == node_id and known.referrer is not referrer:
                known.is_corroborated = True
            return
        if node_id == self._own_id:
            return
        host = endpoint.host
        network = b"" if is_local(host) else network_of(host)
        if network and (host in self._hosts or self._networks[network] >= MAX_OF_NETWORK):
            return
        distance = _FARTHEST
        if node_id is not None:
            distance = int.from_bytes(node_id, "big") ^ self._target
        if len(self._candidates) >= MAX_CANDIDATES:
            # Who was asked stays; who was not is remembered by address, and not taken up again.
            farthest = next(
                (c for c in reversed(self._candidates) if c.state is _State.FRESH), None
            )
            if farthest is None or farthest.distance <= distance:
                return
            self._candidates.remove(farthest)
        candidate = Candidate(endpoint, node_id, distance, referrer)
        insort(self._candidates, candidate)
        self._by_endpoint[endpoint] = candidate
        if network:
            self._hosts.add(host)
            self._networks[network] += 1
