"""All uTP connections of the engine's port: who a packet is for, who may begin one (BEP 29). HOT.

Everything that came in one turn of the loop is taken before anything is answered, so that one ack
answers many packets. One timer serves all connections. A fault of ours ends the connection in which
it shows, and no other.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from functools import partial
from time import monotonic

from engine.core.compact import Endpoint
from engine.errors import PeerError, PeerTimeoutError
from engine.net.udp_endpoint import Kind, UdpEndpoint
from engine.net.utp_stream import UtpStream
from engine.net.utp_timers import UtpTimers
from engine.utp.arena import Arena
from engine.utp.connection import UtpConnection
from engine.utp.counters import Counters
from engine.utp.packet import HEADER_BYTES, RESET, SYN, Packet, Payloads, parse, reset_for
from engine.utp.shared import Shared, State

log = logging.getLogger(__name__)

MAX_ANSWERED = 1024
"""Beginnings of connections that we answered and that nobody went on with: with more of them the
oldest is forgotten. Their addresses may be forged."""
_ANSWERED_S = 20.0
MAX_LINGERING = 512
"""Closed connections that still bring their last bytes there: with more of them the oldest ends."""
_RESETS_PER_S = 50


def _tell(future: asyncio.Future[PeerError | None], error: PeerError | None) -> None:
    if not future.done():
        future.set_result(error)


class UtpMultiplexer:
    """Dials and accepts over one endpoint. Loop thread only; must be closed before the endpoint."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        endpoint: UdpEndpoint,
        receive_buffer: memoryview,
        rng: random.Random,
        accepted: Callable[[UtpStream], None] | None = None,
    ) -> None:
        """`receive_buffer` is what all connections of the loop share; `rng` must not be guessable.
        Without `accepted` nobody may connect to us."""
        self._loop = loop
        self._endpoint = endpoint
        self._rng = rng
        self._accepted = accepted
        self._streams: dict[tuple[Endpoint, int], UtpStream] = {}
        """By who speaks and the id by which they speak to us."""
        self._answered: dict[tuple[Endpoint, int], tuple[UtpStream, float]] = {}
        """Those of the streams that were begun by others and not gone on with; oldest first."""
        self._lingering: dict[UtpStream, None] = {}
        """Those of the streams that are closed, the oldest first."""
        self._shared = Shared(Arena(receive_buffer))
        self._payloads = Payloads(endpoint.buffer)
        self._touched: dict[UtpStream, None] = {}
        self._is_turn_due = False
        self._timers = UtpTimers(loop, self._act)
        self._resets_left = float(_RESETS_PER_S)
        self._resets_at = 0.0
        self._emptied: asyncio.Event | None = None
        endpoint.run_receivers[Kind.UTP] = self

    def __len__(self) -> int:
        """Connections of any state, lingering ones too."""
        return len(self._streams)

    @property
    def counters(self) -> Counters:
        return self._shared.counters

    def can_reach(self, peer: Endpoint) -> bool:
        return self._endpoint.can_reach(peer)

    # ── beginning ───────────────────────────────────────────────────────────────────────────────

    async def dial(self, remote: Endpoint, timeout_s: float) -> UtpStream:
        """Connect. Raises PeerError; the stream is the caller's, who must start or close it."""
        if not self.can_reach(remote):
            raise PeerError(f"{remote}: no way there by uTP")
        for _ in range(16):
            receive_id = self._rng.getrandbits(16)
            if (remote, receive_id) not in self._streams:
                break
        else:
            raise PeerError(f"{remote}: too many connections")
        stream = self._add(receive_id, remote)
        stream.machine.dial(monotonic())
        told: asyncio.Future[PeerError | None] = self._loop.create_future()
        stream.connected = partial(_tell, told)
        self.touch(stream)
        try:
            async with asyncio.timeout(timeout_s):
                error = await told
        except TimeoutError as late:
            stream.close()
            raise PeerTimeoutError(f"{remote}: no connection within {timeout_s:.0f} s") from late
        except BaseException:
            stream.close()
            raise
        if error is not None:
            raise error
        return stream

    def _add(self, receive_id: int, remote: Endpoint) -> UtpStream:
        emit = partial(self._emit, remote)
        machine = UtpConnection(
            receive_id, self._shared, emit, is_ipv6=remote.is_ipv6, now=monotonic()
        )
        stream = self._streams[remote, machine.receive_id] = UtpStream(self, machine, remote)
        return stream

    def _received_syn(self, syn: Packet, source: Endpoint) -> None:
        key = source, (syn.connection_id + 1) & 0xFFFF
        known = self._streams.get(key)
        if known is not None:
            known.machine.repeated_syn(monotonic())
            self._touched[known] = None
            return
        if self._accepted is None:
            self.counters.refused += 1
            return
        if len(self._answered) >= MAX_ANSWERED:
            self._forget_answered(next(iter(self._answered)))
        stream = self._add(key[1], source)
        stream.machine.answer(syn, self._rng.getrandbits(16), monotonic())
        self._answered[key] = stream, monotonic() + _ANSWERED_S
        self._touched[stream] = None

    def _forget_old_answers(self, now: float) -> None:
        while self._answered:
            key, (_, until) = next(iter(self._answered.items()))
            if until > now:
                return
            self._forget_answered(key)

    def _forget_answered(self, key: tuple[Endpoint, int]) -> None:
        stream, _ = self._answered.pop(key)
        self._streams.pop(key, None)
        self._timers.forget(stream)
        self.counters.refused += 1
        stream.is_closed = True

    # ── what arrives (RunReceiver) ──────────────────────────────────────────────────────────────

    def received(self, run: memoryview, packet_bytes: int, source: Endpoint) -> None:
        """Take packets of one source."""
        rest = 0
        if packet_bytes > HEADER_BYTES:
            stream = self._streams.get((source, run[2] << 8 | run[3]))
            whole = len(run) - len(run) % packet_bytes
            if stream is not None and self._received_run(stream, run[:whole], packet_bytes):
                rest = whole
        for at in range(rest, len(run), packet_bytes):
            self._received_one(run[at : at + packet_bytes], source)

    def _received_run(self, stream: UtpStream, run: memoryview, packet_bytes: int) -> bool:
        try:
            taken = stream.machine.received_run(run, packet_bytes, self._payloads, monotonic())
        except Exception as fault:
            self._failed(stream, fault)
            return True
        if taken:
            self._touched[stream] = None
        return taken

    def _received_one(self, data: memoryview, source: Endpoint) -> None:
        packet = parse(data)
        if packet is None:
            self.counters.malformed += 1
            return
        if packet.type == SYN:
            self._received_syn(packet, source)
            return
        stream = self._streams.get((source, packet.connection_id))
        if packet.type == RESET:
            stream = self._reset_stream(packet.connection_id, source)
        if stream is None:
            self.counters.unknown += 1
            if packet.type != RESET:
                self._send_reset(packet, source)
            return
        self._touched[stream] = None
        try:
            stream.machine.received(packet, monotonic())
            if self._answered:
                self._went_on(stream)
        except Exception as fault:
            self._failed(stream, fault)

    def _reset_stream(self, connection_id: int, source: Endpoint) -> UtpStream | None:
        """A reset repeats the id by which we speak, or names the one by which they do."""
        for offset in (0, 1, -1):
            stream = self._streams.get((source, (connection_id + offset) & 0xFFFF))
            if stream is not None and (not offset or stream.machine.send_id == connection_id):
                return stream
        return None

    def _send_reset(self, packet: Packet, source: Endpoint) -> None:
        now = monotonic()
        earned = (now - self._resets_at) * _RESETS_PER_S
        self._resets_left = min(_RESETS_PER_S, self._resets_left + earned)
        self._resets_at = now
        if self._resets_left >= 1:
            self._resets_left -= 1
            self._endpoint.send(reset_for(packet, int(now * 1e6)), source)

    def _went_on(self, stream: UtpStream) -> None:
        """Who acknowledges our answer is where it says to be: that is a connection."""
        machine = stream.machine
        if machine.state is State.SYN_RECEIVED:
            return
        key = stream.remote, machine.receive_id
        if self._answered.pop(key, None) is None:
            return
        if machine.state is State.CONNECTED and self._accepted is not None:
            self._accepted(stream)

    def turn_ended(self) -> None:
        """Answer what came, and do what is due."""
        self._turn()
        self._timers.run(monotonic())

    def drained(self) -> None:
        for stream in self._streams.values():
            if stream.pending_writes:
                self.touch(stream)

    # ── turns and time (Turns) ──────────────────────────────────────────────────────────────────

    @property
    def is_full(self) -> bool:
        return self._endpoint.is_full

    def touch(self, stream: UtpStream) -> None:
        """Give a stream a turn soon."""
        self._touched[stream] = None
        if not self._is_turn_due:
            self._is_turn_due = True
            self._loop.call_soon(self._due_turn)

    def _due_turn(self) -> None:
        self._is_turn_due = False
        self._turn()

    def _turn(self) -> None:
        touched, self._touched = self._touched, {}
        for stream in touched:
            try:
                stream.turn()
            except Exception as fault:
                self._failed(stream, fault)
        for stream in touched:
            stream.machine.inbound.keep()
        self._shared.arena.empty()

    def _emit(self, to: Endpoint, run: bytes | bytearray, packet_bytes: int, whole: bool) -> None:
        self._endpoint.send_run(run, packet_bytes, to, whole=whole)

    def mind(self, stream: UtpStream) -> None:
        """The timers of a stream may have changed."""
        self._timers.mind(stream)

    def _act(self, stream: UtpStream, now: float) -> None:
        """Do what is due of a stream."""
        self._forget_old_answers(now)
        if self._streams.get((stream.remote, stream.machine.receive_id)) is not stream:
            return
        try:
            stream.machine.on_timer(now)
            stream.turn()
        except Exception as fault:
            self._failed(stream, fault)

    def _failed(self, stream: UtpStream, fault: Exception) -> None:
        """End a stream for a fault of ours, which the loop reports with its traceback."""
        now = monotonic()
        self._loop.call_exception_handler(
            {"message": f"uTP connection with {stream.remote} failed", "exception": fault}
        )
        for end in partial(stream.close, fault), partial(stream.machine.abort, now), stream.turn:
            try:
                end()
            except Exception:
                log.debug("%s: its end failed as well", stream.remote, exc_info=True)
        self.forget(stream)
        self._touched.pop(stream, None)

    def lingers(self, stream: UtpStream) -> None:
        """It was closed, and what it wrote may still be on its way."""
        self.touch(stream)
        self._lingering[stream] = None
        # Whoever connects only to be hung up on must not fill memory with what he never answers.
        if len(self._lingering) > MAX_LINGERING:
            oldest = next(iter(self._lingering))
            del self._lingering[oldest]
            oldest.machine.abort(monotonic())
            self.touch(oldest)

    def forget(self, stream: UtpStream) -> None:
        """It is over and sends nothing more."""
        self._lingering.pop(stream, None)
        self._timers.forget(stream)
        key = stream.remote, stream.machine.receive_id
        if self._streams.get(key) is stream:
            del self._streams[key]
            self._answered.pop(key, None)
            if self._emptied is not None and not self._streams:
                self._emptied.set()

    # ── the end ─────────────────────────────────────────────────────────────────────────────────

    def part(self, error: PeerError) -> None:
        """End all connections and tell the peers: they know us by a port that is about to go. What
        is being dialled goes on from the next one."""
        for stream in list(self._streams.values()):
            if stream.machine.state is State.CONNECTED:
                stream.close(error)
                stream.machine.abort(monotonic())
                stream.turn()

    async def drain(self, timeout_s: float) -> None:
        """Close all connections and give their last bytes so long to arrive. Nobody may begin one
        any more."""
        self._accepted = None
        for key in list(self._answered):
            self._forget_answered(key)
        for stream in list(self._streams.values()):
            stream.close()
        if self._streams:
            self._emptied = asyncio.Event()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._emptied.wait()
            except TimeoutError:
                pass

    def close(self) -> None:
        """End all connections at once."""
        self._accepted = None
        now = monotonic()
        for stream in list(self._streams.values()):
            stream.close()
            stream.machine.abort(now)
        self._streams.clear()
        self._answered.clear()
        self._lingering.clear()
        self._touched.clear()
        self._timers.close()
        self._endpoint.run_receivers.pop(Kind.UTP, None)
