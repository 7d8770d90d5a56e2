"""How large the packets of a uTP connection may be: small ones, and one large to try (BEP 29).

A probe leaves alone and with fragmenting forbidden, between others that certainly pass. A packet
cannot be cut anew once it has a number, so a lost probe is sent again with fragmenting allowed.
When nothing passes any more the path may have changed: new packets are the smallest there are.
"""

from __future__ import annotations

_IPV4_BYTES = (548, 1252, 1392, 1472)
"""Datagrams that fit an MTU of 576, 1280, that of a tunnel as WireGuard's, and Ethernet's."""
_IPV6_BYTES = (1232, 1372, 1452)
_TRIES = 2
_AGAIN_S = 60.0


class PathMtu:
    """Bytes of a datagram that are known to pass, and the next larger size to try."""

    __slots__ = ("_known", "_next", "_sizes", "_tries", "_wait_until", "is_probing")

    def __init__(self, *, is_ipv6: bool) -> None:
        self._sizes = _IPV6_BYTES if is_ipv6 else _IPV4_BYTES
        self._known = 0 if is_ipv6 else 1
        self._next = len(self._sizes) - 1
        self._tries = 0
        self._wait_until = 0.0
        self.is_probing = False
        """A probe is under way."""

    @property
    def packet_bytes(self) -> int:
        return self._sizes[self._known]

    def probe_bytes(self, now: float) -> int:
        """Size to try now, or 0. Whoever sends such a packet must call `probe_sent`."""
        if self.is_probing or self._next <= self._known or now < self._wait_until:
            return 0
        return self._sizes[self._next]

    def probe_sent(self) -> None:
        self.is_probing = True

    def probe_arrived(self, datagram_bytes: int, now: float) -> None:
        self.is_probing = False
        self._tries = 0
        if datagram_bytes in self._sizes:
            self._known = max(self._known, self._sizes.index(datagram_bytes))
            self._next = min(self._known + 1, len(self._sizes) - 1)
            self._wait_until = now + _AGAIN_S

    def probe_lost(self) -> None:
        self.is_probing = False
        self._tries += 1
        if self._tries >= _TRIES:
            self._tries = 0
            self._next -= 1

    def nothing_passes(self, now: float) -> None:
        """Fall back to the smallest; climb again, size by size, once a minute."""
        if self._known:
            self._next = 1
            self._known = 0
            self._wait_until = now + _AGAIN_S
        self._tries = 0
        self.is_probing = False
