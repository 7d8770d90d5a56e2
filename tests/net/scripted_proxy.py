"""A proxy that says what a test tells it, byte by byte, whatever it hears."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from engine.core.proxy_address import ProxyAddress, Scheme


class Scripted:
    def __init__(self, scheme: Scheme, says: bytes, *, in_pieces: bool, stays: bool) -> None:
        self._scheme, self._says = scheme, says
        self._in_pieces, self._stays = in_pieces, stays
        self.port = 0
        self.heard = b""
        self.count = 0

    @property
    def address(self) -> ProxyAddress:
        return ProxyAddress(self._scheme, "127.0.0.1", self.port, "me", "secret")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.count += 1
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with contextlib.suppress(OSError):
                pieces = (
                    [bytes((each,)) for each in self._says] if self._in_pieces else [self._says]
                )
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                while self._stays and (data := await reader.read(4096)):
                    self.heard += data
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def scripted(
    scheme: Scheme, says: bytes, *, in_pieces: bool = False, stays: bool = True
) -> AsyncIterator[Scripted]:
    """Run one; unless it `stays` it hangs up when all is said."""
    proxy = Scripted(scheme, says, in_pieces=in_pieces, stays=stays)
    serving: set[asyncio.Task[None]] = set()

    async def on_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(proxy.serve(reader, writer))
        serving.add(task)
        await task

    server = await asyncio.start_server(on_client, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
