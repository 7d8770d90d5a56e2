"""A DHT of many nodes on a virtual clock: datagrams take time, get lost, or meet silence."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random

from engine.core.compact import Endpoint
from engine.discovery.dht.events import Event, LookupFinished
from engine.discovery.dht.node import DhtNode
from engine.discovery.dht.purpose import Purpose

PORT = 6881


def no_signature(key: bytes, signature: bytes, message: bytes) -> bool:
    del key, signature, message
    return False


def address(number: int, *, is_ipv6: bool = False) -> Endpoint:
    """A global address, each in a network of its own (up to 65,536 of them)."""
    if is_ipv6:
        return Endpoint(f"2001:db8:{number:x}::1" if number else "2001:db8::1", PORT)
    # Multiplied, so that neighbours in number are no neighbours in the network.
    mixed = number * 40503 % 65536
    return Endpoint(f"{11 + mixed % 80}.{mixed >> 8}.{mixed & 255}.{1 + number % 250}", PORT)


class SimulatedNetwork:
    def __init__(self, seed: int = 1, *, loss: float = 0.0, is_ipv6: bool = False) -> None:
        self.rng = Random(seed)
        self.now = 0.0
        self.nodes: dict[Endpoint, DhtNode] = {}
        self.silent: set[Endpoint] = set()
        """Addresses that swallow whatever comes."""
        self.events: list[tuple[Endpoint, Event]] = []
        self.datagrams = 0
        self.longest_bytes = 0
        self.tamper: Callable[[Endpoint, Endpoint, bytes], bytes | None] | None = None
        """(from, to, datagram) → what arrives; None = nothing."""
        self._loss = loss
        self._is_ipv6 = is_ipv6
        self._queue: list[tuple[float, int, Endpoint, Endpoint | None, bytes]] = []
        self._sequence = 0
        self._wake_at: dict[Endpoint, float] = {}

    def add(self, endpoint: Endpoint | None = None, *, silent: bool = False) -> DhtNode:
        endpoint = endpoint or address(len(self.nodes), is_ipv6=self._is_ipv6)
        node = DhtNode(self.rng, self.now, no_signature, is_ipv6=endpoint.is_ipv6)
        return self.adopt(node, endpoint, silent=silent)

    def adopt(self, node: DhtNode, endpoint: Endpoint, *, silent: bool = False) -> DhtNode:
        self.nodes[endpoint] = node
        if silent:
            self.silent.add(endpoint)
        else:
            self.settle(endpoint)
        return node

    def endpoint_of(self, node: DhtNode) -> Endpoint:
        return next(endpoint for endpoint, each in self.nodes.items() if each is node)

    def settle(self, endpoint: Endpoint) -> None:
        """Take over what a node wants sent and told, and when it wants to be woken."""
        node = self.nodes[endpoint]
        for to, datagram in node.datagrams_to_send():
            self.send(endpoint, to, datagram)
        self.events += [(endpoint, event) for event in node.events()]
        wake_at = node.next_timer()
        if wake_at < self._wake_at.get(endpoint, float("inf")):
            self._wake_at[endpoint] = wake_at
            self._push(wake_at, endpoint, None, b"")

    def send(self, source: Endpoint, to: Endpoint, datagram: bytes) -> None:
        self.datagrams += 1
        self.longest_bytes = max(self.longest_bytes, len(datagram))
        if to not in self.nodes or to in self.silent or self.rng.random() < self._loss:
            return
        arrived = self.tamper(source, to, datagram) if self.tamper else datagram
        if arrived is not None:
            self._push(self.now + self.rng.uniform(0.02, 0.2), to, source, arrived)

    def _push(self, at: float, to: Endpoint, source: Endpoint | None, datagram: bytes) -> None:
        self._sequence += 1
        heapq.heappush(self._queue, (at, self._sequence, to, source, datagram))

    def run(self, seconds: float, *, until: Callable[[], bool] | None = None) -> None:
        end = self.now + seconds
        while self._queue and self._queue[0][0] <= end and not (until and until()):
            at, _, to, source, datagram = heapq.heappop(self._queue)
            self.now = max(self.now, at)
            node = self.nodes[to]
            if to in self.silent:
                continue
            if source is not None:
                node.received(datagram, source, self.now)
            else:
                if self._wake_at.get(to) == at:
                    del self._wake_at[to]
                if node.next_timer() <= self.now:
                    node.on_timer(self.now)
                    assert node.next_timer() > self.now, "a timer that has passed"
            self.settle(to)
        if not (until and until()):
            self.now = end

    def join_all(self, *, per_second: float = 50.0, entry: Endpoint | None = None) -> None:
        """Let every node join by the first one (or `entry`), one after the other."""
        first = entry or next(iter(self.nodes))
        for endpoint, node in list(self.nodes.items()):
            if endpoint not in self.silent:
                node.bootstrap([first] if endpoint != first else [], self.now)
                self.settle(endpoint)
            self.run(1 / per_second)

    def lookup(self, node: DhtNode, purpose: Purpose, *, at_most_s: float = 60.0) -> LookupFinished:
        """Run one lookup to its end."""
        endpoint = self.endpoint_of(node)
        number = node.start_lookup(purpose, self.now)
        self.settle(endpoint)
        found: list[LookupFinished] = []

        def is_finished() -> bool:
            while self.events:
                at, event = self.events.pop()
                is_ours = isinstance(event, LookupFinished) and event.lookup == number
                if is_ours and at == endpoint and isinstance(event, LookupFinished):
                    found.append(event)
            return bool(found)

        self.run(at_most_s, until=is_finished)
        assert found, "the lookup did not end"
        return found[0]
