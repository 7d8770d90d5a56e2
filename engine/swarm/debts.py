"""Who takes and never gives while we download: tit for tat beyond the moment (BEP 3).

A stranger is unchoked on trust. One that took its share, has what we want and lets us wait is in
debt, and that remains so from whatever port it comes; any block that it sends ends it. Giving
little is no debt: it may have no more.
"""

from __future__ import annotations

from collections.abc import Hashable

TRUST_BYTES = 64 * 1024
"""What anybody may take before it gives."""
PATIENCE_S = 10.0
"""How long it may let us wait: a round of its choker, in which it sees what we give."""
TOKEN = 256
"""Who gives a byte for so many has paid."""
_MAX_HOSTS = 2000


class Debt:
    """What one host took, gave and let us wait for."""

    __slots__ = ("_given", "_received", "_waited_s")

    def __init__(self) -> None:
        self._given = self._received = 0
        self._waited_s = 0.0

    def add(self, *, given: int, received: int, waited_s: float) -> None:
        """Count bytes from us and to us, and seconds in which we wanted something that it has, and
        it choked us."""
        self._given += given
        self._received += received
        self._waited_s += waited_s

    @property
    def is_open(self) -> bool:
        return (
            self._given >= TRUST_BYTES
            and self._waited_s >= PATIENCE_S
            and self._received * TOKEN < self._given
        )


class Debts:
    """The debts of one torrent, by host."""

    __slots__ = ("_hosts",)

    def __init__(self) -> None:
        self._hosts: dict[Hashable, Debt] = {}
        """Who connected last is the last."""

    def __len__(self) -> int:
        return len(self._hosts)

    def of(self, host: Hashable) -> Debt:
        """The debt of a host that connects."""
        debt = self._hosts.pop(host, None) or Debt()
        self._hosts[host] = debt
        if len(self._hosts) > _MAX_HOSTS:
            del self._hosts[next(iter(self._hosts))]
        return debt
