"""A peer that says exactly what it is told to, over a real socket; shares no code with the engine.

Frames are made and taken apart by hand, so that a test can break every rule of BEP 3, 6 and 10.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from engine.core.compact import Endpoint

PROTOCOL = b"\x13BitTorrent protocol"
PLAIN = bytes(8)
FAST = bytes(7) + b"\x04"
EXTENDED = bytes(5) + b"\x10" + bytes(2)
ALL = bytes(5) + b"\x10\x00\x04"
TIMEOUT_S = 20.0

CHOKE, UNCHOKE, INTERESTED, NOT_INTERESTED, HAVE, BITFIELD, REQUEST, PIECE, CANCEL = range(9)
SUGGEST, HAVE_ALL, HAVE_NONE, REJECT, ALLOWED_FAST = range(13, 18)
EXTENSION = 20


def frame(message_id: int, payload: bytes = b"") -> bytes:
    return struct.pack(">IB", 1 + len(payload), message_id) + payload


def numbers(message_id: int, *values: int) -> bytes:
    """A frame of 32 bit numbers: have, request, cancel, reject, suggest, allowed fast."""
    return frame(message_id, struct.pack(f">{len(values)}I", *values))


def piece(index: int, begin: int, block: bytes) -> bytes:
    return frame(PIECE, struct.pack(">II", index, begin) + block)


@dataclass(frozen=True, slots=True)
class Said:
    """One message of the engine."""

    id: int
    payload: bytes

    @property
    def numbers(self) -> tuple[int, ...]:
        return struct.unpack(f">{len(self.payload) // 4}I", self.payload)


class HungUpError(AssertionError):
    """The engine closed the connection where the script expected more."""


class ScriptedPeer:
    """One side of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.peer_id = b""
        """Of the engine."""

    @classmethod
    async def dial(
        cls, at: Endpoint, *, source: str | None = None, receive_bytes: int | None = None
    ) -> ScriptedPeer:
        """Connect, from the address `source`; `receive_bytes` is how much the kernel takes for us
        while we do not read."""
        sock = socket.socket(socket.AF_INET6 if at.is_ipv6 else socket.AF_INET)
        sock.setblocking(False)
        if source is not None:
            sock.bind((source, 0))
        if receive_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        await asyncio.get_running_loop().sock_connect(sock, (at.host, at.port))
        return cls(*await asyncio.open_connection(sock=sock))

    @classmethod
    async def meet(
        cls,
        at: Endpoint,
        info_hash: bytes,
        *,
        peer_id: bytes = b"-XX0000-scriptedpeer",
        reserved: bytes = ALL,
        source: str | None = None,
        receive_bytes: int | None = None,
    ) -> ScriptedPeer:
        """Dial and exchange handshakes."""
        peer = await cls.dial(at, source=source, receive_bytes=receive_bytes)
        await peer.greet(info_hash, peer_id=peer_id, reserved=reserved)
        return peer

    async def greet(
        self, info_hash: bytes, *, peer_id: bytes = b"-XX0000-scriptedpeer", reserved: bytes = ALL
    ) -> None:
        """Send a handshake and read the engine's."""
        self.send(PROTOCOL + reserved + info_hash + peer_id)
        answer = await self.read(68)
        assert answer[:20] == PROTOCOL
        assert answer[28:48] == info_hash
        self.peer_id = answer[48:]

    def send(self, *data: bytes) -> None:
        self.writer.write(b"".join(data))

    async def read(self, count: int) -> bytes:
        async with asyncio.timeout(TIMEOUT_S):
            try:
                return await self.reader.readexactly(count)
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                raise HungUpError("the engine closed the connection") from error

    async def next(self) -> Said:
        """The next message that is no keep-alive."""
        while True:
            (length,) = struct.unpack(">I", await self.read(4))
            if length:
                body = await self.read(length)
                return Said(body[0], body[1:])

    async def until(self, message_id: int) -> Said:
        """Skip messages up to one of this id."""
        while (said := await self.next()).id != message_id:
            pass
        return said

    async def messages(self) -> AsyncIterator[Said]:
        """Every message until the engine closes."""
        with contextlib.suppress(HungUpError):
            while True:
                yield await self.next()

    async def is_alive(self) -> bool:
        """Whether the engine still answers: a fast peer is told about a request in any case."""
        self.send(numbers(REQUEST, 0, 0, 1))
        try:
            while (await self.next()).id not in (REJECT, PIECE):
                pass
        except HungUpError:
            return False
        return True

    async def hangup(self) -> None:
        """Wait until the engine closes the connection."""
        async with asyncio.timeout(TIMEOUT_S):
            with contextlib.suppress(ConnectionError):
                while await self.reader.read(65536):
                    pass

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError, TimeoutError):
            await self.writer.wait_closed()


@contextlib.asynccontextmanager
async def listening(
    script: Callable[[ScriptedPeer], Awaitable[None]], host: str = "127.0.0.1"
) -> AsyncIterator[Endpoint]:
    """A scripted peer to be dialled; `script` runs for each connection, until it is hung up on."""
    running: dict[asyncio.Task[None], ScriptedPeer] = {}

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        peer = running[task] = ScriptedPeer(reader, writer)
        try:
            with contextlib.suppress(HungUpError, ConnectionError):
                await script(peer)
        finally:
            await peer.close()
            running.pop(task)

    server = await asyncio.start_server(accepted, host, 0)
    try:
        yield Endpoint(*server.sockets[0].getsockname()[:2])
    finally:
        server.close()
        for peer in running.values():
            peer.writer.transport.abort()
        if running:
            await asyncio.wait(list(running))
        await server.wait_closed()
