"""A UDP tracker on loopback that can lose, refuse and forget; made of plain sockets and structs."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable

from engine.core import compact
from engine.core.compact import Endpoint

Rule = Callable[[int, int], bool]
"""(number of the datagram from 0, its action) → is it answered?"""


class UdpTrackerServer(asyncio.DatagramProtocol):
    """Lists `peers` to whoever announces with a connection id that it gave."""

    def __init__(self, *, answers: Rule = lambda _number, _action: True) -> None:
        self._answers = answers
        self._transport: asyncio.DatagramTransport | None = None
        self._ids: set[int] = set()
        self.peers: list[Endpoint] = []
        self.received: list[bytes] = []
        self.senders: set[tuple[str, int]] = set()
        self.error: bytes | None = None
        """What requests are refused with, if anything."""
        self.extra: Callable[[bytes], list[bytes]] = lambda _reply: []
        """Further datagrams sent ahead of a reply."""

    @property
    def actions(self) -> list[int]:
        return [struct.unpack_from(">I", datagram, 8)[0] for datagram in self.received]

    @property
    def port(self) -> int:
        assert self._transport is not None
        return int(self._transport.get_extra_info("sockname")[1])

    @property
    def url(self) -> str:
        return f"udp://localhost:{self.port}/announce"

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, local_addr=(host, port), family=family
        )

    def stop(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def forget_connections(self) -> None:
        self._ids.clear()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        number = len(self.received)
        self.received.append(data)
        self.senders.add((addr[0], addr[1]))
        connection_id, action, transaction_id = struct.unpack_from(">QII", data)
        if not self._answers(number, action):
            return
        reply = self._reply(connection_id, action, transaction_id, data, ":" in addr[0])
        assert self._transport is not None
        for datagram in (*self.extra(reply), reply):
            self._transport.sendto(datagram, addr)

    def _reply(
        self, connection_id: int, action: int, transaction_id: int, data: bytes, ipv6: bool
    ) -> bytes:
        if action == 0:
            assert connection_id == 0x41727101980
            self._ids.add(len(self.received))
            return struct.pack(">IIQ", 0, transaction_id, len(self.received))
        if self.error is not None or connection_id not in self._ids:
            reason = self.error or b"connection id mismatch"
            return struct.pack(">II", 3, transaction_id) + reason
        if action == 1:
            v4, v6 = compact.pack(self.peers)
            return struct.pack(">5I", 1, transaction_id, 1800, 7, 5) + (v6 if ipv6 else v4)
        hashes = [data[at : at + 20] for at in range(16, len(data), 20)]
        counts = b"".join(struct.pack(">3I", each[0], 2, 3) for each in hashes)
        return struct.pack(">II", 2, transaction_id) + counts
