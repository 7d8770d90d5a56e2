"""Two UDP ports on loopback that speak uTP, with handlers that keep what they are told."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

from engine.core.compact import Endpoint
from engine.net.connection import RECEIVE_BUFFER_BYTES
from engine.net.route import Route
from engine.net.udp_endpoint import UdpEndpoint
from engine.net.utp_multiplexer import UtpMultiplexer
from engine.net.utp_stream import UtpStream


class Handler:
    """Keeps bytes, and says when things happened."""

    def __init__(self, stream: UtpStream) -> None:
        self.stream = stream
        self.data = bytearray()
        self.reads: list[int] = []
        self.quota = RECEIVE_BUFFER_BYTES
        self.writable = 0
        self.closings: list[Exception | None] = []
        self._changed = asyncio.Event()
        stream.start(self)

    def on_data(self, data: memoryview) -> None:
        self.reads.append(len(data))
        self.data += data
        self._changed.set()

    def on_writable(self) -> None:
        self.writable += 1
        self._changed.set()

    def read_quota(self) -> int:
        return self.quota

    def on_closed(self, error: Exception | None) -> None:
        self.closings.append(error)
        self._changed.set()

    async def has(self, count: int) -> bytes:
        """Wait until so many bytes came."""
        async with asyncio.timeout(20):
            while len(self.data) < count:
                self._changed.clear()
                await self._changed.wait()
        return bytes(self.data)

    async def closed(self) -> Exception | None:
        async with asyncio.timeout(20):
            while not self.closings:
                self._changed.clear()
                await self._changed.wait()
        return self.closings[0]

    async def is_writable(self) -> None:
        async with asyncio.timeout(20):
            while not self.writable:
                self._changed.clear()
                await self._changed.wait()


class Port:
    """A UDP port with uTP on it; who connects is in `accepted`."""

    def __init__(self, host: str = "127.0.0.1", *, accepts: bool = True) -> None:
        loop = asyncio.get_running_loop()
        self.udp = UdpEndpoint(loop, Route(host or None))
        self.udp.open(0)
        self.accepted: asyncio.Queue[UtpStream] = asyncio.Queue()
        self.utp = UtpMultiplexer(
            loop,
            self.udp,
            memoryview(bytearray(RECEIVE_BUFFER_BYTES)),
            random.Random(),
            self.accepted.put_nowait if accepts else None,
        )

    @property
    def endpoint(self) -> Endpoint:
        return self.udp.endpoints[0]

    async def dial(self, other: Port) -> tuple[Handler, Handler]:
        """Connect, let a first byte make it a connection there too; return (ours, theirs)."""
        ours = Handler(await self.utp.dial(other.endpoint, 5))
        ours.stream.write(b"!")
        async with asyncio.timeout(20):
            theirs = Handler(await other.accepted.get())
        await theirs.has(1)
        theirs.data.clear()
        return ours, theirs

    def close(self) -> None:
        self.utp.close()
        self.udp.close()


@contextlib.asynccontextmanager
async def ports(host: str = "127.0.0.1") -> AsyncIterator[tuple[Port, Port]]:
    pair = Port(host), Port(host)
    try:
        yield pair
    finally:
        for each in pair:
            each.close()
