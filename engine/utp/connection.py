"""One uTP connection: a stream of bytes each way over packets that get lost (BEP 29). HOT.

It never waits and knows no socket: packets and time are told, and what is to leave goes to `emit`.

        received / received_run ──► inbound ──► inbound.read
        write ──► outbound ──┐
        timers, acks ────────┴─► push ──► emit

One ack answers all that came before a `push`. Whatever no honest peer sends is dropped and counted.
"""

from __future__ import annotations

from engine.errors import PeerError, PeerTimeoutError
from engine.utp.acks import Acks
from engine.utp.feedback import Feedback
from engine.utp.inbound import Inbound
from engine.utp.ledbat import Ledbat
from engine.utp.outbound import Emit, Outbound
from engine.utp.packet import (
    DATA,
    FIN,
    HEADER_BYTES,
    RESET,
    STATE,
    SYN,
    Packet,
    Payloads,
    is_data_in_order,
    pack,
    parse,
    prefix,
)
from engine.utp.path_mtu import PathMtu
from engine.utp.shared import Shared, State
from engine.utp.timing import ACK_DELAY_S, KEEP_ALIVE_S, LINGER_S, SYN_TRIES, TRIES, Timing


class UtpConnection:
    """The state of one connection, that begins when it is told to `dial` or to `answer`."""

    __slots__ = (
        "_acks",
        "_force_one",
        "_has_fin",
        "_is_finishing",
        "_last_window",
        "_now",
        "_unseen",
        "counters",
        "emit",
        "error",
        "feedback",
        "inbound",
        "ledbat",
        "outbound",
        "receive_id",
        "send_id",
        "state",
        "timing",
    )

    def __init__(
        self, receive_id: int, shared: Shared, emit: Emit, *, is_ipv6: bool = False, now: float
    ) -> None:
        """`receive_id` is what the other side's packets bear; `emit` sends."""
        self.receive_id = receive_id & 0xFFFF
        self.send_id = (receive_id + 1) & 0xFFFF
        self.counters = shared.counters
        self.emit = emit
        self.state = State.IDLE
        self.error: PeerError | None = None
        """Why it ended, if not in good order."""
        mtu = PathMtu(is_ipv6=is_ipv6)
        self.ledbat = Ledbat(mtu.packet_bytes - HEADER_BYTES)
        self.outbound = Outbound(1, mtu, shared.pool, emit)
        self.outbound.prefix_of = self._prefix
        self.inbound = Inbound(0, shared.arena, now)
        self.timing = Timing(now)
        self.feedback = Feedback(self.outbound, self.ledbat, self.timing, shared.counters)
        self._now = now
        self._unseen: Packet | None = None
        """The last of a run whose header was not taken yet."""
        self._last_window = self.inbound.window
        """What we said last that may come."""
        self._acks = Acks(now)
        self._force_one = False
        self._is_finishing = False
        self._has_fin = False

    def dial(self, now: float) -> None:
        """Begin a connection by an id that was chosen at random."""
        self._now = now
        self.state = State.SYN_SENT
        self.outbound.send_control(SYN)
        self.timing.sent(1, now)

    def answer(self, syn: Packet, first: int, now: float) -> None:
        """Answer a SYN; its id is one below ours. `first`, the number of our first packet, is
        random: who acknowledges it has seen our answer, and is where it says to be."""
        self._now = now
        self.state = State.SYN_RECEIVED
        self.send_id = syn.connection_id
        self.outbound.next = first
        self.inbound.next = syn.seq + 1
        self.feedback.stamp(syn, now)
        self._send_ack()

    # ── what arrives ────────────────────────────────────────────────────────────────────────────

    def received_run(
        self, run: memoryview, packet_bytes: int, payloads: Payloads, now: float
    ) -> bool:
        """Take packets, all of `packet_bytes`. False: they are not plain data of this connection in
        order, and each has to be looked at by itself."""
        inbound = self.inbound
        count = len(run) // packet_bytes
        if (
            packet_bytes <= HEADER_BYTES
            or self.state is not State.CONNECTED
            or self.timing.linger_until is not None
            or not is_data_in_order(run, packet_bytes, count, inbound.next)
        ):
            return False
        last = parse(run[(count - 1) * packet_bytes :])
        if last is None or last.connection_id != self.receive_id:
            return False
        if last.ack == self.feedback.seen_ack:
            self._unseen = last  # nothing new but times: once in a turn will do
        elif not self.feedback.take(last, now):
            return True
        had_gap = bool(inbound.early)
        data = last.payload if count == 1 else b"".join(payloads.of(run, packet_bytes, count))
        if inbound.take_run(data, count, now):
            self._ack_later(count, now, is_urgent=had_gap)
        else:
            self.counters.out_of_window += count
        return True

    def _see(self, now: float) -> None:
        unseen, self._unseen = self._unseen, None
        if unseen is not None:
            self.feedback.take(unseen, now)

    def received(self, packet: Packet, now: float) -> None:
        """Take one packet of this connection; any type but SYN, which `repeated_syn` takes."""
        if self.state is State.CLOSED:
            return
        if self._unseen is not None:
            self._see(now)
        if packet.type == RESET:
            self._received_reset(packet)
            return
        if self.state is State.SYN_SENT:
            if packet.type != STATE:
                return  # it overtook the answer, and will come again
            if self.outbound.unwrap(packet.ack) != 1:
                self.counters.bogus_acks += 1
                return
            # Who answers a SYN goes on with the number of the answer.
            self.inbound.next = packet.seq
            self.state = State.CONNECTED
        is_first = self.state is State.SYN_RECEIVED
        if not self.feedback.take(packet, now, must_match=is_first):
            return
        if is_first:
            self.state = State.CONNECTED
        if packet.type == DATA:
            self._received_data(packet, now)
        elif packet.type == FIN:
            if not self.inbound.take_fin(self.inbound.unwrap(packet.seq), now):
                self.counters.out_of_window += 1
            self._ack_later(1, now, is_urgent=True)

    def _received_data(self, packet: Packet, now: float) -> None:
        inbound = self.inbound
        number = inbound.unwrap(packet.seq)
        is_next = number == inbound.next
        if self.timing.linger_until is not None and number >= inbound.next:
            packet = packet._replace(payload=packet.payload[:0])  # nobody reads it any more
        taken = inbound.take(number, packet.payload, now)
        if taken is False:
            self.counters.out_of_window += 1
        elif taken is None:
            self.counters.duplicates += 1
        # A gap, or its end, is told at once: somebody waits for it.
        in_order = taken and is_next and not inbound.early
        self._ack_later(1, now, is_urgent=not in_order)

    def repeated_syn(self, now: float) -> None:
        """Our answer was lost, or the question was doubled."""
        self.counters.duplicates += 1
        if self.state is not State.CLOSED:
            self._now = now
            self._send_ack()

    def _received_reset(self, packet: Packet) -> None:
        outbound = self.outbound
        behind = (outbound.next - packet.ack) & 0xFFFF
        # Who answers by a reset repeats the number of what it answers, and cannot guess it.
        if behind > outbound.next - outbound.oldest + 1:
            self.counters.forged_resets += 1
            return
        refused = self.state is State.SYN_SENT
        self._end(PeerError("the connection was refused" if refused else "reset by the peer"))

    # ── what is asked of it ─────────────────────────────────────────────────────────────────────

    @property
    def writable(self) -> int:
        """Bytes that `write` would take now."""
        if self.state is not State.CONNECTED or self._is_finishing:
            return 0
        outbound = self.outbound
        waiting = outbound.under_way + outbound.lost_bytes + outbound.unsent
        room = int(min(self.ledbat.window, self.feedback.window)) - waiting
        if self._force_one or (not waiting and self.feedback.window and room < outbound.step):
            return min(outbound.step, max(room, self.feedback.window, 1))
        return max(0, room)

    def write(self, data: memoryview, now: float) -> int:
        """Take bytes to be sent, no more than are `writable`; return how many. They leave at the
        next `push`."""
        self._now = now
        outbound = self.outbound
        data = data[: self.writable]
        if not data:
            return 0
        if self._unseen is not None:
            self._see(now)
        self._begin_sending()
        numbered = outbound.next
        taken = outbound.append(data, now)
        if taken:
            self._force_one = False
        self._has_sent(numbered, now)
        return taken

    @property
    def is_at_end(self) -> bool:
        """The peer will send nothing more, and all of it was read."""
        return self.inbound.is_at_end

    def finish(self, now: float) -> None:
        """Say that nothing follows, once all has been sent; what comes is no longer kept."""
        if self.state is not State.CONNECTED:
            self.abort(now)
        elif not self._is_finishing:
            self._is_finishing = True
            self.timing.linger_until = now + LINGER_S
            self.inbound.drop()

    def abort(self, now: float) -> None:
        """End at once; the peer is told, once."""
        if self.state is State.CONNECTED:
            self._now = now
            self._emit(RESET)
        self._end(None)

    def _end(self, error: PeerError | None) -> None:
        self.state = State.CLOSED
        self.error = error
        self.outbound.close()
        self.inbound.drop()

    def push(self, now: float) -> None:
        """Emit what may leave now. Must be called after whatever else was."""
        if self.state is State.CLOSED:
            return
        if self._unseen is not None:
            self._see(now)
        self._now = now
        outbound, inbound = self.outbound, self.inbound
        self._begin_sending()
        numbered = outbound.next
        window = int(min(self.ledbat.window, max(self.feedback.window, outbound.step)))
        sent = outbound.resend(window, now)
        sent += outbound.push(flushing=self._is_finishing or not outbound.is_bulk)
        if self._is_finishing and self.state is State.CONNECTED and not outbound.unsent:
            if self.timing.linger_until is not None and not self._has_fin:
                outbound.send_control(FIN)
                self._has_fin = True
                sent += 1
            elif not outbound.has_packets:
                self._end(None)
                return
        self._has_sent(numbered, now)
        if sent and not inbound.early:
            self._has_acked()
        elif self.state is not State.SYN_SENT and self._is_ack_due(now):
            self._send_ack()
        if not self.feedback.window and not outbound.has_packets:
            self.timing.persist(now)

    def _has_sent(self, numbered: int, now: float) -> None:
        if self.outbound.next != numbered:
            self.timing.sent(self.outbound.next - 1, now)

    def _is_ack_due(self, now: float) -> bool:
        if self._acks.are_due:
            return True
        if self.timing.ack_at is not None and now >= self.timing.ack_at:
            return True
        # The peer may wait for room; a little more of it is not worth a packet.
        return self.inbound.window - self._last_window >= self.inbound.limit // 2

    def _ack_later(self, packets: int, now: float, *, is_urgent: bool) -> None:
        self._acks.came(packets, is_urgent=is_urgent)
        if self.timing.ack_at is None:
            self.timing.ack_at = now + ACK_DELAY_S

    # ── time ────────────────────────────────────────────────────────────────────────────────────

    def next_timer(self) -> float | None:
        """When `on_timer` must be called; None: not for as long as nothing happens."""
        if self.state is State.CLOSED:
            return None
        return self.timing.next_at

    def on_timer(self, now: float) -> None:
        """Do what is due. Must be followed by `push`."""
        if self.state is State.CLOSED:
            return
        self._now = now
        if self.timing.linger_until is not None and now >= self.timing.linger_until:
            self.abort(now)
            return
        timing = self.timing
        if timing.retry_at is not None and now >= timing.retry_at:
            self._timed_out(now)
        elif timing.probe_at is not None and now >= timing.probe_at:
            timing.probe_at = None
            timing.sent_again()
            self._begin_sending()
            self.outbound.resend_last(now)
        if timing.persist_at is not None and now >= timing.persist_at:
            timing.persisted(is_open=bool(self.feedback.window))
            self._force_one = not self.feedback.window
        if now >= timing.keep_alive_at:
            timing.keep_alive_at = now + KEEP_ALIVE_S
            if self.state is State.CONNECTED:
                self._send_ack()

    def _timed_out(self, now: float) -> None:
        timing, outbound = self.timing, self.outbound
        timing.timed_out(now)
        is_dialling = self.state is State.SYN_SENT
        if timing.timeouts >= (SYN_TRIES if is_dialling else TRIES):
            self._end(PeerTimeoutError("no answer" if is_dialling else "it does not answer"))
            return
        if timing.timeouts == 1:
            self.ledbat.timed_out()
        else:
            outbound.mtu.nothing_passes(now)
        self.feedback.timed_out()
        outbound.lose_all()

    # ── packets without bytes ───────────────────────────────────────────────────────────────────

    def _begin_sending(self) -> None:
        """Say what the headers of all packets have that leave now."""
        outbound = self.outbound
        self.ledbat.packet_bytes = outbound.step
        outbound.ack = self.inbound.next - 1
        outbound.prefix = self._prefix(DATA)

    def _prefix(self, kind: int) -> bytes:
        return prefix(
            kind,
            self.receive_id if kind == SYN else self.send_id,
            int(self._now * 1e6),
            self.feedback.reply_micro,
            self.inbound.window,
        )

    def _has_acked(self) -> None:
        self._acks.answered(self._now)
        self.timing.ack_at = None
        self._last_window = self.inbound.window

    def _send_ack(self) -> None:
        self._has_acked()
        self.timing.keep_alive_at = self._now + KEEP_ALIVE_S
        self._emit(STATE)

    def _emit(self, kind: int) -> None:
        data = pack(
            kind,
            self.send_id,
            timestamp=int(self._now * 1e6),
            delay=self.feedback.reply_micro,
            window=self.inbound.window,
            seq=self.outbound.next,
            ack=self.inbound.next - 1,
            sack=self.inbound.early if kind == STATE else 0,
        )
        self.emit(data, len(data), False)
