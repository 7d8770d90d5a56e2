"""The nodes that a node knows: k-buckets with replacement caches (BEP 5, 32, 42).

The invariants: a bucket holds at most K nodes, each of which answered us (now or in an earlier
run), and at most K replacements. Only the bucket of our own id is split. An address stands in the
table once, with one id; outside of local networks a host stands there once, and a network of one
owner once in each bucket. Nobody gets in, and nobody is thrown out, by what a stranger says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from heapq import nsmallest
from typing import TYPE_CHECKING

from engine.core.compact import Endpoint
from engine.discovery.dht.contact import Contact
from engine.discovery.dht.node_id import ID_BITS, ID_BYTES, NodeId
from engine.discovery.dht.table_node import FRESH_S, GONE_AFTER_FAILURES, TableNode

if TYPE_CHECKING:
    from random import Random

K = 8
STRANGER_DELAY_S = 60.0
"""A node that we know only from its queries is asked after this time: by then the hole that its
query made in its own NAT has closed, and it answers only if everybody can reach it."""


class _Bucket:
    __slots__ = ("changed_at", "nodes", "replacements")

    def __init__(self, now: float) -> None:
        self.nodes: list[TableNode] = []
        self.replacements: list[TableNode] = []
        self.changed_at = now

    def has_network(self, network: bytes) -> bool:
        return bool(network) and any(
            node.network == network for node in (*self.nodes, *self.replacements)
        )


class RoutingTable:
    def __init__(self, own_id: NodeId, rng: Random, now: float) -> None:
        self.own_id = own_id
        self._own_key = int.from_bytes(own_id, "big")
        self._rng = rng
        self._buckets = [_Bucket(now)]
        self._by_endpoint: dict[Endpoint, TableNode] = {}
        self._hosts: Counter[str] = Counter()

    def __len__(self) -> int:
        """Nodes in buckets; replacements are not counted."""
        return sum(len(bucket.nodes) for bucket in self._buckets)

    def __iter__(self) -> Iterator[TableNode]:
        for bucket in self._buckets:
            yield from bucket.nodes

    @property
    def bucket_sizes(self) -> list[tuple[int, int]]:
        """(nodes, replacements) of each bucket, the farthest first."""
        return [(len(bucket.nodes), len(bucket.replacements)) for bucket in self._buckets]

    @property
    def replacement_count(self) -> int:
        return sum(len(bucket.replacements) for bucket in self._buckets)

    def good_count(self, now: float) -> int:
        return sum(node.is_good(now) for node in self)

    def find(self, endpoint: Endpoint) -> TableNode | None:
        """The node or replacement at this address."""
        return self._by_endpoint.get(endpoint)

    # What happened to nodes.

    def replied(self, contact: Contact, now: float) -> None:
        """Note an answer to a query of ours, from where it was sent to."""
        node = self._by_endpoint.get(contact.endpoint)
        if node is not None and node.contact.id != contact.id:
            # It says one thing to us and another to others, or somebody else is there by now. Its
            # neighbours may be of the same kind: they are asked soon.
            bucket = self._bucket_of(node)
            self._remove(node)
            for neighbour in bucket.nodes:
                neighbour.replied_at = min(neighbour.replied_at, now - FRESH_S - 1)
                neighbour.queried_at = min(neighbour.queried_at, now - FRESH_S - 1)
            self._add_candidate(contact, not_before=now + STRANGER_DELAY_S)
            return
        if node is None:
            node = TableNode(contact)
            if not self._is_admissible(node):
                return
            self._register(node)
        else:
            bucket = self._bucket_of(node)
            if node in bucket.nodes:
                self._heard(node, now)
                bucket.changed_at = now
                return
            bucket.replacements.remove(node)
        self._heard(node, now)
        self._insert(node, now)

    def queried(self, contact: Contact, now: float) -> None:
        """Note a query: it proves life, but neither reachability nor the address."""
        node = self._by_endpoint.get(contact.endpoint)
        if node is None:
            self._add_candidate(contact, not_before=now + STRANGER_DELAY_S)
        elif node.contact.id == contact.id:
            node.queried_at = now
        elif node.is_verified:
            # Its id changed, or somebody else wrote its address on a datagram: asking will tell.
            node.is_doubted = True
        else:
            self._remove(node)
            self._add_candidate(contact, not_before=now + STRANGER_DELAY_S)

    def heard_of(self, contact: Contact) -> None:
        """Note a node that somebody told us of."""
        if contact.endpoint not in self._by_endpoint:
            self._add_candidate(contact, not_before=float("-inf"))

    def failed(self, contact: Contact, now: float) -> None:
        """Note that a query of ours was not answered."""
        node = self._by_endpoint.get(contact.endpoint)
        if node is None or node.contact.id != contact.id:
            return
        node.failures += 1
        bucket = self._bucket_of(node)
        is_replacement = node in bucket.replacements
        is_useless = is_replacement and (node.is_bad or not node.is_verified)
        if is_useless or node.failures >= GONE_AFTER_FAILURES:
            self._remove(node)
        elif node.is_bad and not is_replacement:
            self._promote(bucket, now)

    def restore(self, contacts: Iterable[Contact]) -> None:
        """Take over nodes of an earlier run: questionable, and nobody is told of them yet."""
        for contact in contacts:
            node = TableNode(contact)
            if contact.endpoint not in self._by_endpoint and self._is_admissible(node):
                self._register(node)
                self._insert(node, self._bucket_of(node).changed_at)

    # Questions.

    def closest(self, target: bytes, now: float, count: int = K) -> list[Contact]:
        """The nodes nearest to `target`, to tell others: good ones, then those that may be."""
        good: list[TableNode] = []
        quiet: list[TableNode] = []
        for node in self:
            if node.is_good(now):
                good.append(node)
            elif node.is_verified and not node.failures:
                quiet.append(node)
        found = _nearest(good, target, count)
        return found + _nearest(quiet, target, count - len(found)) if quiet else found

    def seeds(self, target: bytes, count: int) -> list[Contact]:
        """The nodes nearest to `target` to begin a lookup with; the doubtful only if need be."""
        found = _nearest((node for node in self if not node.is_bad), target, count)
        if len(found) < count:
            others = (
                node
                for bucket in self._buckets
                for node in (*bucket.nodes, *bucket.replacements)
                if node.is_bad or node in bucket.replacements
            )
            found += _nearest(others, target, count - len(found))
        return found

    def contacts(self) -> list[Contact]:
        """The nodes that are worth keeping for the next run, those seen last first."""
        nodes = [node for node in self if not node.is_bad]
        nodes.sort(key=lambda node: -node.replied_at)
        return [node.contact for node in nodes]

    def next_ping(self, now: float, *, is_sparse: bool = False) -> Contact | None:
        """Choose the node whose answer would help most; it counts as asked then.

        First those that could fill a gap, the widest first, then the node seen longest ago of a
        full bucket that others wait for, then anybody questionable. A sparse table does not leave
        strangers alone for a while.
        """
        waited_for: list[TableNode] = []
        questionable: list[TableNode] = []
        for bucket in sorted(self._buckets, key=lambda each: len(each.nodes)):
            has_gap = len(bucket.nodes) < K or any(node.is_bad for node in bucket.nodes)
            if has_gap or self._can_split(bucket):
                for node in reversed(bucket.replacements):
                    if node.may_be_pinged(now) or (is_sparse and node.pinged_at < node.not_before):
                        return self._chosen(node, now)
            doubtful = [n for n in bucket.nodes if n.needs_answer(now) and n.may_be_pinged(now)]
            (waited_for if bucket.replacements else questionable).extend(doubtful)
        chosen = min(waited_for or questionable, key=lambda node: node.seen_at, default=None)
        return self._chosen(chosen, now) if chosen else None

    def _chosen(self, node: TableNode, now: float) -> Contact:
        node.pinged_at = now
        node.not_before = float("-inf")
        return node.contact

    def refresh_target(self, now: float) -> bytes | None:
        """Choose a key in the bucket that stood still for longest, if that was too long."""
        index = min(range(len(self._buckets)), key=lambda i: self._buckets[i].changed_at)
        bucket = self._buckets[index]
        if now - bucket.changed_at <= FRESH_S:
            return None
        bucket.changed_at = now
        return self._random_key(index)

    def ask_for_more(self) -> None:
        """Let all buckets that have room be refreshed in turn, as after joining."""
        for bucket in self._buckets:
            if len(bucket.nodes) < K:
                bucket.changed_at = float("-inf")

    def rekeyed(self, own_id: NodeId, now: float) -> RoutingTable:
        """The table of a node with another id and the same acquaintances."""
        table = RoutingTable(own_id, self._rng, now)
        for node in sorted(self, key=lambda node: -node.replied_at):
            table.replied(node.contact, now) if node.is_good(now) else table.restore([node.contact])
        return table

    # Buckets.

    def _bucket_of(self, node: TableNode) -> _Bucket:
        return self._bucket_of_key(node.key)

    def _bucket_of_key(self, key: int) -> _Bucket:
        shared_bits = ID_BITS - (self._own_key ^ key).bit_length()
        return self._buckets[min(shared_bits, len(self._buckets) - 1)]

    def _can_split(self, bucket: _Bucket) -> bool:
        return bucket is self._buckets[-1] and len(self._buckets) < ID_BITS

    def _random_key(self, index: int) -> bytes:
        """A key that shares exactly `index` leading bits with us, or more in the last bucket."""
        low_bits = ID_BITS - index
        if index < len(self._buckets) - 1:
            low_bits -= 1
        key = self._own_key >> low_bits << low_bits | self._rng.getrandbits(low_bits or 1)
        if index < len(self._buckets) - 1:
            key ^= 1 << low_bits
        return key.to_bytes(ID_BYTES, "big")

    def _is_admissible(self, node: TableNode) -> bool:
        if node.contact.id == self.own_id:
            return False
        if not node.network:
            return True
        if self._hosts[node.contact.endpoint.host]:
            return False
        return not self._bucket_of(node).has_network(node.network)

    def _heard(self, node: TableNode, now: float) -> None:
        node.replied_at = now
        node.failures = 0
        node.is_doubted = False

    def _add_candidate(self, contact: Contact, *, not_before: float) -> None:
        bucket = self._bucket_of_key(int.from_bytes(contact.id, "big"))
        if len(bucket.nodes) >= K <= len(bucket.replacements):
            return
        node = TableNode(contact)
        if not self._is_admissible(node) or self._has_id(bucket, contact.id):
            return
        if len(bucket.replacements) >= K:
            unverified = [each for each in bucket.replacements if not each.is_verified]
            if not unverified:
                return
            self._remove(unverified[0])
        node.not_before = not_before
        self._register(node)
        bucket.replacements.append(node)

    def _has_id(self, bucket: _Bucket, node_id: bytes) -> bool:
        return any(n.contact.id == node_id for n in (*bucket.nodes, *bucket.replacements))

    def _insert(self, node: TableNode, now: float) -> None:
        """Place a registered node that is in no list."""
        bucket = self._bucket_of(node)
        twin = next((n for n in bucket.nodes if n.contact.id == node.contact.id), None)
        if twin is not None:
            # Two addresses claim one id: the elder keeps it for as long as it answers.
            if not twin.is_bad:
                self._unregister(node)
                return
            self._remove(twin)
        for other in [n for n in bucket.replacements if n.contact.id == node.contact.id]:
            self._remove(other)
        while len(bucket.nodes) >= K and self._can_split(bucket):
            self._split(now)
            bucket = self._bucket_of(node)
        if len(bucket.nodes) >= K:
            worst = max(bucket.nodes, key=lambda each: (each.failures, not each.is_verified))
            if not worst.is_bad and (worst.is_verified or not node.is_verified):
                self._add_replacement(bucket, node)
                return
            self._remove(worst)
        bucket.nodes.append(node)
        bucket.changed_at = now

    def _add_replacement(self, bucket: _Bucket, node: TableNode) -> None:
        if len(bucket.replacements) >= K:
            self._remove(min(bucket.replacements, key=lambda each: each.replied_at))
        bucket.replacements.append(node)

    def _promote(self, bucket: _Bucket, now: float) -> None:
        """Let the replacement that answered last take the place of a bad node."""
        waiting = [node for node in bucket.replacements if node.is_verified]
        bad = max(bucket.nodes, key=lambda node: node.failures)
        if waiting and bad.is_bad:
            node = max(waiting, key=lambda each: each.replied_at)
            bucket.replacements.remove(node)
            self._remove(bad)
            bucket.nodes.append(node)
            bucket.changed_at = now

    def _split(self, now: float) -> None:
        old = self._buckets[-1]
        new = _Bucket(old.changed_at)
        self._buckets.append(new)
        for old_list, new_list in (
            (old.nodes, new.nodes),
            (old.replacements, new.replacements),
        ):
            moved = [node for node in old_list if self._bucket_of(node) is new]
            old_list[:] = [node for node in old_list if node not in moved]
            new_list.extend(moved)

    def _register(self, node: TableNode) -> None:
        self._by_endpoint[node.contact.endpoint] = node
        self._hosts[node.contact.endpoint.host] += 1

    def _unregister(self, node: TableNode) -> None:
        host = node.contact.endpoint.host
        del self._by_endpoint[node.contact.endpoint]
        self._hosts[host] -= 1
        if not self._hosts[host]:
            del self._hosts[host]

    def _remove(self, node: TableNode) -> None:
        bucket = self._bucket_of(node)
        (bucket.nodes if node in bucket.nodes else bucket.replacements).remove(node)
        self._unregister(node)


def _nearest(nodes: Iterable[TableNode], target: bytes, count: int) -> list[Contact]:
    key = int.from_bytes(target, "big")
    return [node.contact for node in nsmallest(count, nodes, key=lambda node: node.key ^ key)]
