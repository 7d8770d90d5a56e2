"""A router between an engine and the others: lets a packet in only from where one was sent lately.

It sits where the engine's UDP port meets the network, so that the packets, the ports and both
engines are real. TCP is another matter: close the listener.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from engine.core.compact import Endpoint
from engine.net.udp_endpoint import UdpEndpoint

_HOLE_S = 20.0


class Firewall:
    """Stands before `udp`; the routers before the endpoints `beyond`, in whose programs we cannot
    be, are played by it as well: it sees what they send."""

    def __init__(self, udp: UdpEndpoint, beyond: Iterable[Endpoint] = ()) -> None:
        self.dropped: list[Endpoint] = []
        """Who was kept out, and the `beyond` whose routers kept us out."""
        self._beyond = frozenset(beyond)
        self._sent: dict[Endpoint, float] = {}
        self._came: dict[Endpoint, float] = {}
        send, send_run, hand_over = udp.send, udp.send_run, udp._hand_over

        def guarded_send(datagram: Any, to: Endpoint) -> bool:
            return not self._passes_out(to) or send(datagram, to)

        def guarded_run(run: bytes, size: int, to: Endpoint, *, whole: bool = False) -> None:
            if self._passes_out(to):
                send_run(run, size, to, whole=whole)

        def guarded_hand_over(run: memoryview, size: int, source: Endpoint, touched: Any) -> None:
            self._came[source] = time.monotonic()
            if self._is_open(self._sent, source):
                hand_over(run, size, source, touched)
            else:
                self.dropped.append(source)

        udp.send = guarded_send  # type: ignore[method-assign]
        udp.send_run = guarded_run  # type: ignore[method-assign]
        udp._hand_over = guarded_hand_over  # type: ignore[method-assign]

    def _is_open(self, holes: dict[Endpoint, float], to: Endpoint) -> bool:
        return time.monotonic() - holes.get(to, float("-inf")) < _HOLE_S

    def _passes_out(self, to: Endpoint) -> bool:
        self._sent[to] = time.monotonic()
        if to not in self._beyond or self._is_open(self._came, to):
            return True
        self.dropped.append(to)
        return False
