"""The one UDP port of the engine, shared by the DHT, uTP and UDP trackers (BEP 5, 15, 29).

Who a datagram is for shows in its first byte: a KRPC message is a bencoded dictionary, a uTP packet
has its version there, and what a tracker answers begins with a number far below 2²⁴.

        run of datagrams ──► first byte of each ──► receivers[kind](datagram, source)
                                                └─► run_receivers[kind].received(run, size, source)

Sending never waits: what a full socket does not take is kept in a bounded queue.
"""

from __future__ import annotations

import asyncio
import enum
import socket
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from engine.core.compact import Endpoint, endpoint
from engine.net.datagram_socket import DatagramSocket
from engine.net.reading_pace import REST_S, ReadingPace
from engine.net.relay_socket import RelaySocket
from engine.net.route import Route

DATAGRAM_BYTES = 64 * 1024
_READS_PER_TURN = 64
_BYTES_PER_TURN = 1024 * 1024
"""At most: what a run brings is read where RECEIVE_BUFFER_BYTES are, and the last has to fit."""
_MAX_WAITING_BYTES = 32 * 1024 * 1024
_MAX_SOURCES = 4096


class Kind(enum.Enum):
    """Who a datagram is for."""

    DHT = enum.auto()
    UTP = enum.auto()
    TRACKER = enum.auto()


_KINDS: list[Kind | None] = [None] * 256
_KINDS[0] = Kind.TRACKER
_KINDS[ord("d")] = Kind.DHT
for _packet_type in range(5):
    _KINDS[_packet_type << 4 | 1] = Kind.UTP

Seeker = Callable[[memoryview, Endpoint], bool]
"""Looks at a datagram and says whether it was the one that it waits for."""

Receiver = Callable[[memoryview, Endpoint], None]
"""Takes a datagram, which is reused after the return, and where it came from."""


class RunReceiver(Protocol):
    """Takes datagrams of one source by the run."""

    def received(self, run: memoryview, packet_bytes: int, source: Endpoint) -> None:
        """Take datagrams of `packet_bytes`, of which the last may be shorter; they lie at the
        beginning of the endpoint's `buffer`, which is reused after the return."""

    def turn_ended(self) -> None:
        """Called after some were received: there are no more for now."""

    def drained(self) -> None:
        """The endpoint is not full any more."""


class UdpEndpoint:
    """Sockets of one port on the addresses that it is opened for. Loop thread only."""

    def __init__(self, loop: asyncio.AbstractEventLoop, route: Route) -> None:
        self.receivers: dict[Kind, Receiver] = {}
        """Who takes what; a datagram that nobody takes is dropped."""
        self.run_receivers: dict[Kind, RunReceiver] = {}
        """Who takes runs; asked before the receivers of single datagrams."""
        self.seekers: list[Seeker] = []
        """Who waits for an answer of somebody whose address is not known; asked before all."""
        self.buffer = memoryview(bytearray(DATAGRAM_BYTES))
        """What is received lies here."""
        self.is_full = False
        """A socket takes no more: what is sent now waits in memory."""
        self.route = route
        self._loop = loop
        self._sockets: dict[bool, DatagramSocket | RelaySocket] = {}
        """By whether it speaks IPv6; a relay's speaks both."""
        self._relayed: RelaySocket | None = None
        self._waiting: deque[tuple[memoryview, int, Endpoint]] = deque()
        self._waiting_bytes = 0
        self._writers: set[int] = set()
        self._sources: dict[tuple[str, int], Endpoint] = {}
        self._port = 0
        self._pace = ReadingPace()
        self._resting: dict[DatagramSocket | RelaySocket, asyncio.TimerHandle] = {}
        """Sockets that are read when the time comes, and not when there is something."""

    @property
    def port(self) -> int:
        """0 before the first `open`; a closed endpoint still has the one that it had."""
        return self._port

    @property
    def endpoints(self) -> list[Endpoint]:
        """Where others can send to, as far as we know."""
        if self._relayed is not None:
            return []
        return [endpoint(*sock.getsockname()[:2]) for sock in self._sockets.values()]

    @property
    def families(self) -> set[bool]:
        """Those that can be spoken with: True for IPv6, False for IPv4."""
        return set(self._sockets)

    def can_reach(self, to: Endpoint) -> bool:
        """True if there is a socket of its family."""
        return to.is_ipv6 in self._sockets

    def open(self, port: int) -> None:
        """Open `port` wherever the route lets us be reached; 0 is any free one. Raises
        InputError."""
        self.use(self.route.datagrams(port))

    def use(self, sockets: list[socket.socket]) -> None:
        """Take these, of one port, in place of those that are open."""
        self.close()
        for sock in sockets:
            self._port = int(sock.getsockname()[1])
            opened = self._sockets[sock.family == socket.AF_INET6] = DatagramSocket(sock)
            self._loop.add_reader(sock.fileno(), self._on_readable, opened)

    def relay_by(self, sock: socket.socket, relay: Endpoint) -> None:
        """Send and receive all by a relay of datagrams from now on, over a socket that becomes
        ours, until we are closed. Must not be open."""
        self._relayed = RelaySocket(sock, relay)
        self._sockets = {False: self._relayed, True: self._relayed}
        self._loop.add_reader(sock.fileno(), self._on_readable, self._relayed)

    def send_to_name(self, datagram: bytes, host: str, port: int) -> bool:
        """Send to a name that the relay looks up. False: it could not be."""
        if self._relayed is None:
            return False
        try:
            self._relayed.send_to_name(datagram, host, port)
        except OSError:
            return False
        return True

    def send(self, datagram: bytes | bytearray | memoryview, to: Endpoint) -> bool:
        """Send now. False: it could not be, and is lost as any datagram may be."""
        sock = self._sockets.get(to.is_ipv6)
        if sock is None:
            return False
        try:
            sock.send_one(datagram, to)
        except OSError:
            return False
        return True

    def send_run(
        self, run: bytes | bytearray, packet_bytes: int, to: Endpoint, *, whole: bool = False
    ) -> None:
        """Send datagrams of `packet_bytes`, the last may be shorter; `whole`: one that must not be
        fragmented. What a full socket does not take is sent later, or lost if too much waits."""
        sock = self._sockets.get(to.is_ipv6)
        if sock is None:
            return
        self._pace.sent_bytes += len(run)
        try:
            if whole:
                sock.send_whole(run, to)
                return
            if not self._waiting:
                sent = sock.send(run, packet_bytes, to)
                if sent == len(run):
                    return
                run = run[sent:]
        except BlockingIOError:
            if whole:
                return
        except OSError:
            return  # as lost as any datagram may be
        if self._waiting_bytes < _MAX_WAITING_BYTES:
            self.is_full = True
            self._waiting.append((memoryview(run), packet_bytes, to))
            self._waiting_bytes += len(run)
            self._watch_writable(sock)

    def _watch_writable(self, sock: DatagramSocket | RelaySocket) -> None:
        if sock.fileno() not in self._writers:
            self._writers.add(sock.fileno())
            self._loop.add_writer(sock.fileno(), self._on_writable)

    def _on_writable(self) -> None:
        while self._waiting:
            run, packet_bytes, to = self._waiting[0]
            sock = self._sockets.get(to.is_ipv6)
            try:
                sent = sock.send(run, packet_bytes, to) if sock else len(run)
            except BlockingIOError:
                return
            except OSError:
                sent = len(run)
            self._waiting_bytes -= sent
            if sent == len(run):
                self._waiting.popleft()
            else:
                self._waiting[0] = run[sent:], packet_bytes, to
        self._forget_writers()
        for receiver in self.run_receivers.values():
            receiver.drained()

    def _forget_writers(self) -> None:
        self.is_full = False
        for fileno in self._writers:
            self._loop.remove_writer(fileno)
        self._writers.clear()

    def _on_readable(self, sock: DatagramSocket | RelaySocket) -> None:
        taken = datagrams = 0
        touched: dict[RunReceiver, None] = {}
        for _ in range(_READS_PER_TURN):
            if sock.fileno() < 0:
                return  # a receiver closed us
            try:
                count, packet_bytes, address = sock.receive(self.buffer)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                continue  # what an earlier send met; it says nothing of this port
            if not count or not address[1]:  # from port 0 nobody can be answered
                continue
            source = self._source(address)
            run = self.buffer[:count]
            if self.seekers:
                self.seekers = [each for each in self.seekers if not each(run, source)]
            firsts = run[::packet_bytes].tobytes() if count > packet_bytes else b""
            if firsts.count(run[0]) == len(firsts) or len({_KINDS[each] for each in firsts}) == 1:
                self._hand_over(run, packet_bytes, source, touched)
            else:
                for at in range(0, count, packet_bytes):
                    one = run[at : at + packet_bytes]
                    self._hand_over(one, len(one), source, touched)
            datagrams += 1
            taken += count
            if taken > _BYTES_PER_TURN - DATAGRAM_BYTES:
                break
        for receiver in touched:
            receiver.turn_ended()
        if sock.fileno() >= 0:
            self._rest(sock, datagrams, taken)

    def _rest(self, sock: DatagramSocket | RelaySocket, datagrams: int, size: int) -> None:
        """Read again after a while, or as soon as something comes."""
        was_resting = self._resting.pop(sock, None) is not None
        if self._pace.came(datagrams, size, monotonic()):
            if not was_resting:
                self._loop.remove_reader(sock.fileno())
            self._resting[sock] = self._loop.call_later(REST_S, self._on_readable, sock)
        elif was_resting:
            self._loop.add_reader(sock.fileno(), self._on_readable, sock)

    def _hand_over(
        self,
        run: memoryview,
        packet_bytes: int,
        source: Endpoint,
        touched: dict[RunReceiver, None],
    ) -> None:
        kind = _KINDS[run[0]]
        if kind is None:
            return
        if (runs := self.run_receivers.get(kind)) is not None:
            touched[runs] = None
            runs.received(run, packet_bytes, source)
        elif (receiver := self.receivers.get(kind)) is not None:
            for at in range(0, len(run), packet_bytes):
                receiver(run[at : at + packet_bytes], source)

    def _source(self, address: tuple[str, int]) -> Endpoint:
        known = self._sources.get(address)
        if known is None:
            if len(self._sources) >= _MAX_SOURCES:
                self._sources.clear()
            known = self._sources[address] = endpoint(*address)
        return known

    def close(self) -> None:
        self._forget_writers()
        self._waiting.clear()
        self._waiting_bytes = 0
        for timer in self._resting.values():
            timer.cancel()
        self._resting.clear()
        for sock in set(self._sockets.values()):
            self._loop.remove_reader(sock.fileno())
            sock.close()
        self._sockets.clear()
        self._relayed = None
