"""One uTP connection to a peer, as the parts of a torrent know connections (BEP 29). HOT.

        datagrams ──► engine/utp ──► [ the loop's shared receive buffer ] ──► handler.on_data(view)
        write() ──► [ view, view … ] ──► engine/utp, as far as its window allows ──► datagrams

A closed connection lingers: what it took is sent again until it has arrived, as a kernel does for
TCP. Nothing here knows what the bytes mean.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from engine.core.compact import Endpoint
from engine.errors import PeerError
from engine.net.connection import (
    LOW_WATERMARK_BYTES,
    RECEIVE_BUFFER_BYTES,
    ConnectionHandler,
    Encryption,
    Transport,
)
from engine.net.kernel_span import KernelSpan
from engine.utp.connection import UtpConnection
from engine.utp.shared import State

_LINGER_BYTES = 256 * 1024
"""Of what was written and not yet taken when a connection is closed, so much is still sent."""


_BEGINNING = State.SYN_SENT, State.SYN_RECEIVED


class Turns(Protocol):
    """Who runs the streams of a port."""

    @property
    def is_full(self) -> bool:
        """Nothing can be sent now."""

    def touch(self, stream: UtpStream) -> None:
        """Give it a turn soon."""

    def mind(self, stream: UtpStream) -> None:
        """Its timers may have changed."""

    def lingers(self, stream: UtpStream) -> None:
        """It was closed: give it a turn soon. Its last bytes may still be on their way."""

    def forget(self, stream: UtpStream) -> None:
        """It is over and sends nothing more."""


class UtpStream:
    """A connection that is being dialled, open, or lingering. `start` it once a handler exists."""

    __slots__ = (
        "_handler",
        "_has_turn",
        "_pending",
        "_reading",
        "_turns",
        "_was_full",
        "bytes_received",
        "bytes_sent",
        "connected",
        "is_closed",
        "machine",
        "pending_bytes",
        "remote",
        "timer_at",
    )
    transport = Transport.UTP
    encryption = Encryption.NONE

    def __init__(
        self,
        turns: Turns,
        machine: UtpConnection,
        remote: Endpoint,
    ) -> None:
        self.remote = remote
        self.machine = machine
        self.pending_bytes = 0
        self.bytes_received = 0
        self.bytes_sent = 0
        self.is_closed = False
        self.timer_at = float("inf")
        """When it is asked what is due; who runs it minds this."""
        self.connected: Callable[[PeerError | None], None] | None = None
        """Called once when it is known whether there is a connection."""
        self._turns = turns
        self._handler: ConnectionHandler | None = None
        self._pending: deque[tuple[memoryview, Callable[[], None] | None]] = deque()
        self._reading = False
        self._has_turn = False
        self._was_full = False

    def start(self, handler: ConnectionHandler) -> None:
        """Begin to read for `handler`, or go on reading for another one."""
        self._handler = handler
        self.resume_reading()

    # ── reading ─────────────────────────────────────────────────────────────────────────────────

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        if not self._reading and not self.is_closed:
            self._reading = True
            self._turns.touch(self)

    def expect(self, count: int) -> None:
        """Runs of packets are handed over as they come: nothing wakes us for a single one."""

    def _deliver(self) -> None:
        """Hand over what came, at most one read of it; another turn has the rest."""
        handler, inbound = self._handler, self.machine.inbound
        if not self._reading or handler is None:
            return
        if inbound.ready_bytes:
            quota = handler.read_quota()
            if quota <= 0:
                self._reading = False
                return
            data = inbound.read(min(quota, RECEIVE_BUFFER_BYTES))
            self.bytes_received += len(data)
            try:
                handler.on_data(data)
            except PeerError as error:
                self.close(error)
            except Exception as error:
                # Our bug, for the loop to report; the peer may have found it on purpose.
                self.close(error)
                raise
        if self.is_closed or not self._reading:
            return
        if self.machine.is_at_end:
            self.close(None)
        elif inbound.ready_bytes:
            self._turns.touch(self)

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
        if not self._pending and not self._has_turn:
            self._turns.touch(self)
        self._pending.append((memoryview(data), sent))
        self.pending_bytes += len(data)

    @property
    def sends_spans(self) -> bool:
        """The bytes of packets must be kept until they are acknowledged."""
        return False

    def write_span(self, span: KernelSpan, sent: Callable[[], None]) -> None:
        raise NotImplementedError("see sends_spans")

    @property
    def pending_writes(self) -> int:
        """How many pieces of data wait; each costs memory beyond its bytes."""
        return len(self._pending)

    def flush(self) -> None:
        """Send now as much as the window and the socket take; in its turn, what fills no whole run
        when that ends, as more may follow."""
        if not self.is_closed and self._pending and not self._was_full:
            self._fill()
            if not self._has_turn:
                self.machine.push(monotonic())
                self._turns.mind(self)

    def _fill(self) -> None:
        pending, machine = self._pending, self.machine
        now = monotonic()
        while pending and not self._turns.is_full:
            view, sent = pending[0]
            taken = machine.write(view, now) if view else 0
            self.pending_bytes -= taken
            self.bytes_sent += taken
            if taken < len(view):
                pending[0] = view[taken:], sent
                if not machine.writable:
                    break
                continue
            pending.popleft()
            if sent is not None:
                sent()
        self._was_full = bool(pending)

    # ── its turn ────────────────────────────────────────────────────────────────────────────────

    def turn(self) -> None:
        """Do what became possible: hand over bytes, take bytes to send, answer."""
        machine = self.machine
        self._has_turn = True
        try:
            if self.connected is not None and machine.state not in _BEGINNING:
                self._tell_connected()
            if not self.is_closed:
                self._deliver()
                self._take_writes()
            elif self._pending:
                self._fill()
        finally:
            self._has_turn = False
        if self.is_closed and not self._pending:
            machine.finish(monotonic())
        machine.push(monotonic())
        self._turns.mind(self)
        if machine.state is State.CLOSED:
            self._turns.forget(self)
            self.close(self._why())

    def _take_writes(self) -> None:
        was_full = self._was_full
        if self._pending:
            self._fill()
        has_room = was_full and self.pending_bytes < LOW_WATERMARK_BYTES
        if has_room and self._handler and not self.is_closed:
            self._handler.on_writable()
            if self._pending and not self._was_full:
                self._fill()

    def _tell_connected(self) -> None:
        tell, self.connected = self.connected, None
        if tell is not None:
            failed = self.machine.state is State.CLOSED
            tell(self._why() or PeerError(f"{self.remote}: closed") if failed else None)

    def _why(self) -> PeerError | None:
        error = self.machine.error
        return None if error is None else type(error)(f"{self.remote}: {error}")

    # ── the end ─────────────────────────────────────────────────────────────────────────────────

    def close(self, error: Exception | None = None) -> None:
        """Close at once; what was written before arrives if it can. Idempotent."""
        if self.is_closed:
            return
        self.is_closed = True
        self._reading = False
        last = bytearray()
        callbacks = []
        for view, sent in self._pending:
            last += view[: _LINGER_BYTES - len(last)]
            if sent is not None:
                callbacks.append(sent)
        self._pending.clear()
        self.pending_bytes = 0
        if last and self.machine.state is State.CONNECTED:
            self._pending.append((memoryview(last), None))
        self._was_full = False
        self._turns.lingers(self)
        for sent in callbacks:
            sent()
        if self._handler is not None:
            self._handler.on_closed(error)
