"""BEP 15 as bytes: what each datagram gets, and what forged or torn ones get."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.tracker.announce import AnnouncePolicy
from engine.tracker.statistics import Statistics
from engine.tracker.swarm_table import Announce, Event, SwarmTable
from engine.tracker.swarms import OwnSwarms
from engine.tracker.udp_protocol import (
    MAX_IPV6_PEERS,
    MAX_SCRAPE,
    PROTOCOL_ID,
    ConnectionIds,
    UdpProtocol,
)

HASH = b"h" * 20
PEER_ID = b"-SW0100-abcdefghijkl"
HOST = bytes([192, 0, 2, 7])
HOST6 = b"\x20\x01\x0d\xb8" + bytes(11) + b"\x07"
CONNECT = struct.pack(">QI4s", PROTOCOL_ID, 0, b"txn1")


class Tracker:
    """A protocol with its table; `ask` connects by itself."""

    def __init__(self, **options: object) -> None:
        self.table = SwarmTable(random.Random(1))
        self.statistics = Statistics(0)
        self.protocol = UdpProtocol(
            OwnSwarms(self.table),
            AnnouncePolicy(),
            self.statistics,
            b"s" * 16,
            **options,  # type: ignore[arg-type]
        )

    def connect(self, host: bytes = HOST, now: float = 0) -> bytes:
        reply = self.protocol.handle(CONNECT, host, now)
        assert isinstance(reply, bytes)
        assert reply[:8] == b"\0\0\0\0txn1"
        assert len(reply) == 16
        return reply[8:]

    def announce(self, host: bytes = HOST, now: float = 0, **fields: object) -> bytes:
        reply = self.protocol.handle(packet(self.connect(host, now), **fields), host, now)  # type: ignore[arg-type]
        assert isinstance(reply, bytes)
        return reply


def packet(
    connection_id: bytes,
    *,
    left: int = 5,
    event: int = 0,
    address: bytes = bytes(4),
    numwant: int = -1,
    port: int = 6881,
) -> bytes:
    fields = (1, b"txn2", HASH, PEER_ID, 0, left, 0, event, address, 0, numwant, port)
    return connection_id + struct.pack(">I4s20s20sQQQI4sIiH", *fields)


def test_an_announce_gets_interval_counts_and_peers() -> None:
    tracker = Tracker()
    assert tracker.announce(left=0) == struct.pack(">I4sIII", 1, b"txn2", 1800, 0, 1)
    other = bytes([192, 0, 2, 8])
    expected = struct.pack(">I4sIII", 1, b"txn2", 1800, 1, 1) + HOST + b"\x1a\xe1"
    assert tracker.announce(other) == expected
    assert tracker.statistics.udp_announces == 2


def test_each_family_hears_of_its_own() -> None:
    tracker = Tracker()
    tracker.announce()
    tracker.announce(HOST6)
    assert tracker.announce(HOST[:3] + b"\x09")[20:] == HOST + b"\x1a\xe1"
    assert tracker.announce(HOST6[:15] + b"\x09")[20:] == HOST6 + b"\x1a\xe1"


@pytest.mark.parametrize(("numwant", "told"), [(-1, 50), (0, 0), (7, 7), (2**31 - 1, 200)])
def test_numwant_is_clamped(numwant: int, told: int) -> None:
    tracker = Tracker()
    for number in range(300):
        at = struct.pack(">IH", 0x0A000000 + number, 1)
        tracker.table.announce(Announce(HASH, bytes(20), at, 1, Event.NONE, 0), 0)
    assert len(tracker.announce(numwant=numwant)) == 20 + 6 * told


def test_an_ipv6_reply_fits_every_path() -> None:
    tracker = Tracker()
    for number in range(300):
        at = b"\x20\x01" + struct.pack(">IIIH", number, 0, 0, 0) + struct.pack(">H", 1)
        tracker.table.announce(Announce(HASH, bytes(20), at, 1, Event.NONE, 0), 0)
    reply = tracker.announce(HOST6, numwant=2**31 - 1)
    assert len(reply) == 20 + 18 * MAX_IPV6_PEERS <= 1280 - 48


def test_events_and_unknown_events() -> None:
    tracker = Tracker()
    tracker.announce(event=2)
    tracker.announce(event=1, left=0)
    assert tracker.table.count(HASH) == (HASH, 1, 0, 1)
    tracker.announce(event=99)
    assert tracker.table.peers == 1
    assert tracker.announce(event=3)[20:] == b""
    assert tracker.table.peers == 0


def test_an_address_counts_only_from_the_trusted() -> None:
    named = bytes([203, 0, 113, 9])
    strict, trusting = Tracker(), Tracker(may_name_ip=lambda host: host == HOST)
    for tracker in (strict, trusting):
        tracker.announce(address=named)
    asker = bytes([192, 0, 2, 8])
    assert strict.announce(asker, address=named)[20:24] == HOST
    assert trusting.announce(asker, address=named)[20:24] == named


def test_a_scrape_of_several_keeps_their_order() -> None:
    tracker = Tracker()
    tracker.announce(left=0)
    head = tracker.connect() + struct.pack(">I4s", 2, b"txn3")
    reply = tracker.protocol.handle(head + b"x" * 20 + HASH, HOST, 0)
    assert reply == struct.pack(">I4s", 2, b"txn3") + bytes(12) + struct.pack(">III", 1, 0, 0)


def test_scrapes_of_none_too_many_and_torn() -> None:
    tracker = Tracker()
    head = tracker.connect() + struct.pack(">I4s", 2, b"txn3")
    assert tracker.protocol.handle(head, HOST, 0) is None
    reply = tracker.protocol.handle(head + HASH * 100, HOST, 0)
    assert reply is not None
    assert len(reply) == 8 + 12 * MAX_SCRAPE
    reply = tracker.protocol.handle(head + HASH + b"torn", HOST, 0)
    assert reply is not None
    assert len(reply) == 8 + 12


def test_expired_peers_are_not_scraped() -> None:
    tracker = Tracker()
    tracker.announce()
    later = 100_000.0
    head = tracker.connect(now=later) + struct.pack(">I4s", 2, b"txn3")
    reply = tracker.protocol.handle(head + HASH, HOST, later)
    assert reply == struct.pack(">I4s", 2, b"txn3") + bytes(12)


def test_a_wrong_port_is_an_error() -> None:
    assert Tracker().announce(port=0) == b"\0\0\0\x03txn2port is not 1 to 65535"


def test_a_refusal_says_why() -> None:
    tracker = Tracker()
    tracker.table.allow([])
    assert tracker.announce().startswith(b"\0\0\0\x03txn2this tracker does not serve")
    assert tracker.statistics.refused == 1


def test_a_connection_id_is_for_one_host_and_some_time() -> None:
    ids = ConnectionIds(b"s" * 16)
    for now in (0.0, 59.9, 61.0):
        issued = ids.issue(HOST, now)
        assert ids.check(issued, HOST, now)
        assert ids.check(issued, HOST, now + 60)
        assert not ids.check(issued, HOST, now + 120)
        assert not ids.check(issued, HOST6, now)
        assert not ids.check(bytes(8), HOST, now)
    assert ConnectionIds(b"t" * 16).issue(HOST, 0) != ids.issue(HOST, 0)


def test_a_forged_announce_changes_nothing_and_gets_less_than_it_sent() -> None:
    tracker = Tracker()
    forged = packet(b"12345678")
    reply = tracker.protocol.handle(forged, HOST, 0)
    assert reply == b"\0\0\0\x03txn2connect again"
    assert len(reply) < len(forged)
    assert tracker.table.peers == 0
    scrape = b"12345678" + struct.pack(">I4s", 2, b"txn3") + HASH
    reply = tracker.protocol.handle(scrape, HOST, 0)
    assert reply is not None
    assert len(reply) < len(scrape)


def test_options_behind_an_announce_are_ignored() -> None:
    tracker = Tracker()
    data = packet(tracker.connect()) + b"\x02\x09/announce"
    assert tracker.protocol.handle(data, HOST, 0) == struct.pack(">I4sIII", 1, b"txn2", 1800, 1, 0)


@given(st.binary(max_size=200))
def test_garbage_gets_nothing_or_an_error_no_longer_than_itself(data: bytes) -> None:
    tracker = Tracker()
    reply = tracker.protocol.handle(data, HOST, 0)
    assert reply is None or len(reply) <= len(data)
    assert tracker.table.peers == 0


@given(st.integers(0, 97))
def test_a_torn_announce_gets_nothing(length: int) -> None:
    tracker = Tracker()
    data = packet(tracker.connect())[:length]
    assert tracker.protocol.handle(data, HOST, 0) is None
    assert tracker.statistics.ignored == 1
