"""Datagrams by the run: as many and as large as were sent, also where the kernel knows no runs."""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Iterator

import pytest

from engine.core.compact import Endpoint
from engine.net.datagram_socket import DatagramSocket
from tests.tracker.asking import needs_ipv6


def _open(host: str) -> DatagramSocket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind((host, 0))
    return DatagramSocket(sock)


def _endpoint(sock: DatagramSocket) -> Endpoint:
    return Endpoint(*sock.socket.getsockname()[:2])


@pytest.fixture(params=["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
def two(request: pytest.FixtureRequest) -> Iterator[tuple[DatagramSocket, DatagramSocket]]:
    pair = _open(request.param), _open(request.param)
    yield pair
    for each in pair:
        each.close()


def _receive_all(sock: DatagramSocket, count: int) -> list[bytes]:
    buffer = memoryview(bytearray(65536))
    got: list[bytes] = []
    while len(got) < count:
        assert select.select([sock], [], [], 5)[0], f"{len(got)} of {count} came"
        size, packet_bytes, _ = sock.receive(buffer)
        got += [
            bytes(buffer[at : min(size, at + packet_bytes)]) for at in range(0, size, packet_bytes)
        ]
    return got


@pytest.mark.parametrize("sends_runs", [True, False])
@pytest.mark.parametrize("takes_runs", [True, False])
def test_a_run_arrives_as_the_datagrams_that_it_is(
    two: tuple[DatagramSocket, DatagramSocket], sends_runs: bool, takes_runs: bool
) -> None:
    ours, theirs = two
    ours.sends_runs = ours.sends_runs and sends_runs
    if not takes_runs:
        theirs.takes_runs = theirs._can(104, 0) and False
    for size, count, last in ((1472, 44, 1472), (548, 64, 1), (20, 1, 20), (1000, 2, 999)):
        data = os.urandom(size * (count - 1) + last)
        assert ours.send(data, size, _endpoint(theirs)) == len(data)
        wanted = [data[at : at + size] for at in range(0, len(data), size)]
        assert _receive_all(theirs, count) == wanted


def test_the_kernel_takes_runs_on_linux(two: tuple[DatagramSocket, DatagramSocket]) -> None:
    ours, theirs = two
    if not (ours.sends_runs and theirs.takes_runs):
        pytest.skip("this kernel has no UDP_SEGMENT or no UDP_GRO")
    ours.send(bytes(44_000), 1000, _endpoint(theirs))
    assert select.select([theirs], [], [], 5)[0]
    assert theirs.receive(memoryview(bytearray(65536)))[:2] == (44_000, 1000)


class _Refusing:
    """A socket that takes no runs, whatever it said when it was asked."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self._sock, self._number = sock, number

    def __getattr__(self, name: str) -> object:
        return getattr(self._sock, name)

    def sendmsg(self, *_: object) -> int:
        raise OSError(self._number, os.strerror(self._number))


@pytest.mark.parametrize("number", [errno.EIO, errno.EINVAL])
def test_a_refused_run_leaves_one_by_one(
    two: tuple[DatagramSocket, DatagramSocket], number: int
) -> None:
    ours, theirs = two
    plain = ours.socket
    ours.socket = _Refusing(plain, number)  # type: ignore[assignment]
    ours.sends_runs = True
    assert ours.send(bytes(5_000), 1_000, _endpoint(theirs)) == 5_000
    assert len(_receive_all(theirs, 5)) == 5
    assert ours.sends_runs is (number == errno.EINVAL)


def test_a_whole_datagram_is_never_fragmented(
    two: tuple[DatagramSocket, DatagramSocket],
) -> None:
    ours, theirs = two
    ours.send_whole(b"probe", _endpoint(theirs))
    assert _receive_all(theirs, 1) == [b"probe"]


def test_buffers_are_as_large_as_the_system_allows(
    two: tuple[DatagramSocket, DatagramSocket],
) -> None:
    assert two[0].socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) > 212_992
