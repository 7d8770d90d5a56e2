"""UDP packets byte for byte, and exchanges with a tracker that loses, lies and forgets."""

from __future__ import annotations

import contextlib
import dataclasses
import random
import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core import compact
from engine.core.compact import Endpoint
from engine.core.identifiers import InfoHash, PeerId
from engine.discovery.announce import (
    MAX_PEERS,
    AnnounceEvent,
    AnnounceReply,
    AnnounceRequest,
    SwarmCounts,
)
from engine.discovery.udp_tracker import (
    AnnounceQuestion,
    Connection,
    ScrapeQuestion,
    UdpExchange,
    tracker_address,
)
from engine.errors import TrackerError, TrackerFailure, TrackerReplyError, TrackerUnreachable

HASH = InfoHash(bytes(range(20)))
REQUEST = AnnounceRequest(
    info_hash=HASH,
    peer_id=PeerId(b"-SW0100-abcdefghijkl"),
    port=6881,
    uploaded=3,
    downloaded=1,
    left=2,
    event=AnnounceEvent.STARTED,
    numwant=50,
    key=0xDEADBEEF,
)
CONNECT = 0x41727101980


def _exchange(
    now: float = 0.0,
    connection: Connection | None = None,
    attempts: int = 9,
    *,
    ipv6: bool = False,
    seed: int = 1,
) -> UdpExchange[AnnounceReply]:
    return UdpExchange(
        AnnounceQuestion(REQUEST, ipv6),
        now=now,
        rng=random.Random(seed),
        connection=connection,
        attempts=attempts,
    )


def _head(datagram: bytes | None) -> tuple[int, int, int]:
    """(connection id or magic number, action, transaction id)"""
    assert datagram is not None
    head: tuple[int, int, int] = struct.unpack_from(">QII", datagram)
    return head


def _connect_reply(transaction_id: int, connection_id: int = 77) -> bytes:
    return struct.pack(">IIQ", 0, transaction_id, connection_id)


def _announce_reply(
    transaction_id: int, peers: Sequence[Endpoint] = (), interval_s: int = 1800
) -> bytes:
    v4, v6 = compact.pack(peers)
    return struct.pack(">IIiII", 1, transaction_id, interval_s, 7, 5) + v4 + v6


def _connected(exchange: UdpExchange[AnnounceReply], now: float = 0.0) -> int:
    """Take an exchange through its connect and its request; returns the transaction id."""
    _, _, transaction_id = _head(exchange.poll(now))
    assert exchange.received(_connect_reply(transaction_id), now)
    connection_id, action, transaction_id = _head(exchange.poll(now))
    assert (connection_id, action) == (77, 1)
    return transaction_id


def test_the_packets_of_bep_15() -> None:
    exchange = _exchange()
    packet = exchange.poll(0.0)
    assert packet is not None
    assert len(packet) == 16
    magic, action, transaction_id = _head(packet)
    assert (magic, action) == (CONNECT, 0)
    exchange.received(_connect_reply(transaction_id, 0x1122334455667788), 1.0)
    packet = exchange.poll(1.0)
    assert packet is not None
    _, _, transaction_id = _head(packet)
    assert packet == (
        bytes.fromhex("1122334455667788 00000001")
        + transaction_id.to_bytes(4, "big")
        + HASH
        + REQUEST.peer_id
        + bytes.fromhex("0000000000000001 0000000000000002 0000000000000003")
        + bytes.fromhex("00000002 00000000 deadbeef 00000032 1ae1")
    )
    assert len(packet) == 98
    peers = [Endpoint("192.0.2.1", 6881), Endpoint("192.0.2.2", 1)]
    assert exchange.received(_announce_reply(transaction_id, peers), 2.0)
    assert exchange.reply == AnnounceReply(interval_s=1800, peers=peers, leechers=7, seeders=5)
    assert exchange.poll(100.0) is None


@pytest.mark.parametrize(
    ("event", "number"), [("", 0), ("completed", 1), ("started", 2), ("stopped", 3)]
)
def test_events_have_numbers(event: str, number: int) -> None:
    request = dataclasses.replace(REQUEST, event=AnnounceEvent(event))
    body = AnnounceQuestion(request, False).body()
    assert struct.unpack_from(">I", body, 64) == (number,)
    assert struct.unpack_from(">i", body, 76) == (0 if event == "stopped" else 50,)


@pytest.mark.parametrize(
    ("ip", "ipv6", "packed"),
    [
        ("192.0.2.9", False, b"\xc0\x00\x02\x09"),
        ("192.0.2.9", True, bytes(4)),
        ("2001:db8::1", False, bytes(4)),
        ("name.example", False, bytes(4)),
    ],
)
def test_the_listed_address_is_ipv4_or_nothing(ip: str, ipv6: bool, packed: bytes) -> None:
    body = AnnounceQuestion(dataclasses.replace(REQUEST, ip=ip), ipv6).body()
    assert body[68:72] == packed


@given(st.integers(), st.integers(), st.integers())
def test_any_counts_fit_the_packet(uploaded: int, downloaded: int, left: int) -> None:
    request = dataclasses.replace(REQUEST, uploaded=uploaded, downloaded=downloaded, left=left)
    assert len(AnnounceQuestion(request, False).body()) == 82


def test_a_tracker_on_ipv6_answers_with_ipv6_peers() -> None:
    exchange = _exchange(ipv6=True)
    peers = [Endpoint("2001:db8::1", 6881)]
    exchange.received(_announce_reply(_connected(exchange), peers), 0.0)
    assert exchange.reply is not None
    assert exchange.reply.peers == peers


def test_packets_may_be_longer_than_they_should() -> None:
    exchange = _exchange()
    _, _, transaction_id = _head(exchange.poll(0.0))
    assert exchange.received(_connect_reply(transaction_id) + b"more", 0.0)
    _, _, transaction_id = _head(exchange.poll(0.0))
    peer = Endpoint("192.0.2.1", 1)
    assert exchange.received(_announce_reply(transaction_id, [peer]) + b"rest", 0.0)
    assert exchange.reply is not None
    assert exchange.reply.peers == [peer]


def test_a_packet_full_of_peers_is_cut_short() -> None:
    body = struct.pack(">iII", 1, 0, 0) + bytes([1, 2, 3, 4, 5, 6]) * 9000
    assert len(AnnounceQuestion(REQUEST, False).parse(body).peers) == MAX_PEERS


def test_a_scrape() -> None:
    hashes = [InfoHash(bytes([n]) * 20) for n in range(3)]
    question = ScrapeQuestion(hashes)
    assert question.body() == b"".join(hashes)
    body = struct.pack(">9I", 1, 2, 3, 4, 5, 6, 7, 8, 9)
    expected = {
        hashes[0]: SwarmCounts(seeders=1, downloads=2, leechers=3),
        hashes[1]: SwarmCounts(seeders=4, downloads=5, leechers=6),
        hashes[2]: SwarmCounts(seeders=7, downloads=8, leechers=9),
    }
    assert question.parse(body).swarms == expected
    assert question.parse(body + b"trailing").swarms == expected
    for length in range(len(body)):
        with pytest.raises(TrackerReplyError):
            question.parse(body[:length])


# ── time ───────────────────────────────────────────────────────────────────────────────────────


def _send_times(exchange: UdpExchange[AnnounceReply], until: float) -> list[tuple[float, int]]:
    """(time, action) of all that is sent when nothing is answered."""
    sent = []
    while exchange.next_at < until:
        now = exchange.next_at
        assert exchange.poll(now - 0.001) is None
        sent.append((now, _head(exchange.poll(now))[1]))
    return sent


def test_a_silent_tracker_is_asked_at_growing_intervals() -> None:
    exchange = _exchange()
    assert _send_times(exchange, 1000.0) == [(t, 0) for t in (0, 15, 45, 105, 225, 465, 945)]


def test_an_expired_connection_is_renewed_as_in_bep_15() -> None:
    exchange = _exchange()
    _, _, transaction_id = _head(exchange.poll(0.0))
    exchange.received(_connect_reply(transaction_id), 1.0)
    exchange.next_at = 2.0  # the example asks a second later than it could
    assert _send_times(exchange, 228.0) == [(2, 1), (17, 1), (47, 1), (107, 0), (227, 0)]


@pytest.mark.parametrize("attempts", [1, 2, 3, 9])
def test_an_exchange_gives_up(attempts: int) -> None:
    exchange = _exchange(attempts=attempts)
    for _ in range(attempts):
        assert exchange.poll(exchange.next_at)
    assert exchange.next_at == 15 * (2**attempts - 1)
    with pytest.raises(TrackerUnreachable):
        exchange.poll(exchange.next_at)


@given(st.integers(min_value=1, max_value=9), st.data())
def test_an_exchange_ends_whatever_the_tracker_does(attempts: int, data: st.DataObject) -> None:
    """It connects as often as it is asked to, or refuses, or is silent; but it never answers."""
    now = 0.0
    exchange = _exchange(connection=Connection(5, 30.0), attempts=attempts)
    sends = 0
    with pytest.raises(TrackerError):
        while True:
            packet = exchange.poll(now)
            if packet is not None:
                sends += 1
                assert sends <= 4 * attempts + 4
                _, action, transaction_id = _head(packet)
                kind = data.draw(st.sampled_from(["connect", "silence", "stranger", "error"]))
                if kind == "connect" and action == 0:
                    exchange.received(_connect_reply(transaction_id), now)
                elif kind == "stranger":
                    assert not exchange.received(_connect_reply(transaction_id ^ 1), now)
                elif kind == "error":
                    exchange.received(struct.pack(">II", 3, transaction_id) + b"no", now)
            now = max(now, exchange.next_at)


# ── connections ────────────────────────────────────────────────────────────────────────────────


def test_a_connection_serves_many_exchanges_for_a_minute() -> None:
    first = _exchange()
    _connected(first, now=10.0)
    assert first.connection == Connection(77, 70.0)
    assert _head(_exchange(69.9, first.connection).poll(69.9))[:2] == (77, 1)
    late = _exchange(70.0, first.connection)
    assert _head(late.poll(70.0))[:2] == (CONNECT, 0)
    assert late.connection is None


def test_a_borrowed_connection_that_is_not_answered_is_dropped() -> None:
    exchange = _exchange(0.0, Connection(5, 60.0))
    assert _head(exchange.poll(0.0))[:2] == (5, 1)
    assert _head(exchange.poll(15.0))[:2] == (CONNECT, 0)
    assert exchange.connection is None


def test_a_borrowed_connection_that_is_refused_is_renewed_at_once() -> None:
    exchange = _exchange(0.0, Connection(5, 60.0), attempts=2)
    _, _, transaction_id = _head(exchange.poll(0.0))
    assert exchange.received(struct.pack(">II", 3, transaction_id) + b"bad id", 1.0)
    assert exchange.connection is None
    exchange.received(_announce_reply(_connected(exchange, 1.0)), 1.0)
    assert exchange.reply is not None


def test_an_error_is_the_trackers_refusal() -> None:
    exchange = _exchange()
    transaction_id = _connected(exchange)
    with pytest.raises(TrackerFailure, match="not registered"):
        exchange.received(struct.pack(">II", 3, transaction_id) + b"not\x00registered", 0.0)
    exchange = _exchange()
    _, _, transaction_id = _head(exchange.poll(0.0))
    with pytest.raises(TrackerFailure, match="without a reason"):
        exchange.received(struct.pack(">II", 3, transaction_id), 0.0)


# ── garbage ────────────────────────────────────────────────────────────────────────────────────


@given(st.binary(max_size=100))
def test_a_datagram_without_our_transaction_id_is_ignored(datagram: bytes) -> None:
    exchange = _exchange()
    transaction_id = _connected(exchange)
    if datagram[4:8] == transaction_id.to_bytes(4, "big"):
        return
    assert not exchange.expects(datagram)
    assert not exchange.received(datagram, 0.0)
    assert exchange.reply is None
    assert exchange.received(_announce_reply(transaction_id), 0.0)


@given(st.binary(max_size=60), st.booleans())
def test_a_datagram_with_it_is_an_answer_or_an_error(rest: bytes, connected: bool) -> None:
    exchange = _exchange()
    if connected:
        _connected(exchange)
    else:
        exchange.poll(0.0)
    datagram = rest[:4].ljust(4, b"\0") + exchange.transaction_id.to_bytes(4, "big") + rest[4:]
    with contextlib.suppress(TrackerReplyError, TrackerFailure):
        assert exchange.received(datagram, 0.0)


def test_every_cut_of_a_reply_is_refused_or_ignored() -> None:
    reply = _announce_reply(0, [Endpoint("192.0.2.1", 1)])
    for length in range(len(reply)):
        exchange = _exchange()
        transaction_id = _connected(exchange)
        datagram = (reply[:4] + transaction_id.to_bytes(4, "big") + reply[8:])[:length]
        if length < 8:
            assert not exchange.received(datagram, 0.0)
        elif length < 20:
            with pytest.raises(TrackerReplyError):
                exchange.received(datagram, 0.0)
        else:
            assert exchange.received(datagram, 0.0)


def test_answers_of_the_wrong_kind_are_refused() -> None:
    exchange = _exchange()
    with pytest.raises(TrackerReplyError, match="kind 2"):
        exchange.received(struct.pack(">II", 2, _connected(exchange)) + bytes(12), 0.0)
    exchange = _exchange()
    _, _, transaction_id = _head(exchange.poll(0.0))
    with pytest.raises(TrackerReplyError, match="kind 1"):
        exchange.received(_announce_reply(transaction_id), 0.0)


def test_a_repeated_connect_reply_is_ignored() -> None:
    exchange = _exchange()
    _, _, transaction_id = _head(exchange.poll(0.0))
    assert exchange.received(_connect_reply(transaction_id), 0.0)
    assert not exchange.received(_connect_reply(transaction_id, 78), 0.0)
    assert exchange.connection == Connection(77, 60.0)


def test_a_negative_interval_is_refused() -> None:
    exchange = _exchange()
    with pytest.raises(TrackerReplyError, match="negative"):
        exchange.received(_announce_reply(_connected(exchange), interval_s=-1), 0.0)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("udp://tracker.example:6969", ("tracker.example", 6969)),
        ("udp://tracker.example:6969/announce", ("tracker.example", 6969)),
        (" UDP://[::1]:1/x?y#z ", ("::1", 1)),
    ],
)
def test_addresses(url: str, address: tuple[str, int]) -> None:
    assert tracker_address(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "udp://",
        "udp://t",
        "udp://t:0",
        "udp://t:x",
        "udp://t:70000",
        "http://t:1",
        "udp://[::1",
    ],
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(TrackerReplyError):
        tracker_address(url)
