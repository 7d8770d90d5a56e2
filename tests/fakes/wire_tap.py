"""Listens in on a network interface: every packet that passes, TCP put together again.

Made in the namespace of a test (tests/fakes/lan.py); needs the rights of root.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

_ETH_P_ALL = 3
_IPV4, _IPV6 = 0x0800, 0x86DD
_BUFFER_BYTES = 64 * 1024 * 1024


class Flow(NamedTuple):
    source: str
    source_port: int
    target: str
    target_port: int


class WireTap:
    """What passed an interface while it was open."""

    def __init__(self, interface: str) -> None:
        self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        self._sock.bind((interface, 0))
        self._sock.setblocking(False)
        self.datagrams: list[tuple[Flow, bytes]] = []
        """UDP, in order."""
        self.flows: set[Flow] = set()
        """Who sent anything to whom, be it only a try to connect."""
        self._segments: dict[Flow, dict[int, bytes]] = {}
        asyncio.get_running_loop().add_reader(self._sock.fileno(), self._read)

    def _read(self) -> None:
        while True:
            try:
                frame = self._sock.recv(1 << 17)
            except BlockingIOError:
                return
            self._take(struct.unpack_from(">H", frame, 12)[0], frame[14:])

    def _take(self, kind: int, packet: bytes) -> None:
        if kind == _IPV4:
            head, protocol = (packet[0] & 15) * 4, packet[9]
            length = struct.unpack_from(">H", packet, 2)[0]
            packet = packet[:length] if length else packet
            hosts = [socket.inet_ntop(socket.AF_INET, packet[at : at + 4]) for at in (12, 16)]
        elif kind == _IPV6:
            head, protocol = 40, packet[6]
            hosts = [socket.inet_ntop(socket.AF_INET6, packet[at : at + 16]) for at in (8, 24)]
        else:
            return
        if protocol not in (socket.IPPROTO_TCP, socket.IPPROTO_UDP):
            return
        source_port, target_port = struct.unpack_from(">HH", packet, head)
        flow = Flow(hosts[0], source_port, hosts[1], target_port)
        self.flows.add(flow)
        if protocol == socket.IPPROTO_UDP:
            self.datagrams.append((flow, packet[head + 8 :]))
            return
        data = packet[head + (packet[head + 12] >> 4) * 4 :]
        if data:
            number = struct.unpack_from(">I", packet, head + 4)[0]
            self._segments.setdefault(flow, {})[number] = data

    def streams(self) -> Iterator[tuple[Flow, bytes]]:
        """Yield what each side of each TCP connection said, in the order of its bytes."""
        for flow, segments in self._segments.items():
            said = bytearray()
            first = min(segments)
            for number in sorted(segments):
                at = number - first
                if at <= len(said):
                    said[at : at + len(segments[number])] = segments[number]
                else:
                    said += bytes(at - len(said)) + segments[number]
            yield flow, bytes(said)

    def finish(self) -> None:
        """Take what has come, and listen no more."""
        self._read()
        asyncio.get_running_loop().remove_reader(self._sock.fileno())
        self._sock.close()
