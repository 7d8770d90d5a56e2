"""Peer exchange of one torrent: whom to tell of whom and when, and what to believe (BEP 11, 40).

What a peer was told is kept for each, so that it hears of differences only; nothing of what it
tells is known to be true. Invariants: at most one message a minute to each peer, and from each
peer at most MAX_UNTRIED addresses that were not tried yet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple, Protocol

from engine.core.compact import Endpoint
from engine.core.scope import is_local, is_unicast, scope_of
from engine.errors import ProtocolError

INTERVAL_S = 60.0
FIRST_AFTER_S = 2.0
"""After we know that a peer takes messages: by then it is not the only one that we met."""
MAX_AT_ONCE = 50
"""Addresses added, and addresses dropped, in one message."""
MAX_FIRST = 100
"""Addresses believed of a peer's first message, which may tell of a whole swarm."""
MAX_UNTRIED = 200
"""Addresses from one peer, at one time, that nobody has tried."""

_PATIENCE = 3.0
"""Messages in a row that are looked at; what comes sooner than it may is ignored."""
_SOONEST_S = 45.0
"""Clocks differ, and what was held up comes in a bunch."""
_FLOOD = -20.0


class Change(NamedTuple):
    """What a peer is to be told."""

    added: list[Endpoint]
    dropped: list[Endpoint]


def may_know(other: str, address: str) -> bool:
    """Say whether a peer at the address `other` can know `address`, and may be told of it.

    What is in a local network, or on a machine, is for those who are there: strangers do not hear
    of it, and cannot send us there.
    """
    return scope_of(address) >= scope_of(other)


class Telling:
    """What one peer was told, and when it may be told more."""

    __slots__ = ("_next_at", "_seen", "told")

    def __init__(self, now: float) -> None:
        self._next_at = now + FIRST_AFTER_S
        self._seen = -1
        """The revision of the connected peers that it was told of completely."""
        self.told: dict[Endpoint, None] = {}
        """Those that it believes us to be connected to."""

    def is_due(self, now: float, revision: int) -> bool:
        """Say whether there may be something to tell. `revision` counts the changes of whom we are
        connected to."""
        return now >= self._next_at and revision != self._seen

    def change(self, connected: Collection[Endpoint], now: float, revision: int) -> Change | None:
        """Return what to tell now, which counts as told; None if it knows all.

        `connected` are those that this peer may know of, without itself.
        """
        missing = [address for address in connected if address not in self.told]
        gone = [address for address in self.told if address not in connected]
        change = Change(missing[:MAX_AT_ONCE], gone[:MAX_AT_ONCE])
        if len(missing) <= MAX_AT_ONCE and len(gone) <= MAX_AT_ONCE:
            self._seen = revision
        if not missing and not gone:
            return None
        for address in change.dropped:
            del self.told[address]
        self.told.update(dict.fromkeys(change.added))
        self._next_at = now + INTERVAL_S
        return change


class Addresses(Protocol):
    """The questions to the list of known addresses."""

    def __contains__(self, endpoint: Endpoint) -> bool: ...

    def is_untried(self, endpoint: Endpoint) -> bool:
        """True if the address is known, and was never dialled."""


class Hearing:
    """What one peer tells, and how much of it is believed."""

    __slots__ = ("_credit", "_heard_at", "_is_first", "_untried", "ignored")

    def __init__(self, now: float) -> None:
        self._credit = _PATIENCE
        self._heard_at = now
        self._is_first = True
        self._untried: dict[Endpoint, None] = {}
        self.ignored = 0
        """Messages that came sooner than they may."""

    def is_welcome(self, now: float) -> bool:
        """Count a message; False: ignore it. Raises ProtocolError for what became a flood."""
        earned = (now - self._heard_at) / _SOONEST_S
        self._credit = min(_PATIENCE, self._credit + earned)
        self._heard_at = now
        if self._credit >= 1.0:
            self._credit -= 1.0
            return True
        self._credit -= 0.5
        self.ignored += 1
        if self._credit < _FLOOD:
            raise ProtocolError("flood of peer exchange messages")
        return False

    def believe(self, told: Iterable[Endpoint], teller: str, known: Addresses) -> list[Endpoint]:
        """Return what is worth knowing of the addresses in a welcome message of the host `teller`.

        Of a host outside of our network one port counts: many would make us a weapon against it.
        """
        places = MAX_FIRST if self._is_first else MAX_AT_ONCE
        self._is_first = False
        for address in [each for each in self._untried if not known.is_untried(each)]:
            del self._untried[address]
        places = min(places, MAX_UNTRIED - len(self._untried))
        hosts = {address.host for address in self._untried}
        taken: list[Endpoint] = []
        for address in told:
            if len(taken) >= places:
                break
            host = address.host
            is_believable = is_unicast(host) and may_know(teller, host) and address not in known
            if not is_believable or (host in hosts and not is_local(host)):
                continue
            hosts.add(host)
            taken.append(address)
        self._untried.update(dict.fromkeys(taken))
        return taken
