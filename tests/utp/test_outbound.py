"""The sending half: rows of packets, what settles them, what is sent again."""

from __future__ import annotations

import os

import pytest

from engine.utp.flight import FlightPool, run_packets
from engine.utp.outbound import Outbound
from engine.utp.packet import DATA, FIN, parse, prefix
from engine.utp.path_mtu import PathMtu


class Rig:
    """An Outbound, and the packets that it sent by number, the last copy of each."""

    def __init__(self, first: int = 65_500, *, probes: bool = False) -> None:
        self.sent: dict[int, bytes] = {}
        self.runs: list[int] = []
        self.whole: list[int] = []
        self.first = first
        mtu = PathMtu(is_ipv6=False)
        if not probes:
            mtu.nothing_passes(0.0)
        self.outbound = Outbound(first, mtu, FlightPool(), self._emit)
        self.outbound.prefix = prefix(DATA, 7, 0, 0, 0)
        self.outbound.prefix_of = lambda kind: prefix(kind, 7, 0, 0, 0)

    def _emit(self, run: bytes, size: int, whole: bool) -> None:
        count = 0
        for at in range(0, len(run), size):
            packet = parse(memoryview(run[at : at + size]))
            assert packet is not None
            number = self.outbound.unwrap(packet.seq)
            if number is None:
                number = packet.seq + (0x10000 if packet.seq < self.first & 0xFFFF else 0)
            self.sent[number] = bytes(packet.payload)
            count += 1
            if whole:
                self.whole.append(len(packet.payload) + 20)
        self.runs.append(count)

    def stream(self) -> bytes:
        return b"".join(self.sent[number] for number in sorted(self.sent))


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_bytes_become_rows_of_full_packets_and_a_short_last_one(rig: Rig) -> None:
    data = os.urandom(100_000)
    assert rig.outbound.append(memoryview(data), 0.0) == len(data)
    assert rig.outbound.push(flushing=True)
    assert rig.stream() == data
    assert max(rig.runs) == run_packets(528) == 64
    assert rig.outbound.under_way == len(data)


def test_a_short_packet_waits_to_be_filled_up(rig: Rig) -> None:
    outbound = rig.outbound
    outbound.append(memoryview(b"a" * 600), 0.0)
    outbound.push(flushing=False)
    assert len(rig.stream()) == 528
    outbound.append(memoryview(b"b" * 456), 0.0)
    outbound.push(flushing=False)
    assert rig.stream() == b"a" * 600 + b"b" * 456
    assert [len(each) for each in rig.sent.values()] == [528, 528]


def test_acks_settle_from_the_oldest_on(rig: Rig) -> None:
    outbound = rig.outbound
    data = os.urandom(528 * 100 + 5)
    outbound.append(memoryview(data), 0.0)
    outbound.push(flushing=True)
    assert outbound.acked(65_500 + 69, 0.0) == 70 * 528
    assert outbound.oldest == 65_570
    assert outbound.under_way == len(data) - 70 * 528
    assert outbound.acked(65_500 + 10, 0.0) == 0, "an old one"
    assert outbound.acked(65_500 + 100, 0.0) == 30 * 528 + 5
    assert outbound.is_empty
    assert outbound.under_way == 0


def test_three_beyond_a_gap_make_it_lost_and_it_is_sent_again_once(rig: Rig) -> None:
    outbound = rig.outbound
    outbound.append(memoryview(os.urandom(528 * 40)), 0.0)
    outbound.push(flushing=True)
    first = rig.first
    sack = 0b1011  # behind ack first+9: 10 is missing, 11, 12 and 14 have arrived
    outbound.acked(first + 9, 1.0)
    assert outbound.sacked(first + 9, sack, 1.0) == 3 * 528
    assert outbound.find_lost(first + 9, sack, 0.0) == 1
    assert outbound.find_lost(first + 9, sack, 0.0) == 0
    before = dict(rig.sent)
    rig.sent.clear()
    under_way = outbound.under_way
    assert outbound.resend(1 << 20, 1.0) == 1
    assert rig.sent == {first + 10: before[first + 10]}
    assert outbound.under_way == under_way + 528
    assert outbound.find_lost(first + 9, sack, 0.9) == 0, "that copy is still on its way"
    assert outbound.find_lost(first + 9, sack, 1.1) == 1


def test_all_that_is_under_way_can_be_given_up_and_comes_again_as_the_window_allows(
    rig: Rig,
) -> None:
    outbound = rig.outbound
    data = os.urandom(528 * 70)
    outbound.append(memoryview(data), 0.0)
    outbound.push(flushing=True)
    outbound.sacked(rig.first + 1, 1 << 20, 0.0)
    outbound.lose_all()
    assert outbound.under_way == 0
    assert outbound.lost_bytes == len(data) - 528
    assert outbound.resend(2 * 528, 1.0) == 2
    assert outbound.lost_bytes == len(data) - 3 * 528
    assert outbound.resend(1 << 20, 1.0) == 67, "one had arrived"
    outbound.acked(rig.first + 69, 2.0)
    assert outbound.is_empty
    assert outbound.under_way == outbound.lost_bytes == 0


def test_a_probe_leaves_alone_and_its_loss_is_no_congestion() -> None:
    rig = Rig(probes=True)
    outbound = rig.outbound
    outbound.append(memoryview(os.urandom(50_000)), 0.0)
    outbound.push(flushing=True)
    assert rig.whole == [1472]
    assert {len(each) for each in list(rig.sent.values())[1:-1]} == {1232}
    outbound.sacked(rig.first - 1, 0b111, 0.0)
    assert outbound.find_lost(rig.first - 1, 0b111, -1.0) == 0
    assert outbound.packets_lost == 0
    assert outbound.resend(1 << 20, 0.0) == 1, "it is sent again, and may be fragmented"
    assert rig.whole == [1472]
    outbound.acked(outbound.next - 1, 0.1)
    assert outbound.mtu.packet_bytes == 1252, "fragments prove nothing"
    outbound.append(memoryview(os.urandom(5_000)), 0.2)
    outbound.push(flushing=True)
    outbound.acked(outbound.next - 1, 0.3)
    assert outbound.mtu.packet_bytes == 1472


def test_the_end_has_a_number_and_no_bytes(rig: Rig) -> None:
    outbound = rig.outbound
    outbound.append(memoryview(b"last"), 0.0)
    outbound.push(flushing=True)
    outbound.send_control(FIN)
    assert rig.sent == {rig.first: b"last", rig.first + 1: b""}
    outbound.lose_all()
    assert outbound.resend(0, 1.0) == 2 or outbound.resend(1 << 20, 1.0)
    outbound.acked(rig.first + 1, 2.0)
    assert outbound.is_empty


def test_acks_of_what_was_never_sent_have_no_number(rig: Rig) -> None:
    outbound = rig.outbound
    outbound.append(memoryview(b"x" * 5280), 0.0)
    outbound.push(flushing=True)
    assert outbound.unwrap((rig.first + 9) & 0xFFFF) == rig.first + 9
    assert outbound.unwrap((rig.first - 1) & 0xFFFF) == rig.first - 1
    assert outbound.unwrap((rig.first + 10) & 0xFFFF) is None
    assert outbound.unwrap((rig.first - 20_000) & 0xFFFF) is None


def test_memory_goes_back_to_the_pool(rig: Rig) -> None:
    outbound = rig.outbound
    outbound.append(memoryview(bytes(528 * 64 * 3)), 0.0)
    outbound.push(flushing=True)
    outbound.acked(outbound.next - 1, 0.0)
    assert len(outbound._pool._free[528]) == 3
    outbound.append(memoryview(bytes(528 * 64 * 3)), 0.0)
    outbound.close()
    assert len(outbound._pool._free[528]) == 3
