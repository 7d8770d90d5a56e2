"""One TCP connection to a peer: kernel ↔ the decoder's and encoder's buffers. HOT.

All connections of a loop share one big receive buffer: a read is parsed before the next begins, so
nothing in it outlives `on_data`. Writes are gathered: many small messages, or the ready frames of a
whole batch of blocks, leave in one `sendmsg`. Nothing here knows what the bytes mean.

        recv_into ──► [ shared receive buffer ] ──► handler.on_data(view)
        recvmsg_into ──► [ handler.landing(), what comes behind it ] ──► handler.on_landed
        expect() ──► the kernel wakes us when the rest of a block is there, not for each segment
        write() ──► [ view, view, view … ] ──► sendmsg, as far as the kernel takes it
        write_span() ──► [ head, span of a file … ] ──► sendfile or splice, likewise
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections import deque
from collections.abc import Callable
from itertools import islice

from engine.core.compact import Endpoint, endpoint
from engine.errors import PeerError
from engine.net.connection import (
    LOW_WATERMARK_BYTES,
    RECEIVE_BUFFER_BYTES,
    ConnectionHandler,
    Encryption,
    LandingHandler,
    Transport,
)
from engine.net.kernel_span import KernelSpan

_ERROR = socket.SOL_SOCKET, socket.SO_ERROR
_OF_SOCKETS = frozenset(
    [
        errno.EPIPE,
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.ETIMEDOUT,
        errno.ENOTCONN,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.ENETDOWN,
    ]
)
"""Errors of the other end; any other, while a file is sent, is one of the file."""
_IOV_MAX = 512
"""Buffers for one sendmsg; Linux takes 1024."""
_MOST_AT_ONCE = 17 * 1024
"""Bytes that a wake-up is put off for: a block and its header, which even a slow peer sends in some
seconds."""
_BEHIND_BYTES = 64
"""Received beyond a landing: the head of what follows, as that may have a landing of its own."""
_WORTH_WAITING = 2 * 1024
"""Fewer are a segment or two, and not worth a system call."""


class PeerConnection:
    """A connected, non-blocking socket on the running loop. `start` it once a handler exists."""

    __slots__ = (
        "_buffer",
        "_fd",
        "_flush_scheduled",
        "_handler",
        "_lander",
        "_loop",
        "_pending",
        "_reading",
        "_socket",
        "_waits_for",
        "_writing",
        "bytes_received",
        "bytes_sent",
        "is_closed",
        "pending_bytes",
        "remote",
    )
    transport = Transport.TCP
    encryption = Encryption.NONE

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        buffer: memoryview,
        remote: Endpoint | None = None,
    ) -> None:
        """`remote` is who is at the other end, where that is not whom the socket is connected to.
        Raises OSError if it is connected no more."""
        name = sock.getpeername()
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.remote: Endpoint = remote or endpoint(name[0], name[1])
        self.pending_bytes = 0
        self.bytes_received = 0
        self.bytes_sent = 0
        self.is_closed = False
        self._loop = loop
        self._socket = sock
        self._fd = sock.fileno()
        self._buffer = buffer
        self._handler: ConnectionHandler | None = None
        self._lander: LandingHandler | None = None
        """The same, if it is one."""
        self._pending: deque[tuple[memoryview | KernelSpan, Callable[[], None] | None]] = deque()
        self._reading = False
        self._waits_for = 1
        self._writing = False
        self._flush_scheduled = False

    def start(self, handler: ConnectionHandler) -> None:
        """Begin to read for `handler`, or go on reading for another one."""
        self._handler = handler
        self._lander = handler if isinstance(handler, LandingHandler) else None
        self.resume_reading()

    # ── reading ─────────────────────────────────────────────────────────────────────────────────

    def pause_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._fd)

    def resume_reading(self) -> None:
        if not self._reading and not self.is_closed:
            self._reading = True
            self._loop.add_reader(self._fd, self._on_readable)

    def expect(self, count: int) -> None:
        """Of a peer that sends slowly each segment would cost a turn of the loop and a read: that
        is ten for a block, and what a crowd of peers costs most."""
        count = min(count, _MOST_AT_ONCE) if count > _WORTH_WAITING else 1
        if count // 2 < self._waits_for <= count or self.is_closed:
            return  # woken a little early: not worth a system call either
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)
            self._waits_for = count

    def _on_readable(self) -> None:
        handler = self._handler
        if handler is None or self.is_closed:
            return
        quota = handler.read_quota()
        if quota <= 0:
            self.pause_reading()
            return
        try:
            landing = self._lander.landing() if self._lander else None
        except Exception as error:
            self.close(error)
            raise
        try:
            if landing is None:
                count = self._socket.recv_into(self._buffer, min(quota, RECEIVE_BUFFER_BYTES))
            else:
                behind = self._buffer[: max(0, min(quota - len(landing), _BEHIND_BYTES))]
                count = self._socket.recvmsg_into((landing[:quota], behind))[0]
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.close(PeerError(f"{self.remote}: {error.strerror or error}"))
            return
        if not count:
            self.close(None)
            return
        self.bytes_received += count
        try:
            if self._lander is None or landing is None:
                handler.on_data(self._buffer[:count])
            else:
                landed = min(count, len(landing))
                self._lander.on_landed(landed, self._buffer[: count - landed])
        except PeerError as error:
            self.close(error)
        except Exception as error:
            # Our bug, for the loop to report; the peer may have found it on purpose.
            self.close(error)
            raise
        if not self.is_closed and (code := self._socket.getsockopt(*_ERROR)):
            # A reset lies behind the data; uvloop tells of it once and then never again.
            self.close(PeerError(f"{self.remote}: {os.strerror(code)}"))

    # ── writing ─────────────────────────────────────────────────────────────────────────────────

    def write(
        self, data: bytes | bytearray | memoryview, sent: Callable[[], None] | None = None
    ) -> None:
        """Queue bytes; they leave at the next `flush`, at the latest when the loop turns.

        `data` must not change before `sent` is called (also when the connection closes first).
        """
        if self.is_closed:
            if sent is not None:
                sent()
            return
        self._pending.append((memoryview(data), sent))
        self.pending_bytes += len(data)
        self._flush_soon()

    @property
    def sends_spans(self) -> bool:
        """See Connection."""
        return True

    def write_span(self, span: KernelSpan, sent: Callable[[], None]) -> None:
        """See Connection."""
        if self.is_closed:
            sent()
            return
        self._pending.append((span, sent))
        self.pending_bytes += len(span)
        self._flush_soon()

    @property
    def pending_writes(self) -> int:
        """How many pieces of data wait; each costs memory beyond its bytes."""
        return len(self._pending)

    def _flush_soon(self) -> None:
        if not self._flush_scheduled and not self._writing:
            self._flush_scheduled = True
            self._loop.call_soon(self._scheduled_flush)

    def _scheduled_flush(self) -> None:
        self._flush_scheduled = False
        self.flush()

    def flush(self) -> None:
        """Hand to the kernel as much as it takes now, unless it is full already."""
        if not self._writing:
            self._send_pending()

    def _send_pending(self) -> None:
        while self._pending and not self.is_closed:
            first = self._pending[0][0]
            try:
                if not isinstance(first, memoryview):
                    count = first.send_to(self._socket)
                    if not count:
                        first.lost()
                        self.close(None)
                        return
                elif len(self._pending) == 1:
                    count = self._socket.send(first)
                else:
                    count = self._send_views()
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                if not isinstance(first, memoryview) and error.errno not in _OF_SOCKETS:
                    first.lost()
                self.close(PeerError(f"{self.remote}: {error.strerror or error}"))
                return
            self._sent(count)
        self._watch_writable(bool(self._pending))

    def _send_views(self) -> int:
        """Send what waits before the next span, which should leave with it."""
        batch: list[memoryview] = []
        flags = 0
        for view, _ in islice(self._pending, _IOV_MAX):
            if not isinstance(view, memoryview):
                flags = socket.MSG_MORE
                break
            batch.append(view)
        return self._socket.sendmsg(batch, (), flags)

    def _sent(self, count: int) -> None:
        self.bytes_sent += count
        self.pending_bytes -= count
        pending = self._pending
        while count and pending:  # a callback may have closed us, which empties the queue
            view, sent = pending[0]
            if count < len(view):
                pending[0] = (view[count:], sent)
                return
            count -= len(view)
            pending.popleft()
            if sent is not None:
                sent()

    def _watch_writable(self, wanted: bool) -> None:
        if wanted and not self._writing and not self.is_closed:
            self._writing = True
            self._loop.add_writer(self._fd, self._on_writable)
        elif not wanted and self._writing:
            self._writing = False
            self._loop.remove_writer(self._fd)

    def _on_writable(self) -> None:
        self._send_pending()
        if self.pending_bytes < LOW_WATERMARK_BYTES and self._handler and not self.is_closed:
            self._handler.on_writable()

    # ── the end ─────────────────────────────────────────────────────────────────────────────────

    def close(self, error: Exception | None = None) -> None:
        """Close at once; what was not yet taken by the kernel is lost. Idempotent."""
        if self.is_closed:
            return
        self.pause_reading()
        self._watch_writable(False)
        self.is_closed = True
        self._socket.close()
        self.pending_bytes = 0
        while self._pending:
            _, sent = self._pending.popleft()
            if sent is not None:
                sent()
        if self._handler is not None:
            self._handler.on_closed(error)
