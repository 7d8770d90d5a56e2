"""Datagrams by a relay: each in its head, runs as runs, and nothing from anybody else."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from engine.core.compact import Endpoint
from engine.net import socks5
from engine.net.relay_socket import RelaySocket

FAR4, FAR6 = Endpoint("192.0.2.7", 6881), Endpoint("2001:db8::7", 6882)


@pytest.fixture
def relay() -> Iterator[socket.socket]:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        sock.settimeout(5)
        yield sock


@pytest.fixture
def ours(relay: socket.socket) -> Iterator[RelaySocket]:
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.settimeout(5)
    made = RelaySocket(sock, Endpoint(*relay.getsockname()))
    yield made
    made.close()


@pytest.mark.parametrize("to", [FAR4, FAR6])
def test_a_datagram_goes_to_the_relay_in_its_head(
    ours: RelaySocket, relay: socket.socket, to: Endpoint
) -> None:
    head = socks5.datagram_head(to.host, to.port)
    ours.send_one(b"one", to)
    ours.send_whole(b"whole", to)
    ours.send_to_name(b"named", "node.example", 5)
    received = [relay.recv(2000) for _ in range(3)]
    named = b"\0\0\0\3\x0cnode.example\0\5named"
    assert received == [head + b"one", head + b"whole", named]


@pytest.mark.parametrize("size", [1, 700, 1400, 1401, 14_000, 14_001, 200_000])
def test_each_datagram_of_a_run_has_its_head(
    ours: RelaySocket, relay: socket.socket, size: int
) -> None:
    head = socks5.datagram_head(*FAR4)
    run = bytes(each % 251 for each in range(size))
    assert ours.send(memoryview(run), 1400, FAR4) == size
    received = [relay.recv(2000) for _ in range(-(-size // 1400))]
    assert all(each.startswith(head) for each in received)
    payloads = [each[len(head) :] for each in received]
    assert b"".join(payloads) == run
    assert {len(each) for each in payloads[:-1]} <= {1400}


def test_what_a_full_socket_takes_of_a_run_is_whole_datagrams(
    ours: RelaySocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.net.datagram_socket import DatagramSocket

    head = socks5.datagram_head(*FAR4)
    taken = iter((10 * (1400 + len(head)),))

    def send(self: DatagramSocket, run: bytes, packet_bytes: int, to: Endpoint) -> int:
        for bytes_taken in taken:
            return bytes_taken
        raise BlockingIOError

    monkeypatch.setattr(DatagramSocket, "send", send)
    assert ours.send(bytes(100_000), 1400, FAR4) == 10 * 1400
    with pytest.raises(BlockingIOError):
        ours.send(bytes(100_000), 1400, FAR4)


@pytest.mark.parametrize("source", [FAR4, FAR6])
def test_what_the_relay_hands_on_has_its_sender(
    ours: RelaySocket, relay: socket.socket, source: Endpoint
) -> None:
    relay.sendto(socks5.datagram_head(*source) + b"hello", ours.getsockname())
    buffer = memoryview(bytearray(2000))
    count, packet_bytes, sender = ours.receive(buffer)
    assert (count, packet_bytes, sender) == (5, 5, tuple(source))
    assert buffer[:count] == b"hello"


def test_what_is_not_of_the_relay_is_dropped(ours: RelaySocket, relay: socket.socket) -> None:
    buffer = memoryview(bytearray(2000))
    good = socks5.datagram_head(*FAR4) + b"hello"
    with socket.socket(type=socket.SOCK_DGRAM) as stranger:
        stranger.sendto(good, ours.getsockname())
        assert ours.receive(buffer)[2][1] == 0
    for wrong in (b"", b"d1:", good[:9], b"\0\0\1" + good[3:], b"\0\0\0\3\1h\0\5x"):
        relay.sendto(wrong, ours.getsockname())
        assert ours.receive(buffer)[2][1] == 0
