"""The tracker over UDP (BEP 15): one socket, datagrams answered in bursts.

Invariant: nothing queues without a bound. What waits is read to the end at each wake-up, and a
reply that the socket does not take at once is dropped; the asker repeats itself, as BEP 15 has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Any

import asyncio_dgram
from asyncio_dgram.aio import DatagramStream

from engine.errors import TrackerFailure
from engine.tracker.announce import pack_host
from engine.tracker.udp_protocol import Later, UdpProtocol

_MAX_DATAGRAM_BYTES = 2048
"""The longest request is a scrape of 74 torrents, 1496 bytes."""
_BURST = 64
"""Datagrams answered before the loop gets its turn."""
_MAX_PROMISED = 1024
"""Further requests are dropped until some are answered."""
_RECEIVE_BUFFER_BYTES = 1 << 20
_log = logging.getLogger(__name__)


class UdpServer:
    """Serves one bound socket."""

    def __init__(self, protocol: UdpProtocol, clock: Callable[[], float]) -> None:
        self._protocol = protocol
        self._clock = clock
        self._stream: DatagramStream | None = None
        self._task: asyncio.Task[None] | None = None
        self._promised: set[asyncio.Task[None]] = set()
        """Replies that wait for swarms which are shared."""

    async def start(self, sock: socket.socket) -> None:
        """Serve the bound, non-blocking socket, which belongs to this server from now on."""
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        self._stream = stream = await asyncio_dgram.from_socket(sock)
        self._task = asyncio.create_task(self._serve(stream, sock), name="tracker-udp")

    async def stop(self) -> None:
        """Close the socket."""
        if self._task is not None:
            self._task.cancel()
            for promise in self._promised:
                promise.cancel()
            await asyncio.gather(self._task, *self._promised, return_exceptions=True)
        if self._stream is not None:
            self._stream.close()
        self._task = self._stream = None

    async def _serve(self, stream: DatagramStream, sock: socket.socket) -> None:
        while True:
            try:
                data, address = await stream.recv()
            except asyncio_dgram.TransportClosed:
                return
            except OSError as error:
                # An ICMP error about an earlier reply; it says nothing about the next request.
                _log.debug("udp tracker: %s", error)
                continue
            try:
                self._answer(sock, data, address)
                for _ in range(_BURST):
                    self._answer(sock, *sock.recvfrom(_MAX_DATAGRAM_BYTES))
            except (BlockingIOError, InterruptedError):
                continue
            except OSError as error:
                _log.debug("udp tracker: %s", error)

    def _answer(self, sock: socket.socket, data: bytes, address: Any) -> None:
        reply = self._protocol.handle(data, pack_host(address[0]), self._clock())
        if isinstance(reply, bytes):
            _send(sock, reply, address)
        elif reply is not None:
            if len(self._promised) >= _MAX_PROMISED:
                reply.asked.close()
                return
            promise = asyncio.create_task(_send_later(sock, reply, address))
            self._promised.add(promise)
            promise.add_done_callback(self._promised.discard)


def _send(sock: socket.socket, reply: bytes, address: Any) -> None:
    with contextlib.suppress(OSError):
        sock.sendto(reply, address)


async def _send_later(sock: socket.socket, later: Later, address: Any) -> None:
    try:
        reply = later.answer(await later.asked)
    except TrackerFailure as failure:
        reply = later.refuse(failure)
    _send(sock, reply, address)
