"""What a router is that leads ports to us, whatever it is asked by; and where the router is."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Protocol

from engine.discovery.port_mapping import Mapped, MapRequest

_DATAGRAM_BYTES = 2048
_ROUTES = "/proc/thread-self/net/route"
_UP_AND_GATEWAY = 0x3


class Gateway(Protocol):
    """A router that has answered."""

    @property
    def name(self) -> str:
        """What it speaks: PCP, NAT-PMP or UPnP."""

    @property
    def external_host(self) -> str | None:
        """Its own address, as it says; known once something was mapped."""

    async def map(self, request: MapRequest) -> Mapped:
        """Map, renew or, with a lifetime of 0, take away. Raises GatewayError."""

    async def close(self) -> None: ...


async def received(sock: socket.socket) -> tuple[bytes, str]:
    """Wait for a datagram; returns it and the host that it came from. Raises OSError."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sock.fileno(), ready.set)
    try:
        while True:
            try:
                data, address = sock.recvfrom(_DATAGRAM_BYTES)
            except (BlockingIOError, InterruptedError):
                ready.clear()
                await ready.wait()
            else:
                return data, str(address[0])
    finally:
        loop.remove_reader(sock.fileno())


def default_gateway(interface: str = "") -> str | None:
    """The router that leads out of our network, or of that of an interface, by IPv4; None if there
    is none, or the system does not say it here."""
    try:
        with open(_ROUTES, encoding="ascii") as file:
            return parse_routes(file.read(), interface)
    except (OSError, ValueError):
        return None


def parse_routes(table: str, interface: str = "") -> str | None:
    """Find the default route with the least metric in the text of Linux's /proc/net/route."""
    best: tuple[int, str] | None = None
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8:
            continue
        try:
            target, gateway, flags = (int(fields[at], 16) for at in (1, 2, 3))
            metric, mask = int(fields[6]), int(fields[7], 16)
        except ValueError:
            continue
        if interface not in ("", fields[0]):
            continue
        if target or mask or flags & _UP_AND_GATEWAY != _UP_AND_GATEWAY or not gateway:
            continue
        if best is None or metric < best[0]:
            # The kernel prints the word as it lies in memory.
            best = metric, socket.inet_ntop(socket.AF_INET, struct.pack("=I", gateway))
    return None if best is None else best[1]
