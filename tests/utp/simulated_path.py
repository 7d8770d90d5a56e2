"""Two uTP connections over links that delay, queue, lose and reorder; on a virtual clock."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from engine.utp.arena import Arena
from engine.utp.connection import UtpConnection
from engine.utp.packet import SYN, parse
from engine.utp.shared import Shared, State

IP_UDP_BYTES = 28


class Clock:
    """Runs what is due, in order of time."""

    def __init__(self) -> None:
        self.now = 100.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._number = count()

    def at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._due, (max(when, self.now), next(self._number), what))

    def run(self, until: float, is_done: Callable[[], bool] = lambda: False) -> None:
        while self._due and self._due[0][0] <= until and not is_done():
            self.now, _, what = heapq.heappop(self._due)
            what()
        if not is_done():
            self.now = until


@dataclass
class Link:
    """One direction of a path; several flows may share it. Rate 0 = as fast as it comes."""

    clock: Clock
    rate: float = 0.0
    """Bytes a second."""
    delay_s: float = 0.01
    queue_bytes: float = float("inf")
    loss: float = 0.0
    doubling: float = 0.0
    reordering: float = 0.0
    """Share of packets that take up to `jitter_s` longer."""
    jitter_s: float = 0.02
    mtu: int = 65_535
    """What is larger is lost if it must not be fragmented."""
    rng: random.Random = field(default_factory=lambda: random.Random(7))
    busy_until: float = 0.0
    carried: int = 0
    """Bytes that came out of the queue."""
    dropped: int = 0

    @property
    def queue_s(self) -> float:
        return max(0.0, self.busy_until - self.clock.now)

    def send(self, size: int, deliver: Callable[[], None], *, whole: bool = False) -> None:
        size += IP_UDP_BYTES
        now = self.clock.now
        if self.rng.random() < self.loss or (whole and size > self.mtu):
            return
        if self.rate:
            if self.queue_s * self.rate + size > self.queue_bytes:
                self.dropped += 1
                return
            self.busy_until = max(now, self.busy_until) + size / self.rate
            at = self.busy_until + self.delay_s
        else:
            at = now + self.delay_s
        self.carried += size
        if self.reordering and self.rng.random() < self.reordering:
            at += self.rng.random() * self.jitter_s
        self.clock.at(at, deliver)
        if self.doubling and self.rng.random() < self.doubling:
            self.clock.at(at + self.rng.random() * self.jitter_s, deliver)


class Side:
    """One end: a connection, what it still has to send, what it has received."""

    def __init__(self, clock: Clock, out: Link, *, skew_s: float = 0.0, drift: float = 0.0) -> None:
        self.clock = clock
        self.out = out
        self.connection: UtpConnection | None = None
        self.shared = Shared(Arena(memoryview(bytearray(1 << 20))))
        self.counters = self.shared.counters
        self.to_send = bytearray()
        self.is_greedy = False
        self.received = bytearray()
        self.received_bytes = 0
        self.reads = True
        self.finishes = False
        """Ends the stream when all was sent and the other side has ended."""
        self.far: Side
        self.on_datagram: Callable[[bytes], bytes | None] = lambda data: data
        self._skew_s, self._drift = skew_s, drift
        self._timer_at = float("inf")
        self._filler = memoryview(bytes(1 << 20))

    @property
    def now(self) -> float:
        return self.clock.now * (1 + self._drift) + self._skew_s

    def _global(self, at: float) -> float:
        return (at - self._skew_s) / (1 + self._drift)

    def dial(self, receive_id: int = 10) -> None:
        self.connection = UtpConnection(receive_id, self.shared, self._emit, now=self.now)
        self.connection.dial(self.now)
        self.turn()

    def arrive(self, data: bytes) -> None:
        packet = parse(memoryview(data))
        assert packet is not None
        if self.connection is None:
            if packet.type == SYN:
                self.connection = UtpConnection(
                    packet.connection_id + 1, self.shared, self._emit, now=self.now
                )
                self.connection.answer(packet, 65_000, self.now)
        elif packet.type == SYN:
            self.connection.repeated_syn(self.now)
        else:
            self.connection.received(packet, self.now)
        self.turn()

    def turn(self) -> None:
        """What the I/O layer does when something happened."""
        connection = self.connection
        if connection is None:
            return
        if self.reads:
            while connection.inbound.ready_bytes:
                data = connection.inbound.read(1 << 20)
                self.received_bytes += len(data)
                if not self.is_greedy and not self.far.is_greedy:
                    self.received += data
        connection.inbound.keep()
        self.shared.arena.empty()
        if self.is_greedy:
            while room := connection.writable:
                connection.write(self._filler[:room], self.now)
        elif self.to_send and connection.writable:
            taken = connection.write(memoryview(bytes(self.to_send)), self.now)
            del self.to_send[:taken]
        if self.finishes and not self.to_send:
            connection.finish(self.now)
        connection.push(self.now)
        due = connection.next_timer()
        if due is not None and self._global(due) < self._timer_at:
            self._timer_at = self._global(due)
            self.clock.at(self._timer_at, self._on_timer)

    def _emit(self, datagrams: bytes, size: int, whole: bool) -> None:
        for at in range(0, len(datagrams), max(1, size)):
            data = self.on_datagram(datagrams[at : at + size])
            if data is not None:
                self.out.send(len(data), lambda data=data: self.far.arrive(data), whole=whole)

    def _on_timer(self) -> None:
        if self.clock.now < self._timer_at:
            return
        self._timer_at = float("inf")
        if self.connection is not None and self.connection.state is not State.CLOSED:
            self.connection.on_timer(self.now)
            self.turn()


def pair(
    clock: Clock, there: Link, back: Link, *, skew_s: float = 0.0, drift: float = 0.0
) -> tuple[Side, Side]:
    """A side that dials over `there` and one that answers over `back`."""
    ours, theirs = Side(clock, there), Side(clock, back, skew_s=skew_s, drift=drift)
    ours.far, theirs.far = theirs, ours
    return ours, theirs


class GreedyFlow:
    """A flow as TCP Reno's: it fills the queue of a link until packets are dropped there."""

    PACKET = 1448

    def __init__(self, clock: Clock, link: Link, back_s: float) -> None:
        self.clock, self.link, self._back_s = clock, link, back_s
        self.window = 10.0
        self.threshold = float("inf")
        self.delivered = 0
        self.is_stopped = False
        self._under_way = 0
        self._cut_at = 0.0

    def start(self) -> None:
        self._fill()

    def _fill(self) -> None:
        while self._under_way < int(self.window) and not self.is_stopped:
            self._under_way += 1
            before = self.link.dropped
            sent_at = self.clock.now
            self.link.send(self.PACKET, lambda at=sent_at: self._arrived(at))
            if self.link.dropped > before:
                trip = self.link.queue_s + self.link.delay_s + self._back_s
                self.clock.at(self.clock.now + trip, lambda at=sent_at: self._lost(at))

    def _arrived(self, sent_at: float) -> None:
        self.delivered += self.PACKET
        self.clock.at(self.clock.now + self._back_s, lambda: self._acked(sent_at))

    def _acked(self, sent_at: float) -> None:
        self._under_way -= 1
        self.window += 1 if self.window < self.threshold else 1 / self.window
        self._fill()

    def _lost(self, sent_at: float) -> None:
        self._under_way -= 1
        if sent_at >= self._cut_at:
            self.threshold = self.window = max(2.0, self.window / 2)
            self._cut_at = self.clock.now
        self._fill()
