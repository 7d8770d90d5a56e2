"""The DHT nodes of a session, one for each family of addresses, on its UDP port (BEP 5, 32, 45).

The nodes decide; here they are fed datagrams and time. However much comes in, what it causes is
done once a turn of the loop, and one timer serves all nodes. Names of bootstrap nodes are looked up
only when nobody who was known before answers.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from engine.core.compact import Endpoint
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
from engine.discovery.dht.node import DhtNode
from engine.discovery.dht.node_id import NodeId
from engine.discovery.dht.node_state import NodeState
from engine.discovery.dht.purpose import Purpose
from engine.discovery.dht.transactions import TIMEOUT_S
from engine.errors import InputError, SeedwrightError, StorageError
from engine.net.udp_endpoint import Kind, UdpEndpoint
from engine.session.alarm import Alarm
from engine.session.dht_bootstrap import Bootstrap, by_answer, by_route
from engine.session.options import DhtOptions
from engine.session.signatures import verify
from engine.session.state_db import StateDb

log = logging.getLogger(__name__)

KEEP_SOON_S = 5.0
"""After we joined: a first run that is killed early was not for nothing."""
KEEP_S = 300.0
"""Between two times that the state is kept."""
_FAMILIES = {False: "dht_ipv4", True: "dht_ipv6"}
"""Under which name the state of each node is kept."""
_ACQUAINTED_EVERY_S = 2.0
_ACQUAINTED_AT_ONCE = 5
"""Nodes of peers that are asked who they are. The first are enough to join by, and with the others
there is no hurry: whoever meets a crowd at one moment has more urgent things to do."""
_MAX_MET = 50
_MAX_PINGS = 256
_LEAST_WAIT_S = 0.005

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class NoAnswer(SeedwrightError):  # noqa: N818 - nobody erred
    """A node said nothing in time."""


class Search:
    """One lookup, by the nodes of all families at once."""

    __slots__ = ("_on_end", "_on_peers", "finished", "parts")

    def __init__(
        self,
        on_end: Callable[[Search], None],
        on_peers: Callable[[tuple[Endpoint, ...]], None] | None,
    ) -> None:
        self._on_end = on_end
        self._on_peers = on_peers
        self.parts: dict[tuple[bool, int], Purpose] = {}
        """What still runs: (is IPv6, number of the lookup) → what for."""
        self.finished: list[LookupFinished] = []

    @property
    def replies(self) -> int:
        return sum(part.replies for part in self.finished)

    def on_peers(self, peers: tuple[Endpoint, ...]) -> None:
        if self._on_peers is not None:
            self._on_peers(peers)

    def on_finished(self, key: tuple[bool, int], part: LookupFinished) -> None:
        self.parts.pop(key, None)
        self.finished.append(part)
        if not self.parts:
            self._on_end(self)


class _Ping(NamedTuple):
    sent_at: float
    answer: asyncio.Future[tuple[NodeId, float]]


class Dht:
    """Loop thread only. `start` it when the UDP port is open, `stop` it before that is closed."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        udp: UdpEndpoint,
        options: DhtOptions,
        spawn: Spawn,
        state: StateDb | None = None,
    ) -> None:
        """Without `state` nothing is kept, and each start is the first one."""
        self.options = options
        self.nodes: dict[bool, DhtNode] = {}
        """By whether it speaks IPv6; none while it is off."""
        self.joined: set[bool] = set()
        self.on_joined: Callable[[], None] = lambda: None
        self.on_address: Callable[[str], None] = lambda host: None
        """Called with our address as enough of the other nodes see it."""
        self.is_shut_to: Callable[[str], bool] = lambda host: False
        """Says which hosts are neither spoken with nor heard."""
        self._loop = loop
        self._udp = udp
        self._spawn = spawn
        self._state = state
        self._rng = random.SystemRandom()
        self._bootstrap = Bootstrap(
            loop,
            by_route(udp.route) if udp.route.looks_up_names else by_answer(udp, self._rng),
            options.bootstrap,
            spawn,
            self._on_entry_points,
        )
        self._searches: dict[tuple[bool, int], Search] = {}
        self._pings: dict[Endpoint, _Ping] = {}
        self._met: dict[Endpoint, None] = {}
        """Nodes of peers that are still to be asked who they are; the oldest first."""
        self._acquainted_at = math.inf
        """When the next of them are; inf = there are none."""
        self._has_tried: set[bool] = set()
        """Nodes that are not joined and have tried to by whoever showed up."""
        self._alarm = Alarm(loop, self._on_alarm)
        self._is_settling = False
        self._keep_at = math.inf

    @property
    def is_running(self) -> bool:
        return bool(self.nodes)

    @property
    def port(self) -> int:
        """The UDP port of our nodes; 0 = there are none."""
        return self._udp.port if self.nodes else 0

    @property
    def takes_utp(self) -> bool:
        """Peers can connect to the port that our datagrams come from, whatever it is outside."""
        return Kind.UTP in self._udp.run_receivers

    @property
    def node_count(self) -> int:
        return sum(len(node.table) for node in self.nodes.values())

    # ── beginning and end ───────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Begin to join, if there is a UDP port. Raises StorageError."""
        kept = await self._state.run(self._state.kept) if self._state is not None else {}
        now = self._loop.time()
        for is_ipv6 in self._udp.families:
            self.nodes[is_ipv6] = DhtNode(
                self._rng,
                now,
                verify,
                is_ipv6=is_ipv6,
                is_read_only=self.options.is_read_only,
                state=_decoded(kept.get(_FAMILIES[is_ipv6])),
            )
        if not self.nodes:
            return
        if len(self.nodes) == len(_FAMILIES):
            self.nodes[False].sibling = self.nodes[True]
            self.nodes[True].sibling = self.nodes[False]
        self._keep_at = now + KEEP_S
        self._udp.receivers[Kind.DHT] = self._on_datagram
        self._on_entry_points()

    async def _keep(self) -> None:
        """Write whom the nodes know, and by which ids they are known."""
        if self._state is None or not self.nodes:
            return
        states = {
            _FAMILIES[is_ipv6]: node.snapshot().encode() for is_ipv6, node in self.nodes.items()
        }
        try:
            await self._state.run(self._state.keep, states)
        except StorageError as error:
            log.error("%s", error)

    async def stop(self) -> None:
        await self._keep()
        self._udp.receivers.pop(Kind.DHT, None)
        self._alarm.set(math.inf)
        for ping in self._pings.values():
            ping.answer.cancel()
        self.nodes = {}
        self.joined.clear()
        self._has_tried.clear()
        self._searches.clear()
        self._pings.clear()
        self._met.clear()
        self._acquainted_at = math.inf

    # ── what is asked of it ─────────────────────────────────────────────────────────────────────

    def search(
        self,
        make: Callable[[], Purpose],
        on_end: Callable[[Search], None],
        on_peers: Callable[[tuple[Endpoint, ...]], None] | None = None,
    ) -> Search:
        """Begin to look for something; `make` says what, anew for each node. The callbacks come
        later, never from here."""
        search = Search(on_end, on_peers)
        now = self._loop.time()
        for is_ipv6, node in self.nodes.items():
            purpose = make()
            key = is_ipv6, node.start_lookup(purpose, now)
            search.parts[key] = purpose
            self._searches[key] = search
        if not search.parts:
            self._loop.call_soon(on_end, search)
        self._settle_soon()
        return search

    def cancel(self, search: Search) -> None:
        """Let go of a search: its callbacks are not called any more, and nothing is stored."""
        for is_ipv6, number in search.parts:
            if (node := self.nodes.get(is_ipv6)) is not None:
                node.cancel_lookup(number)
            self._searches.pop((is_ipv6, number), None)
        search.parts.clear()
        self._settle_soon()

    def met(self, node: Endpoint) -> None:
        """Make acquaintance with the node of a peer, by and by; a flood of such news is not
        followed."""
        if node.is_ipv6 not in self.nodes or len(self._met) >= _MAX_MET:
            return
        if not self._met:
            self._acquainted_at = self._loop.time() + _ACQUAINTED_EVERY_S
            self._settle_soon()
        self._met[node] = None

    def _get_acquainted(self, now: float) -> None:
        if now < self._acquainted_at:
            return
        for node in list(self._met)[:_ACQUAINTED_AT_ONCE]:
            del self._met[node]
            self.nodes[node.is_ipv6].ping(node, now)
        self._acquainted_at = now + _ACQUAINTED_EVERY_S if self._met else math.inf

    def add(self, node: Endpoint) -> None:
        """Make acquaintance with a node that the user names, and join by it if that is still to
        be done."""
        ours = self._node_for(node)
        if node.is_ipv6 in self.joined:
            ours.ping(node, self._loop.time())
        else:
            self._bootstrap.add(node)
            ours.bootstrap(self._bootstrap.endpoints, self._loop.time())
        self._settle_soon()

    async def ping(self, node: Endpoint) -> tuple[NodeId, float]:
        """Ask a node who it is: (its id, seconds that it took). Raises NoAnswer, InputError."""
        ours = self._node_for(node)
        ping = self._pings.get(node)
        if ping is None:
            if len(self._pings) >= _MAX_PINGS:
                raise NoAnswer("too many nodes are being asked already")
            ping = self._pings[node] = _Ping(self._loop.time(), self._loop.create_future())
            ours.ping(node, self._loop.time(), again=True)
            self._settle_soon()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await asyncio.shield(ping.answer)
        except TimeoutError:
            raise NoAnswer(f"{node} does not answer") from None
        finally:
            if self._pings.get(node) is ping:
                del self._pings[node]

    def _node_for(self, node: Endpoint) -> DhtNode:
        found = self.nodes.get(node.is_ipv6)
        if found is None:
            family = "IPv6" if node.is_ipv6 else "IPv4"
            raise InputError(f"{node}: the DHT is off for {family}")
        return found

    # ── what happens ────────────────────────────────────────────────────────────────────────────

    def _on_datagram(self, datagram: memoryview, source: Endpoint) -> None:
        node = self.nodes.get(source.is_ipv6)
        if node is not None and not self.is_shut_to(source.host):
            node.received(bytes(datagram), source, self._loop.time())
            self._settle_soon()

    def _settle_soon(self) -> None:
        if not self._is_settling:
            self._is_settling = True
            self._loop.call_soon(self._settle)

    def _settle(self) -> None:
        """Do what the nodes want done by now, and be there when they want more."""
        self._is_settling = False
        now = self._loop.time()
        self._get_acquainted(now)
        for is_ipv6, node in list(self.nodes.items()):
            for event in node.events():
                self._on_event(is_ipv6, event, now)
            if not len(node.table):
                self._has_tried.discard(is_ipv6)
            elif is_ipv6 not in self.joined | self._has_tried:
                # Somebody showed up by himself: by him we can join.
                self._has_tried.add(is_ipv6)
                node.bootstrap(self._bootstrap.endpoints, now)
        for node in self.nodes.values():
            for to, datagram in node.datagrams_to_send():
                if not self.is_shut_to(to.host):
                    self._udp.send(datagram, to)
        if now >= self._keep_at:
            self._keep_at = now + KEEP_S
            self._spawn(self._keep())
        self._set_alarm()

    def _set_alarm(self) -> None:
        at = min((node.next_timer() for node in self.nodes.values()), default=math.inf)
        at = min(at, self._keep_at, self._acquainted_at) if self.nodes else at
        # One that comes too early does no harm, and is cheaper than to set it anew each time.
        if at < self._alarm.at:
            self._alarm.set(max(at, self._loop.time() + _LEAST_WAIT_S))

    def _on_alarm(self, now: float) -> None:
        for node in self.nodes.values():
            if node.next_timer() <= now:
                node.on_timer(now)
        self._settle()

    def _on_event(self, is_ipv6: bool, event: Event, now: float) -> None:
        match event:
            case PeersFound(number, _, peers):
                if (search := self._searches.get((is_ipv6, number))) is not None:
                    search.on_peers(peers)
            case LookupFinished(number):
                if (search := self._searches.pop((is_ipv6, number), None)) is not None:
                    search.on_finished((is_ipv6, number), event)
            case Answered(node, node_id):
                ping = self._pings.pop(node, None)
                if ping is not None and not ping.answer.done():
                    ping.answer.set_result((node_id, now - ping.sent_at))
            case Joined(count):
                log.info("joined the DHT by %s: %d nodes", _family(is_ipv6), count)
                self.joined.add(is_ipv6)
                self._bootstrap.joined()
                self._keep_at = min(self._keep_at, now + KEEP_SOON_S)
                self.on_joined()
            case ContactsNeeded():
                self.joined.discard(is_ipv6)
                self._bootstrap.need()
            case AddressLearned(host):
                log.info("other nodes of the DHT see us at %s", host)
                self.on_address(host)
            case NodeIdChanged():
                self._keep_at = now

    def _on_entry_points(self) -> None:
        """Names were looked up: join by them where that is still to be done."""
        entry_points = self._bootstrap.endpoints
        for is_ipv6, node in self.nodes.items():
            if is_ipv6 not in self.joined and entry_points:
                node.bootstrap(entry_points, self._loop.time())
        self._settle_soon()


def _family(is_ipv6: bool) -> str:
    return "IPv6" if is_ipv6 else "IPv4"


def _decoded(state: bytes | None) -> NodeState | None:
    if state is None:
        return None
    try:
        return NodeState.decode(state)
    except InputError as error:
        log.warning("%s; beginning anew", error)
        return None
