"""A UDP socket whose datagrams all go to a relay, each behind a head that says for whom it is, and
come from there in the same way (RFC 1928, section 7).

Sends and receives by the run as DatagramSocket does, so that uTP need not know; what comes from
anybody but the relay is dropped.
"""

from __future__ import annotations

import socket
from functools import lru_cache
from typing import Any

from engine.core.compact import Endpoint
from engine.net import socks5
from engine.net.datagram_socket import DatagramSocket

_DATAGRAM_BYTES = 64 * 1024
_RUN_BYTES = 60_000
"""Heads included: what the kernel takes at once."""
_NOTHING = 0, 0, ("", 0)


@lru_cache(maxsize=256)
def _head(to: Endpoint) -> bytes:
    return socks5.datagram_head(to.host, to.port)


class RelaySocket:
    """Wraps a bound, non-blocking socket and owns it."""

    __slots__ = ("_plain", "_received", "_relay")

    def __init__(self, sock: socket.socket, relay: Endpoint) -> None:
        # By the run the senders of its datagrams could not be told apart.
        self._plain = DatagramSocket(sock, takes_runs=False)
        self._relay = relay
        self._received = memoryview(bytearray(_DATAGRAM_BYTES))

    def receive(self, buffer: memoryview) -> tuple[int, int, tuple[str, int]]:
        """Read a datagram into `buffer`; return its bytes, twice, and who sent it: port 0 if it is
        to be dropped. Raises OSError."""
        count, _, source = self._plain.receive(self._received)
        if source != self._relay:
            return _NOTHING
        opened = socks5.opened_datagram(self._received[:count])
        if opened is None:
            return _NOTHING
        sender, begin = opened
        count -= begin
        buffer[:count] = self._received[begin : begin + count]
        return count, count, sender

    def send_one(self, datagram: bytes | bytearray | memoryview, to: Endpoint) -> None:
        """Send a datagram. Raises OSError."""
        self._plain.send_one(_head(to) + datagram, self._relay)

    def send_to_name(self, datagram: bytes, host: str, port: int) -> None:
        """Send a datagram to a name that the relay looks up. Raises OSError."""
        self._plain.send_one(socks5.datagram_head(host, port) + datagram, self._relay)

    def send(self, run: bytes | bytearray | memoryview, packet_bytes: int, to: Endpoint) -> int:
        """Send a run; return how many bytes of it have left. Raises BlockingIOError only if none
        has, and OSError for what will never leave."""
        head = _head(to)
        size = len(head) + packet_bytes
        step = max(1, _RUN_BYTES // size) * packet_bytes
        view = memoryview(run)
        for begin in range(0, len(view), step):
            part = view[begin : begin + step]
            packets = [part[at : at + packet_bytes] for at in range(0, len(part), packet_bytes)]
            relayed = b"".join(piece for packet in packets for piece in (head, packet))
            try:
                sent = self._plain.send(relayed, size, self._relay)
            except BlockingIOError:
                if begin:
                    return begin
                raise
            if sent < len(relayed):
                return begin + sent // size * packet_bytes
        return len(run)

    def send_whole(self, datagram: bytes | bytearray, to: Endpoint) -> None:
        """Send a datagram that must not be fragmented on its way to the relay. Raises OSError."""
        self._plain.send_whole(_head(to) + datagram, self._relay)

    def getsockname(self) -> Any:
        return self._plain.getsockname()

    def fileno(self) -> int:
        return self._plain.fileno()

    def close(self) -> None:
        self._plain.close()
