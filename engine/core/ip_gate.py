"""Which hosts the engine speaks with: the IP filter, what is always allowed, and what was refused.

Fails closed: a gate that waits for its filter lets nobody through.
"""

from __future__ import annotations

from engine.core.ip_filter import IpFilter


class IpGate:
    """Asked before an address is learned, dialled or accepted."""

    __slots__ = ("_allowed", "_blocked", "closed", "is_open", "refused", "unlearned")

    def __init__(self, allowed: IpFilter | None = None, *, is_open: bool = True) -> None:
        self._allowed = allowed or IpFilter()
        self._blocked = IpFilter()
        self.is_open = is_open
        """False while the filter is not there yet: nobody is dialled, nobody let in."""
        self.unlearned = 0
        """Addresses that were told to us and not taken."""
        self.refused = 0
        """Hosts that came, and were hung up on before a byte was read."""
        self.closed = 0
        """Connections that a new filter ended."""

    @property
    def blocked(self) -> IpFilter:
        return self._blocked

    def take(self, blocked: IpFilter) -> None:
        """Filter by these ranges from now on."""
        self._blocked = blocked
        self.is_open = True

    def forbids(self, host: str) -> bool:
        """Say whether a numeric address is filtered; what is allowed never is."""
        return host in self._blocked and host not in self._allowed

    def forbids_learning(self, host: str) -> bool:
        """As `forbids`, and counts it."""
        is_forbidden = self.forbids(host)
        self.unlearned += is_forbidden
        return is_forbidden

    def is_shut_to(self, host: str) -> bool:
        """Say whether nothing may be said to a host, or heard from it, now."""
        return not self.is_open or self.forbids(host)

    def admits(self, host: str) -> bool:
        """Say whether a host that came may stay; counts those that may not."""
        is_admitted = not self.is_shut_to(host)
        self.refused += not is_admitted
        return is_admitted
