"""Hole punching, the decisions: whom to introduce, whom to ask, whose word to follow (BEP 55).

Two that no packet reaches unless they have sent first are told of each other by a relay, and both
dial at once. Invariants: as a relay we name only who is connected to us, at the address that we
see, and answer a message by two at most. Who names addresses to us has us send three small packets
for each at most, to few of them: a relay to one in UNINVITED_EVERY_S, all of a torrent together to
one in UNINVITED_OF_ALL_EVERY_S, and to a host outside of our network once in SAME_HOST_S.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from engine.core.compact import Endpoint
from engine.core.scope import is_local, is_unicast
from engine.swarm.pex_exchange import may_know

MAX_INTRODUCED = 500
"""Addresses that one peer is remembered to know; the oldest is forgotten."""
MAX_ASKED = 16
"""Introductions that are awaited of one peer."""
ASKED_FOR_S = 15.0
"""An answer that comes later counts as one that nobody asked for."""
ASK_AT_ONCE, ASK_EVERY_S = 8, 6.0
"""What we ask of one relay; less than what we would grant."""
GRANT_AT_ONCE, GRANT_EVERY_S = 10, 5.0
"""What one peer is introduced, and what one peer is told of others."""
UNINVITED_AT_ONCE, UNINVITED_EVERY_S = 4, 15.0
UNINVITED_OF_ALL_AT_ONCE, UNINVITED_OF_ALL_EVERY_S = 10, 5.0
SAME_HOST_S = 60.0
_MAX_HOSTS = 256


class Allowance:
    """So many at once, and one more each `every_s`."""

    __slots__ = ("_at", "_every_s", "_left", "_most")

    def __init__(self, at_once: int, every_s: float, now: float) -> None:
        self._most = self._left = float(at_once)
        self._every_s = every_s
        self._at = now

    def has(self, now: float) -> bool:
        """Say whether there is one left."""
        if now > self._at:
            self._left = min(self._most, self._left + (now - self._at) / self._every_s)
            self._at = now
        return self._left >= 1.0

    def take(self, now: float) -> bool:
        """Use one up; False if none is left."""
        if not self.has(now):
            return False
        self._left -= 1.0
        return True


class Acquaintance:
    """What passes between us and one connected peer that speaks the extension."""

    __slots__ = ("_asked", "_asking", "_introduces", "_uninvited", "granted", "named")

    def __init__(self, now: float) -> None:
        self.granted = Allowance(GRANT_AT_ONCE, GRANT_EVERY_S, now)
        """Introductions that they may ask of us."""
        self.named = Allowance(GRANT_AT_ONCE, GRANT_EVERY_S, now)
        """Others that we may name to them because those asked."""
        self._uninvited = Allowance(UNINVITED_AT_ONCE, UNINVITED_EVERY_S, now)
        self._asking = Allowance(ASK_AT_ONCE, ASK_EVERY_S, now)
        self._asked: dict[Endpoint, float] = {}
        """Awaited introductions, and until when."""
        self._introduces: dict[Endpoint, None] = {}

    def told(self, added: Iterable[Endpoint], dropped: Iterable[Endpoint]) -> None:
        """Remember whom they are connected to that speaks the extension, and whom no more."""
        for address in dropped:
            self._introduces.pop(address, None)
        for address in added:
            self._introduces[address] = None
            if len(self._introduces) > MAX_INTRODUCED:
                del self._introduces[next(iter(self._introduces))]

    def ask(self, address: Endpoint, now: float) -> bool:
        """Say whether to ask them for an introduction now; it then counts as asked."""
        for other in [each for each, until in self._asked.items() if until < now]:
            del self._asked[other]
        is_known = address in self._introduces and address not in self._asked
        if not is_known or len(self._asked) >= MAX_ASKED or not self._asking.take(now):
            return False
        self._asked[address] = now + ASKED_FOR_S
        return True

    def refused(self, address: Endpoint) -> bool:
        """They cannot introduce us; True if we had asked, so that another may be asked."""
        if self._asked.pop(address, None) is None:
            return False
        self._introduces.pop(address, None)
        return True

    def is_awaited(self, address: Endpoint, now: float) -> bool:
        """Say whether an introduction to `address` answers what we asked, and count it as answered.

        The port may be another one: a relay sees from where a router lets a peer's packets leave.
        """
        for asked, until in self._asked.items():
            if asked.host == address.host and until >= now:
                del self._asked[asked]
                return True
        return False

    def may_send_us(self, now: float) -> bool:
        """Count an introduction that we did not ask for; False: it is one too many."""
        return self._uninvited.take(now)


class Introductions:
    """Which addresses of those that peers of one torrent name to us are dialled."""

    __slots__ = ("_hosts", "_of_all")

    def __init__(self, now: float) -> None:
        self._of_all = Allowance(UNINVITED_OF_ALL_AT_ONCE, UNINVITED_OF_ALL_EVERY_S, now)
        self._hosts: dict[str, float] = {}
        """Hosts that we were sent to uninvited, and until when they are left alone."""

    def heeds(self, relay: Acquaintance, relay_host: str, address: Endpoint, now: float) -> bool:
        """Say whether to dial `address` because `relay` named it. What is heeded is counted."""
        host = address.host
        if not is_dialable(address) or not may_know(relay_host, host):
            return False
        if relay.is_awaited(address, now):
            return True
        if not is_local(host) and self._hosts.get(host, now) > now:
            return False
        if not (self._of_all.has(now) and relay.may_send_us(now)):
            return False
        self._of_all.take(now)
        self._hosts.pop(host, None)
        self._hosts[host] = now + SAME_HOST_S
        if len(self._hosts) > _MAX_HOSTS:
            del self._hosts[next(iter(self._hosts))]
        return True


class Party(NamedTuple):
    """A connected peer, as a relay looks at it."""

    host: str
    address: Endpoint | None
    """Where a packet of uTP reaches it, as far as we see."""
    acquaintance: Acquaintance | None
    """None: it does not speak the extension."""


class Introduction(NamedTuple):
    """Whom to name to whom."""

    to_asker: Endpoint
    to_target: Endpoint


class Refusal(Enum):
    """Why two are not introduced; the names are those of BEP 55."""

    NO_SUCH_PEER = 1
    NOT_CONNECTED = 2
    NO_SUPPORT = 3
    NO_SELF = 4


def introduce(
    asker: Party, target: Party | None, wanted: Endpoint, now: float, *, is_ours: bool
) -> Introduction | Refusal:
    """Decide on an asker's wish to meet who is at `wanted`. An introduction counts as made.

    `target` is the connected peer there; `is_ours`: the address is our own. Who is asked for too
    often is not there any more, and strangers do not hear of what is in a local network.
    """
    if is_ours or target == asker:
        return Refusal.NO_SELF
    if not is_dialable(wanted):
        return Refusal.NO_SUCH_PEER
    if target is None:
        return Refusal.NOT_CONNECTED
    if target.acquaintance is None:
        return Refusal.NO_SUPPORT
    if (
        asker.address is None
        or target.address is None
        or not may_know(asker.host, target.address.host)
        or not may_know(target.host, asker.address.host)
        or not target.acquaintance.named.take(now)
    ):
        return Refusal.NOT_CONNECTED
    return Introduction(to_asker=target.address, to_target=asker.address)


def is_dialable(address: Endpoint) -> bool:
    """Say whether there can be a peer. IPv4 written as IPv6 would pass for what it is not."""
    host = address.host
    return bool(address.port) and is_unicast(host) and not (":" in host and "." in host)
