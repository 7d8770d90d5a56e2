"""Two ends of one TCP connection on loopback, each with a handler that notes what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from engine.net.connection import RECEIVE_BUFFER_BYTES, Connection
from engine.net.peer_connection import PeerConnection
from tests.net.test_peer_connection import Recorder


@dataclass
class End:
    """One end: what its start told, and who listens from then on."""

    inner: PeerConnection
    handler: Recorder = field(default_factory=Recorder)
    connection: Connection | None = None
    failed: list[Exception | None] = field(default_factory=list)

    def started(self, connection: Connection, said: bytes) -> None:
        """What a start hands over to."""
        self.connection = connection
        connection.start(self.handler)
        if said:
            self.handler.on_data(memoryview(said))
        self.handler.news.set()

    def on_failed(self, error: Exception | None) -> None:
        self.failed.append(error)
        self.handler.news.set()


@contextlib.asynccontextmanager
async def two_ends() -> AsyncIterator[tuple[End, End]]:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as server:
        far = socket.create_connection(server.getsockname())
        near, _ = server.accept()
    buffer = memoryview(bytearray(RECEIVE_BUFFER_BYTES))
    ends = End(PeerConnection(loop, near, buffer)), End(PeerConnection(loop, far, buffer))
    try:
        yield ends
    finally:
        for end in ends:
            end.inner.close()
