"""Peers of the benchmark's own, spoken by hand: one that is ready, many that are idle, a caller."""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
import time
from typing import BinaryIO

from engine.core.compact import Endpoint
from engine.core.identifiers import InfoHash
from tests.benchmarks.child import BenchmarkError
from tests.benchmarks.payloads import Payload

_HANDSHAKE = struct.Struct(">B19s8s20s20s")
_REQUEST = struct.Struct(">III")
_PROTOCOL = b"BitTorrent protocol"
_REQUEST_ID, _PIECE = 6, 7
_UNCHOKE = b"\0\0\0\1\1"
_TIMEOUT_S = 20.0


def _handshake(info_hash: InfoHash) -> bytes:
    peer_id = b"-XX0001-" + os.urandom(12)
    return _HANDSHAKE.pack(19, _PROTOCOL, bytes(8), bytes(info_hash), peer_id)


async def _hear_handshake(reader: asyncio.StreamReader, info_hash: InfoHash) -> None:
    _, protocol, _, answered, _ = _HANDSHAKE.unpack(await reader.readexactly(_HANDSHAKE.size))
    if protocol != _PROTOCOL or answered != bytes(info_hash):
        raise BenchmarkError("a peer that speaks of something else")


class ReadyPeer:
    """A seed that answers at once: what then passes until the first byte is the client's."""

    def __init__(self, payload: Payload) -> None:
        self._payload = payload
        self._data = payload.folder / payload.metainfo.info.files[0].path[-1]
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.endpoint = Endpoint("127.0.0.1", 1)
        self.first_sent_at: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        """When it sent its first block, on the monotonic clock."""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.endpoint = Endpoint("127.0.0.1", self._server.sockets[0].getsockname()[1])

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer, is_caller=False))
        self._tasks.add(task)

    async def dial(self, peer: Endpoint) -> None:
        """Call a client that cannot be told of a peer."""
        reader, writer = await asyncio.open_connection(peer.host, peer.port)
        self._tasks.add(asyncio.create_task(self._serve(reader, writer, is_caller=True)))

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_caller: bool
    ) -> None:
        info_hash = self._payload.info_hash
        pieces = self._payload.metainfo.info.geometry.piece_count
        full = bytearray(b"\xff" * ((pieces + 7) // 8))
        if pieces % 8:
            full[-1] = 0xFF << (8 - pieces % 8) & 0xFF
        expected = (OSError, asyncio.IncompleteReadError, BenchmarkError)
        try:
            with contextlib.suppress(*expected), self._data.open("rb") as data:
                if is_caller:
                    writer.write(_handshake(info_hash))
                # aria2 tries encryption first, and again without when it is hung up on.
                await _hear_handshake(reader, info_hash)
                if not is_caller:
                    writer.write(_handshake(info_hash))
                writer.write(struct.pack(">IB", len(full) + 1, 5) + full + _UNCHOKE)
                await self._answer(reader, writer, data)
        finally:
            writer.close()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: BinaryIO
    ) -> None:
        while not writer.is_closing():  # what it asked for before it hung up is still to be read
            (length,) = struct.unpack(">I", await reader.readexactly(4))
            message = await reader.readexactly(length)
            if length == 13 and message[0] == _REQUEST_ID:
                index, begin, count = _REQUEST.unpack(message[1:])
                data.seek(index * self._payload.metainfo.info.piece_length + begin)
                head = struct.pack(">IBII", 9 + count, _PIECE, index, begin)
                writer.write(head + data.read(count))
                if not self.first_sent_at.done():
                    self.first_sent_at.set_result(time.monotonic())

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class IdlePeer:
    """A leecher that has nothing, wants nothing and says nothing, from an address of its own."""

    def __init__(self, number: int) -> None:
        self._host = f"127.0.{1 + number // 250}.{1 + number % 250}"
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self.is_connected = False

    async def connect(self, peer: Endpoint, info_hash: InfoHash) -> None:
        async with asyncio.timeout(_TIMEOUT_S):
            reader, self._writer = await asyncio.open_connection(
                peer.host, peer.port, local_addr=(self._host, 0)
            )
            self._writer.write(_handshake(info_hash))
            await _hear_handshake(reader, info_hash)
        self.is_connected = True
        self._reading = asyncio.create_task(self._read(reader))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while await reader.read(65_536):
                pass
        self.is_connected = False

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        if self._writer is not None:
            self._writer.close()


async def answers_for(peer: Endpoint, info_hash: InfoHash, timeout_s: float = _TIMEOUT_S) -> None:
    """Wait until a client answers a handshake for a torrent, asking again while it hangs up."""
    async with asyncio.timeout(timeout_s):
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection(peer.host, peer.port)
                try:
                    writer.write(_handshake(info_hash))
                    return await _hear_handshake(reader, info_hash)
                finally:
                    writer.close()
            await asyncio.sleep(0.005)
