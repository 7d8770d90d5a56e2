"""Where others see us, and whether they can reach us there (BEP 10, 24, 42).

Nobody is believed alone, but for our own router and the DHT, which has asked around itself. Who was
reached is known from strangers that came; that nobody comes means something only after we have
been among many of them for a while.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

from engine.core.address_votes import AddressVotes
from engine.core.scope import is_local, is_unicast, network_of

_MIN_AGREEING = 3
_MANY = 20
"""Networks whose peers we have dialled: as many know of us."""
_WHILE_S = 300.0


class Verdict(enum.StrEnum):
    UNKNOWN = "unknown"
    REACHABLE = "reachable"
    FIREWALLED = "firewalled"


class Reachability:
    """What one engine knows of its place in the world."""

    def __init__(self) -> None:
        self.on_change: Callable[[], None] = lambda: None
        """Called when `hosts` are others than before."""
        self._votes = {
            is_ipv6: AddressVotes(min_agreeing=_MIN_AGREEING) for is_ipv6 in (False, True)
        }
        self._hosts: dict[bool, str] = {}
        self._has_come = False
        self._dialled: set[bytes] = set()
        self._dialled_since = 0.0

    @property
    def hosts(self) -> list[str]:
        """Our addresses as others see them, at most one of each family."""
        return [self._hosts[is_ipv6] for is_ipv6 in sorted(self._hosts)]

    def verdict(self, now: float) -> Verdict:
        if self._has_come:
            return Verdict.REACHABLE
        has_waited = len(self._dialled) >= _MANY and now - self._dialled_since >= _WHILE_S
        return Verdict.FIREWALLED if has_waited else Verdict.UNKNOWN

    # ── what is learned ─────────────────────────────────────────────────────────────────────────

    def seen_at(self, voter: str, host: str) -> None:
        """A peer or a tracker says at which address it sees us; `voter` is its own address, or the
        name that it is asked by."""
        votes = self._votes[":" in host]
        if is_unicast(host) and votes.vote(voter, host):
            self.learned(host)

    def learned(self, host: str) -> None:
        """Somebody who is believed at once says where we are."""
        is_ipv6 = ":" in host
        if not is_local(host) and is_unicast(host) and self._hosts.get(is_ipv6) != host:
            if is_ipv6 in self._hosts:
                # What was known of being reached was known of another place.
                self._has_come = False
                self._dialled.clear()
            self._hosts[is_ipv6] = host
            self.on_change()

    def came(self, host: str) -> None:
        """A peer has connected to us."""
        if not is_local(host):
            self._has_come = True

    def dialled(self, host: str, now: float) -> None:
        """We have connected to a peer."""
        if is_local(host) or len(self._dialled) >= _MANY:
            return
        if not self._dialled:
            self._dialled_since = now
        self._dialled.add(network_of(host))
