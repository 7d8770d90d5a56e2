"""What a lookup is for: what it asks each node, what it learns, what it stores in the end.

Peers of a torrent and announces (BEP 5, 33), items (BEP 44), samples of info-hashes (BEP 51).
Answers are from strangers: every list is bounded, and items count only when they are genuine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from engine.core.compact import Endpoint
from engine.discovery.dht.bloom import BloomFilter
from engine.discovery.dht.items import ImmutableItem, Item, MutableItem, Verify, mutable_target
from engine.discovery.dht.messages import (
    AnnouncePeer,
    Body,
    FindNode,
    GetItem,
    GetPeers,
    PutItem,
    Reply,
    SampleInfohashes,
)

MAX_PEERS = 5000
MAX_PEERS_OF_REPLY = 200
MAX_SAMPLES = 20_000

Publish = Callable[[MutableItem | None], MutableItem | None]
"""The newest item found → its successor to store, or None to leave things as they are."""


class Purpose:
    """To find the nodes nearest to a key; the others do this and more on their way."""

    def __init__(self, target: bytes) -> None:
        self.target = target
        self.stored_count = 0
        """Nodes that said yes to what was stored."""
        self.refusals: Counter[int] = Counter()
        """Error codes of those that said no; 0 = said nothing."""

    @property
    def is_satisfied(self) -> bool:
        """There is nothing more to learn, however many nodes were not asked."""
        return False

    def query(self) -> Body:
        return FindNode(self.target)

    def take(self, endpoint: Endpoint, reply: Reply) -> None:
        """Learn from the answer to `query`."""

    def store(self, reply: Reply) -> Body | None:
        """Say what one of the nearest nodes is to store, given its answer."""
        del reply
        return None

    def stored(self) -> None:
        self.stored_count += 1

    def refused(self, code: int) -> None:
        self.refusals[code] += 1


FindNodes = Purpose


class FindPeers(Purpose):
    """Look for peers; with a `port`, announce that we are one, too."""

    def __init__(
        self,
        info_hash: bytes,
        *,
        port: int = 0,
        implied_port: bool = False,
        is_seed: bool = False,
        no_seeds: bool = False,
        scrape: bool = False,
    ) -> None:
        """`implied_port`: we listen for uTP where the datagrams come from, behind NATs too.

        `scrape`: count the swarm; many nodes answer that with filters in place of peers.
        """
        super().__init__(info_hash)
        self.port = port
        self.implied_port = implied_port
        self.is_seed = is_seed
        self.no_seeds = no_seeds
        self.scrape = scrape
        self.peers: dict[Endpoint, None] = {}
        self._fresh: list[Endpoint] = []
        self._seeds_filter = BloomFilter()
        self._peers_filter = BloomFilter()
        self._unsorted: set[bytes] = set()

    def query(self) -> Body:
        return GetPeers(self.target, self.no_seeds, self.scrape)

    def take(self, endpoint: Endpoint, reply: Reply) -> None:
        self.add(reply.values[:MAX_PEERS_OF_REPLY])
        if not self.scrape:
            return
        if reply.seeds_filter and reply.peers_filter:
            self._seeds_filter.unite(BloomFilter(reply.seeds_filter))
            self._peers_filter.unite(BloomFilter(reply.peers_filter))
        elif len(self._unsorted) < MAX_PEERS:
            self._unsorted.update(p.packed_host() for p in reply.values[:MAX_PEERS_OF_REPLY])

    def add(self, peers: tuple[Endpoint, ...] | list[Endpoint]) -> None:
        for peer in peers:
            if peer not in self.peers and len(self.peers) < MAX_PEERS:
                self.peers[peer] = None
                self._fresh.append(peer)

    def fresh_peers(self) -> tuple[Endpoint, ...]:
        """The peers found since this was asked last."""
        fresh, self._fresh = tuple(self._fresh), []
        return fresh

    def counts(self) -> tuple[int, int]:
        """Estimate (seeds, downloaders) from what a scrape learnt (BEP 33)."""
        everybody = BloomFilter(bytes(self._peers_filter))
        for host in self._unsorted:
            # From a node that does not tell seeds apart: a peer, unless another node knows better.
            if host not in self._seeds_filter:
                everybody.add(host)
        return round(self._seeds_filter.estimate()), round(everybody.estimate())

    def store(self, reply: Reply) -> Body | None:
        if not reply.token or not (self.port or self.implied_port):
            return None
        return AnnouncePeer(self.target, reply.token, self.port, self.implied_port, self.is_seed)


class FindItem(Purpose):
    """Look for an immutable item, and store it where it is not if it is given."""

    def __init__(self, target: bytes, to_store: ImmutableItem | None = None) -> None:
        super().__init__(target)
        self.item: Item | None = None
        self._to_store = to_store

    @property
    def is_satisfied(self) -> bool:
        return self.item is not None and self._to_store is None

    def query(self) -> Body:
        return GetItem(self.target)

    def take(self, endpoint: Endpoint, reply: Reply) -> None:
        if self.item is None and reply.value is not None:
            item = ImmutableItem(reply.value)
            self.item = item if item.target == self.target else None

    def store(self, reply: Reply) -> Body | None:
        if self._to_store is None or not reply.token:
            return None
        return PutItem(self._to_store, reply.token)


class FindMutableItem(Purpose):
    """Look for the newest item of a key, and store its successor if one is published."""

    def __init__(
        self,
        key: bytes,
        verify: Verify,
        *,
        salt: bytes = b"",
        publish: Publish | None = None,
        compare_and_swap: bool = False,
    ) -> None:
        super().__init__(mutable_target(key, salt))
        self.item: MutableItem | None = None
        self.published: MutableItem | None = None
        self._key = key
        self._salt = salt
        self._verify = verify
        self._publish = publish
        self._compare_and_swap = compare_and_swap

    def query(self) -> Body:
        return GetItem(self.target)

    def take(self, endpoint: Endpoint, reply: Reply) -> None:
        if reply.value is None or reply.seq is None or reply.key != self._key:
            return
        if self.item is not None and reply.seq <= self.item.seq:
            return
        item = MutableItem(self._key, reply.seq, reply.value, reply.signature, self._salt)
        if item.is_genuine(self._verify):
            self.item = item

    def store(self, reply: Reply) -> Body | None:
        if self._publish is not None:
            self.published = self._publish(self.item)
            self._publish = None
        if self.published is None or not reply.token:
            return None
        is_swap = self._compare_and_swap and reply.value is not None and reply.seq is not None
        return PutItem(self.published, reply.token, reply.seq if is_swap else None)


class FindSamples(Purpose):
    """Collect info-hashes from the nodes near a key (BEP 51)."""

    def __init__(self, target: bytes) -> None:
        super().__init__(target)
        self.info_hashes: set[bytes] = set()
        self.torrent_count = 0
        """As the asked nodes count them, without regard to overlaps."""

    def query(self) -> Body:
        return SampleInfohashes(self.target)

    def take(self, endpoint: Endpoint, reply: Reply) -> None:
        if reply.samples is not None and len(self.info_hashes) < MAX_SAMPLES:
            self.info_hashes.update(reply.samples)
            self.torrent_count += max(reply.torrent_count, len(reply.samples))
