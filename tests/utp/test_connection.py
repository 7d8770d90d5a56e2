"""uTP connections: whatever the network does, the bytes arrive, in order and once, and it ends."""

from __future__ import annotations

import itertools
import os
import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.errors import PeerTimeoutError
from engine.utp.packet import DATA, FIN, RESET, STATE, SYN, pack, parse
from engine.utp.shared import State
from tests.utp.simulated_path import Clock, Link, Side, pair


class TwoConnections(RuleBasedStateMachine):
    """Two connections over a network that loses, doubles and reorders."""

    @initialize(seed=st.integers(0, 1 << 30), mtu=st.sampled_from((65_535, 1420, 1300)))
    def begin(self, seed: int, mtu: int) -> None:
        self.clock = Clock()
        self.links = [
            Link(self.clock, delay_s=0.02, mtu=mtu, rng=random.Random(seed + n)) for n in range(2)
        ]
        self.sides = pair(self.clock, *self.links)
        self.sides[0].dial()
        self.rng = random.Random(seed)
        self.sent = [bytearray(), bytearray()]

    @rule(who=st.integers(0, 1), size=st.sampled_from((1, 17, 1400, 5_000, 70_000, 300_000)))
    def write(self, who: int, size: int) -> None:
        data = self.rng.randbytes(size)
        self.sent[who] += data
        self.sides[who].to_send += data
        self.sides[who].turn()

    @rule(
        loss=st.sampled_from((0.0, 0.01, 0.2)),
        doubling=st.sampled_from((0.0, 0.1)),
        reordering=st.sampled_from((0.0, 0.3)),
    )
    def weather(self, loss: float, doubling: float, reordering: float) -> None:
        for link in self.links:
            link.loss, link.doubling, link.reordering = loss, doubling, reordering

    @rule(who=st.integers(0, 1))
    def pause_or_go_on(self, who: int) -> None:
        self.sides[who].reads = not self.sides[who].reads
        self.sides[who].turn()

    @rule(seconds=st.sampled_from((0.01, 0.1, 1.0)))
    def wait(self, seconds: float) -> None:
        self.clock.run(self.clock.now + seconds)

    @invariant()
    def what_arrived_is_how_the_stream_begins(self) -> None:
        for who, side in enumerate(getattr(self, "sides", ())):
            sent = self.sent[1 - who]
            assert side.received == sent[: len(side.received)]
            machine = side.connection
            if machine is not None:
                assert machine.outbound.under_way >= 0
                assert machine.inbound.ready_bytes <= machine.inbound.limit + 64 * 1024

    def teardown(self) -> None:
        if not hasattr(self, "sides"):
            return
        for link in self.links:
            link.loss = link.reordering = link.doubling = 0.0
        for side in self.sides:
            side.reads = True
            side.turn()
        if any(side.connection and side.connection.error for side in self.sides):
            return  # bad weather for half a minute may end a connection; it says so
        if any(side.connection and side.connection.state is State.SYN_SENT for side in self.sides):
            return  # and it may have taken all beginnings but the one that is given up

        def is_there() -> bool:
            return all(
                len(side.received) == len(self.sent[1 - who]) for who, side in enumerate(self.sides)
            )

        self.clock.run(self.clock.now + 120, is_there)
        assert [bytes(side.received) for side in self.sides] == [
            bytes(data) for data in reversed(self.sent)
        ]
        for side in self.sides:
            side.finishes = True
            side.turn()
        self.clock.run(self.clock.now + 60, lambda: all(_is_closed(side) for side in self.sides))
        assert all(_is_closed(side) for side in self.sides)
        assert all(not any(_impossible(side)) for side in self.sides)


def _is_closed(side: Side) -> bool:
    return side.connection is not None and side.connection.state is State.CLOSED


def _impossible(side: Side) -> tuple[int, ...]:
    counters = side.counters
    return counters.malformed, counters.bogus_acks, counters.forged_resets


TestTwoConnections = TwoConnections.TestCase
TestTwoConnections.settings = settings(max_examples=50, stateful_step_count=20, deadline=None)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _connected(clock: Clock, **link: float) -> tuple[Side, Side]:
    ours, theirs = pair(clock, Link(clock, **link), Link(clock, **link))  # type: ignore[arg-type]
    ours.dial()
    ours.to_send += b"hello"
    clock.run(clock.now + 1, lambda: theirs.received == b"hello")
    assert theirs.received == b"hello"
    clock.run(clock.now + 0.2)
    return ours, theirs


def _inject(side: Side, kind: int, *, seq: int = 0, ack: int = 0, **fields: int | bytes) -> None:
    machine = side.connection
    assert machine is not None
    values: dict[str, int | bytes] = {"timestamp": 1, "delay": 1, "window": 1 << 20, **fields}
    data = pack(kind, machine.receive_id, seq=seq, ack=ack, **values)  # type: ignore[arg-type]
    side.arrive(data)


def test_the_beginning_is_that_of_bep_29(clock: Clock) -> None:
    ours, theirs = pair(clock, Link(clock), Link(clock))
    seen = []
    for side in (ours, theirs):
        side.on_datagram = lambda data: seen.append(parse(memoryview(data))) or data
    ours.dial(10)
    ours.to_send += b"x"
    clock.run(clock.now + 0.5)
    syn, answer, data = seen[:3]
    assert (syn.type, syn.connection_id, syn.seq) == (SYN, 10, 1)
    assert (answer.type, answer.connection_id, answer.ack) == (STATE, 10, 1)
    assert (data.type, data.connection_id, data.seq) == (DATA, 11, 2)
    assert data.ack == (answer.seq - 1) & 0xFFFF


def test_nobody_there_is_found_out_in_seconds(clock: Clock) -> None:
    ours, _ = pair(clock, Link(clock, loss=1.0), Link(clock))
    began = clock.now
    ours.dial()
    clock.run(clock.now + 60, lambda: _is_closed(ours))
    assert ours.connection is not None
    assert isinstance(ours.connection.error, PeerTimeoutError)
    assert clock.now - began < 10


def test_who_falls_silent_is_given_up_after_longer_and_longer_waits(clock: Clock) -> None:
    ours, theirs = _connected(clock)
    ours.out.loss = theirs.out.loss = 1.0
    ours.to_send += bytes(10_000)
    ours.turn()
    left = []
    ours.on_datagram = lambda data: left.append(clock.now) or data
    clock.run(clock.now + 200, lambda: _is_closed(ours))
    assert isinstance(ours.connection and ours.connection.error, PeerTimeoutError)
    assert len(left) < 40, "it must not hammer"
    waits = [later - sooner for sooner, later in itertools.pairwise(left)]
    assert max(waits) > 4


def test_a_refusal_and_a_reset_end_it_and_forged_ones_do_not(clock: Clock) -> None:
    ours, _theirs = _connected(clock)
    machine = ours.connection
    assert machine is not None
    for ack in range(0, 0x10000, 97):
        if (machine.outbound.next - ack) & 0xFFFF > 1:
            _inject(ours, RESET, ack=ack)
    assert machine.state is State.CONNECTED
    assert ours.counters.forged_resets > 600
    _inject(ours, RESET, ack=machine.outbound.next - 1)
    assert machine.state is State.CLOSED
    assert "reset by the peer" in str(machine.error)
    refused, _ = pair(clock, Link(clock), Link(clock))
    refused.dial(99)
    _inject(refused, RESET, ack=1)
    assert "refused" in str(refused.connection and refused.connection.error)


def test_bogus_packets_are_dropped_and_counted(clock: Clock) -> None:
    ours, _theirs = _connected(clock)
    machine = ours.connection
    assert machine is not None
    rng = random.Random(3)
    next_seq = machine.inbound.next
    for _ in range(2000):
        _inject(
            ours,
            rng.choice((DATA, STATE, FIN)),
            seq=rng.getrandbits(16),
            ack=rng.getrandbits(16),
            timestamp=rng.getrandbits(32),
            delay=rng.getrandbits(32),
            window=rng.getrandbits(32),
            sack=rng.getrandbits(2016) | 1,
            payload=b"junk",
        )
    assert ours.counters.bogus_acks > 900
    assert machine.inbound.next == next_seq
    assert machine.inbound._early_bytes <= machine.inbound.limit + 64 * 1024
    assert machine.state is State.CONNECTED


def test_sack_masks_for_what_was_never_sent_change_nothing(clock: Clock) -> None:
    ours, theirs = _connected(clock)
    machine = ours.connection
    assert machine is not None
    data = os.urandom(200_000)
    theirs.received.clear()
    ours.to_send += data
    ours.turn()
    for _ in range(20):
        _inject(ours, STATE, seq=machine.inbound.next, ack=machine.outbound.next - 1, sack=1 << 900)
    assert ours.counters.bogus_acks >= 20
    assert machine.outbound.packets_lost == 0
    clock.run(clock.now + 5)
    assert theirs.received == data


def test_a_window_of_nothing_stops_the_flow_until_it_opens(clock: Clock) -> None:
    ours, theirs = _connected(clock)
    theirs.received.clear()
    theirs.reads = False
    data = os.urandom(1_000_000)
    ours.to_send += data
    ours.turn()
    clock.run(clock.now + 100)
    held = theirs.connection and theirs.connection.inbound.ready_bytes
    assert held
    assert held < 400_000, "no more than was said to fit"
    assert ours.connection is not None
    assert ours.connection.state is State.CONNECTED
    assert theirs.connection is not None
    theirs.out.loss = 1.0  # the news that it opens is lost
    theirs.reads = True
    theirs.turn()
    theirs.out.loss = 0.0
    clock.run(clock.now + 60, lambda: len(theirs.received) == len(data))
    assert theirs.received == data


def test_room_for_what_was_lost_is_not_given_to_what_is_new(clock: Clock) -> None:
    """Else the peer's buffer fills up behind a gap, and it has no room for what closes it."""
    ours, theirs = _connected(clock)
    theirs.received.clear()
    machine, far = ours.connection, theirs.connection
    assert machine is not None
    assert far is not None
    data = os.urandom(3_000_000)
    ours.to_send += data
    ours.out.loss = 0.1
    most = 0

    def look() -> bool:
        nonlocal most
        most = max(most, far.inbound.ready_bytes + far.inbound._early_bytes - far.inbound.limit)
        held = machine.outbound.under_way + machine.outbound.lost_bytes + machine.outbound.unsent
        assert held <= max(machine.feedback.window, machine.ledbat.window) + 300_000
        return len(theirs.received) == len(data)

    ours.turn()
    clock.run(clock.now + 120, look)
    assert theirs.received == data
    assert most <= 2 * 1472, "what was sent beyond the window"


def test_the_last_bytes_arrive_though_the_connection_was_closed_with_them(clock: Clock) -> None:
    ours, theirs = _connected(clock, loss=0.1)
    theirs.received.clear()
    data = os.urandom(60_000)
    assert ours.connection is not None
    assert ours.connection.write(memoryview(data), ours.now)
    ours.finishes = True
    ours.turn()
    sent = len(data) - len(ours.to_send)
    clock.run(clock.now + 30, lambda: bool(theirs.connection and theirs.connection.is_at_end))
    assert theirs.connection is not None
    assert theirs.connection.is_at_end
    assert data.startswith(bytes(theirs.received))
    assert len(theirs.received) == min(sent, len(theirs.received)) > 10_000
    clock.run(clock.now + 60, lambda: _is_closed(ours))
    assert _is_closed(ours)


def test_a_closed_connection_lingers_only_so_long(clock: Clock) -> None:
    ours, theirs = _connected(clock)
    theirs.reads = False
    ours.to_send += bytes(100_000)
    ours.turn()
    theirs.out.loss = ours.out.loss = 1.0
    ours.to_send.clear()
    ours.finishes = True
    ours.turn()
    clock.run(clock.now + 31)
    assert _is_closed(ours)


def test_an_idle_connection_says_so_every_half_minute(clock: Clock) -> None:
    ours, _ = _connected(clock)
    sent = []
    ours.on_datagram = lambda data: sent.append(parse(memoryview(data))) or data
    clock.run(clock.now + 100)
    assert [packet.type for packet in sent if packet] == [STATE] * 3


def test_a_batch_is_answered_by_one_ack(clock: Clock) -> None:
    _ours, theirs = _connected(clock)
    machine = theirs.connection
    assert machine is not None
    sent = []
    theirs.on_datagram = lambda data: sent.append(data) or None
    for n in range(50):
        packet = parse(
            memoryview(
                pack(
                    DATA, machine.receive_id, timestamp=1, delay=0, window=1 << 20,
                    seq=machine.inbound.next, ack=machine.outbound.next - 1, payload=b"%d" % n,
                )
            )
        )  # fmt: skip
        assert packet is not None
        machine.received(packet, theirs.now)
    theirs.turn()
    assert len(sent) == 1


def test_a_lost_tail_is_noticed_before_the_time_out(clock: Clock) -> None:
    ours, theirs = _connected(clock)
    theirs.received.clear()
    ours.out.loss = 1.0
    ours.to_send += b"the last word"
    ours.turn()
    ours.out.loss = 0.0
    began = clock.now
    clock.run(clock.now + 5, lambda: bool(theirs.received))
    assert clock.now - began < 0.3
