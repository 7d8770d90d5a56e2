"""The UDP port: each datagram reaches the one it is for, and only that one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from engine.core.compact import Endpoint
from engine.errors import InputError
from engine.net.route import Route
from engine.net.udp_endpoint import Kind, UdpEndpoint
from tests.tracker.asking import needs_ipv6


@pytest.fixture
async def ours() -> Iterator[UdpEndpoint]:
    opened = UdpEndpoint(asyncio.get_running_loop(), Route("127.0.0.1"))
    opened.open(0)
    yield opened
    opened.close()


def _collect(udp: UdpEndpoint) -> asyncio.Queue[tuple[Kind, bytes, Endpoint]]:
    got: asyncio.Queue[tuple[Kind, bytes, Endpoint]] = asyncio.Queue()
    for kind in Kind:
        udp.receivers[kind] = lambda data, source, kind=kind: got.put_nowait(
            (kind, bytes(data), source)
        )
    return got


async def test_the_first_byte_says_who_a_datagram_is_for(ours: UdpEndpoint) -> None:
    got = _collect(ours)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        source = Endpoint(*far.getsockname())
        for data in (b"d1:ye", b"junk", b"", b"\x01syn", b"\x41reset", b"\x51no type", b"\0\0\0\1"):
            far.sendto(data, ours.endpoints[0])
        assert [await got.get() for _ in range(4)] == [
            (Kind.DHT, b"d1:ye", source),
            (Kind.UTP, b"\x01syn", source),
            (Kind.UTP, b"\x41reset", source),
            (Kind.TRACKER, b"\0\0\0\1", source),
        ]
    assert got.empty()


async def test_what_is_sent_comes_from_the_port(ours: UdpEndpoint) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        assert ours.send(b"hello", Endpoint(*far.getsockname()))
        assert far.recvfrom(100) == (b"hello", tuple(ours.endpoints[0]))


async def test_a_port_that_is_closed_there_does_no_harm(ours: UdpEndpoint) -> None:
    got = _collect(ours)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        gone = Endpoint(*far.getsockname())
    for _ in range(3):
        ours.send(b"d1:ye", gone)
    ours.send(b"d1:ye", ours.endpoints[0])
    assert (await got.get())[1] == b"d1:ye"


@needs_ipv6
async def test_every_address_means_both_families_on_one_port() -> None:
    udp = UdpEndpoint(asyncio.get_running_loop(), Route())
    udp.open(0)
    got = _collect(udp)
    assert {each.port for each in udp.endpoints} == {udp.port}
    for host in ("127.0.0.1", "::1"):
        assert udp.send(b"d1:ye", Endpoint(host, udp.port))
        assert (await got.get())[2] == Endpoint(host, udp.port)
    udp.close()
    assert not udp.send(b"d1:ye", Endpoint("::1", udp.port))


async def test_a_taken_port_is_said(ours: UdpEndpoint) -> None:
    second = UdpEndpoint(asyncio.get_running_loop(), Route("127.0.0.1"))
    with pytest.raises(InputError, match=f"cannot open UDP port {ours.port} on 127.0.0.1"):
        second.open(ours.port)
    assert not second.endpoints


class _Runs:
    """Takes runs, and tells when a turn ends."""

    def __init__(self) -> None:
        self.turns: asyncio.Queue[list[tuple[bytes, int]]] = asyncio.Queue()
        self.drainings = 0
        self._now: list[tuple[bytes, int]] = []

    def received(self, run: memoryview, packet_bytes: int, source: Endpoint) -> None:
        self._now.append((bytes(run), packet_bytes))

    def turn_ended(self) -> None:
        self.turns.put_nowait(self._now)
        self._now = []

    def drained(self) -> None:
        self.drainings += 1


async def test_runs_are_handed_over_whole_and_others_one_by_one(ours: UdpEndpoint) -> None:
    runs = _Runs()
    got = _collect(ours)
    ours.run_receivers[Kind.UTP] = runs
    to = ours.endpoints[0]
    ours.send_run(b"\x01" + bytes(99) + b"\x21" + bytes(50), 100, to)
    ours.send_run(b"d" + bytes(99) + b"d" + bytes(50), 100, to)
    ours.send_run(b"\x01" + bytes(99) + b"d" + bytes(99) + b"?" + bytes(99), 100, to)
    assert [(await got.get())[1] for _ in range(3)] == [
        b"d" + bytes(99),
        b"d" + bytes(50),
        b"d" + bytes(99),
    ]
    taken = await runs.turns.get()
    while b"".join(run for run, _ in taken).count(b"\x01") < 2:
        taken += await runs.turns.get()
    assert b"".join(run for run, _ in taken) == (
        b"\x01" + bytes(99) + b"\x21" + bytes(50) + b"\x01" + bytes(99)
    )


async def test_what_a_full_socket_does_not_take_waits_and_leaves(
    ours: UdpEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = _Runs()
    ours.run_receivers[Kind.UTP] = runs
    sock = ours._sockets[False]
    plain = type(sock).send
    full = [True]

    def send(self: object, run: bytes, packet_bytes: int, to: Endpoint) -> int:
        if full[0]:
            full[0] = False
            raise BlockingIOError
        return plain(sock, run, packet_bytes, to)

    monkeypatch.setattr(type(sock), "send", send)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        far.setblocking(False)
        to = Endpoint(*far.getsockname())
        ours.send_run(b"\x01one", 100, to)
        ours.send_run(b"\x01two", 100, to)
        assert ours.is_full
        loop = asyncio.get_running_loop()
        assert await loop.sock_recv(far, 100) == b"\x01one", "in the order of sending"
        assert await loop.sock_recv(far, 100) == b"\x01two"
        assert not ours.is_full
        assert runs.drainings == 1


async def test_what_waits_is_bounded(ours: UdpEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    def send(*_: object) -> int:
        raise BlockingIOError

    monkeypatch.setattr(type(ours._sockets[False]), "send", send)
    for _ in range(1000):
        ours.send_run(bytes(60_000), 1000, Endpoint("127.0.0.1", 9))
    assert ours._waiting_bytes <= 33 * 1024 * 1024


class _Steady:
    """As if a slow line brought one datagram after the other."""

    sent_bytes = 0

    def came(self, datagrams: int, size: int, now: float) -> bool:
        return datagrams > 0


async def test_what_comes_during_a_rest_is_read_after_it(ours: UdpEndpoint) -> None:
    got = _collect(ours)
    ours._pace = _Steady()  # type: ignore[assignment]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        for round_ in range(3):
            for n in range(5):  # the first wakes us, the others find us resting
                far.sendto(b"d%d" % (5 * round_ + n), ours.endpoints[0])
                async with asyncio.timeout(20):
                    assert (await got.get())[1] == b"d%d" % (5 * round_ + n)
            async with asyncio.timeout(20):
                while ours._resting:  # nothing came any more
                    await asyncio.sleep(0)
        far.sendto(b"d", ours.endpoints[0])
        async with asyncio.timeout(20):
            await got.get()
        assert ours._resting, "and it is closed like this"
