"""Known addresses of one swarm: where they come from, when to try them, whom never (BEP 3, 40).

Not the connected peers: an entry is an address, which may be dialled, connected or neither. At most
`max_known` are kept, and what somebody named by hand is never forgotten.
"""

from __future__ import annotations

import enum
import heapq
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, TypeVar

from engine.core.compact import Endpoint
from engine.swarm.canonical_priority import canonical_priority

if TYPE_CHECKING:
    from random import Random

_T = TypeVar("_T")

FIRST_RETRY_S = 10.0
LAST_RETRY_S = 1800.0
RECONNECT_S = 1.0
"""After a connection that had lasted: a lost seed is worth nothing while we wait."""
LASTING_S = 10.0
MAX_FAILURES = 12
MAX_BANS = 4096


class PeerSource(enum.StrEnum):
    """Who told us of an address."""

    MANUAL = "manual"
    TRACKER = "tracker"
    INCOMING = "incoming"
    DHT = "dht"
    PEX = "pex"
    LSD = "lsd"


UNFIT_FOR_PRIVATE = frozenset({PeerSource.DHT, PeerSource.PEX, PeerSource.LSD})
"""A private torrent's peers come from its trackers only, and by hand (BEP 27)."""


class _Known:
    __slots__ = (
        "connected_at",
        "encrypts",
        "endpoint",
        "failures",
        "is_busy",
        "is_seed",
        "is_tried",
        "next_try_at",
        "priority",
        "source",
    )

    def __init__(self, endpoint: Endpoint, source: PeerSource, priority: float) -> None:
        self.endpoint = endpoint
        self.source = source
        self.priority = priority
        self.failures = 0
        self.next_try_at = -math.inf
        self.connected_at: float | None = None
        self.is_busy = False
        """Being dialled, or connected."""
        self.is_seed = False
        self.is_tried = False
        """It was dialled, or connected."""
        self.encrypts: bool | None = None
        """How it was spoken with last; None = it never was."""

    def rank(self) -> tuple[bool, int, float]:
        """Smaller is better."""
        return self.source is not PeerSource.MANUAL, self.failures, -self.priority


class PeerList:
    """The addresses of one swarm. `ours` are our own, as others see them: they are never dialled,
    and BEP 40's priorities are reckoned from them (without one, the order is random)."""

    __slots__ = (
        "_banned",
        "_banned_hosts",
        "_forbids",
        "_is_crowded",
        "_known",
        "_max_known",
        "_most_hearsay",
        "_ours",
        "_quiet_until",
        "_rng",
        "learned",
    )

    def __init__(
        self,
        rng: Random,
        *,
        ours: Iterable[Endpoint] = (),
        max_known: int = 1000,
        forbids: Callable[[str], bool] = lambda host: False,
    ) -> None:
        """Hosts that are forbidden when they are told to us are not learned, those that are
        when they would be offered are forgotten."""
        self._rng = rng
        self._forbids = forbids
        self._ours = list(ours)
        self._max_known = max_known
        self._most_hearsay = max_known * 3 // 4
        self.learned: Counter[PeerSource] = Counter()
        """Addresses that each source was the first to tell."""
        self._known: dict[Endpoint, _Known] = {}
        self._banned: dict[Endpoint, None] = {}
        self._banned_hosts: dict[str, None] = {}
        self._is_crowded = False
        """The list is full, and nothing in it has failed so that it could be forgotten."""
        self._quiet_until = -math.inf
        """No address becomes due before this time, unless something is reported."""

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, endpoint: Endpoint) -> bool:
        return endpoint in self._known

    def endpoints(self) -> list[Endpoint]:
        """The addresses, the best first; those worth remembering over a restart have not failed."""
        known = sorted(self._known.values(), key=_Known.rank)
        return [peer.endpoint for peer in known if not peer.failures]

    def set_ours(self, ours: Iterable[Endpoint]) -> None:
        """Take over our own addresses, as a peer or a tracker sees them."""
        self._ours = list(ours)
        for endpoint in self._ours:
            self._known.pop(endpoint, None)
        for peer in self._known.values():
            peer.priority = self._priority(peer.endpoint)

    # ── learning ────────────────────────────────────────────────────────────────────────────────

    def add(self, endpoint: Endpoint, source: PeerSource, now: float) -> bool:
        """Learn an address; True if it is new and was taken."""
        if not 0 < endpoint.port < 65536 or endpoint in self._ours or self.is_banned(endpoint):
            return False
        known = self._known.get(endpoint)
        if known is not None:
            if source is PeerSource.MANUAL:
                # Somebody who names an address wants it tried now, whatever happened before.
                known.source, known.failures, known.next_try_at = source, 0, now
                self._quiet_until = -math.inf
            return False
        if self._forbids(endpoint.host):
            return False
        # What peers tell of each other leaves places for what is known from elsewhere.
        places = self._most_hearsay if source is PeerSource.PEX else self._max_known
        if len(self._known) >= places and not self._make_place(source):
            return False
        self._known[endpoint] = _Known(endpoint, source, self._priority(endpoint))
        self.learned[source] += 1
        self._quiet_until = -math.inf
        return True

    def _make_place(self, source: PeerSource) -> bool:
        """Forget what failed, a part of the list at a time, so that a flood stays cheap."""
        if self._is_crowded:
            return source is PeerSource.MANUAL
        idle = [
            peer
            for peer in self._known.values()
            if peer.failures and not peer.is_busy and peer.source is not PeerSource.MANUAL
        ]
        self._is_crowded = not idle
        for peer in heapq.nlargest(max(1, self._max_known // 16), idle, key=_Known.rank):
            del self._known[peer.endpoint]
        return bool(idle) or source is PeerSource.MANUAL

    def _priority(self, endpoint: Endpoint) -> float:
        for our in self._ours:
            if our.is_ipv6 == endpoint.is_ipv6:
                return canonical_priority(our, endpoint)
        return self._rng.random()

    def source_of(self, endpoint: Endpoint) -> PeerSource:
        known = self._known.get(endpoint)
        return PeerSource.INCOMING if known is None else known.source

    def is_untried(self, endpoint: Endpoint) -> bool:
        """Say whether an address is known and was never dialled or connected."""
        known = self._known.get(endpoint)
        return known is not None and not known.is_tried

    def forget_sources(self, sources: Collection[PeerSource]) -> None:
        """Forget the addresses that are known from one of these only, as in a private torrent
        (BEP 27)."""
        for peer in [each for each in self._known.values() if each.source in sources]:
            del self._known[peer.endpoint]
        for source in sources:
            self.learned.pop(source, None)

    def seen_as_seed(self, endpoint: Endpoint) -> None:
        """Remember that this peer has everything: of no use while we seed."""
        known = self._known.get(endpoint)
        if known is not None:
            known.is_seed = True

    def speaks(self, endpoint: Endpoint, *, encrypted: bool) -> None:
        """Remember how this peer can be spoken with."""
        known = self._known.get(endpoint)
        if known is not None:
            known.encrypts = encrypted

    def encrypts(self, endpoint: Endpoint) -> bool | None:
        """How this peer was spoken with last, None if it never was."""
        known = self._known.get(endpoint)
        return None if known is None else known.encrypts

    # ── connecting ──────────────────────────────────────────────────────────────────────────────

    def candidates(self, now: float, limit: int, *, seeding: bool = False) -> list[Endpoint]:
        """Return up to `limit` addresses to dial now, the best first.

        Each must be reported by `dialling`, or by `disconnected` if it is not dialled after all.
        """
        if limit <= 0 or now < self._quiet_until:
            return []
        due: list[_Known] = []
        next_try_at = math.inf
        for peer in self._known.values():
            if peer.is_busy or (seeding and peer.is_seed):
                continue
            if peer.next_try_at <= now:
                due.append(peer)
            elif peer.next_try_at < next_try_at:
                next_try_at = peer.next_try_at
        if not due and not seeding:
            self._quiet_until = next_try_at
        best = [peer.endpoint for peer in heapq.nsmallest(limit, due, key=_Known.rank)]
        forbidden = {endpoint for endpoint in best if self._forbids(endpoint.host)}
        for endpoint in forbidden:
            del self._known[endpoint]
        return [endpoint for endpoint in best if endpoint not in forbidden]

    def next_try_at(self, *, seeding: bool = False) -> float:
        """When the next address is due; may lie in the past; infinite if none is."""
        return min(
            (
                peer.next_try_at
                for peer in self._known.values()
                if not peer.is_busy and not (seeding and peer.is_seed)
            ),
            default=math.inf,
        )

    def dialling(self, endpoint: Endpoint, now: float) -> None:
        """Count an address as being dialled since `now`."""
        self._busy(endpoint, None)

    def connected(self, endpoint: Endpoint, now: float) -> None:
        """Count an address as connected since `now`: the handshakes are done."""
        self._busy(endpoint, now)

    def _busy(self, endpoint: Endpoint, connected_at: float | None) -> None:
        known = self._known.get(endpoint)
        if known is not None:
            known.is_busy = known.is_tried = True
            known.connected_at = connected_at

    def disconnected(self, endpoint: Endpoint, now: float, *, failed: bool) -> None:
        """Count a connection, or the try to make one, as over.

        A peer that failed, or was lost at once, is tried again after a time that doubles.
        """
        known = self._known.get(endpoint)
        if known is None:
            return
        lasted_s = 0.0 if known.connected_at is None else now - known.connected_at
        known.is_busy = False
        known.connected_at = None
        self._is_crowded = False
        self._quiet_until = -math.inf
        if not failed and lasted_s >= LASTING_S:
            known.failures = 0
            known.next_try_at = now + RECONNECT_S
            return
        known.failures += 1
        if known.failures >= MAX_FAILURES and known.source is not PeerSource.MANUAL:
            del self._known[endpoint]
            return
        first_s = FIRST_RETRY_S
        if known.source is PeerSource.MANUAL:
            first_s = RECONNECT_S  # whom the user named is there, or about to start
        wait_s = min(LAST_RETRY_S, first_s * 2.0 ** (min(known.failures, 16) - 1))
        known.next_try_at = now + wait_s * self._rng.uniform(0.8, 1.2)

    def set_aside(self, endpoint: Endpoint, until: float) -> None:
        """Count a connection, or the try to make one, as over through no fault of the peer.

        It is not offered before `until`; nothing is held against it.
        """
        known = self._known.get(endpoint)
        if known is not None:
            known.is_busy = False
            known.connected_at = None
            known.next_try_at = until
            self._quiet_until = -math.inf

    def recall(self, *, even_failed: bool = False) -> None:
        """Offer all again that have not failed, as when we want something else of them; or those as
        well, as when the way to them is another."""
        for peer in self._known.values():
            if even_failed or not peer.failures:
                peer.next_try_at = -math.inf
        self._quiet_until = -math.inf

    # ── banning ─────────────────────────────────────────────────────────────────────────────────

    def ban(self, endpoint: Endpoint) -> None:
        """Never offer this address again, and refuse to learn it."""
        self._known.pop(endpoint, None)
        _remember(self._banned, endpoint)

    def ban_host(self, host: str) -> None:
        """Ban all ports of a host; mind that many peers may share one address."""
        for endpoint in [known for known in self._known if known.host == host]:
            del self._known[endpoint]
        _remember(self._banned_hosts, host)

    def is_banned(self, endpoint: Endpoint) -> bool:
        return endpoint in self._banned or endpoint.host in self._banned_hosts


def _remember(bans: dict[_T, None], what: _T) -> None:
    bans[what] = None
    if len(bans) > MAX_BANS:
        del bans[next(iter(bans))]
