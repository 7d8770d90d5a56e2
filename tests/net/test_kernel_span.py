"""Bytes of a file in the queue of a connection, over a real socket."""

from __future__ import annotations

import errno
import os
import random
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from engine.net.kernel_span import FileSpan
from engine.net.peer_connection import PeerConnection
from tests.net.test_peer_connection import Pair, Recorder, _pair

CONTENT = random.Random(2).randbytes(3 << 20)


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    pair = _pair()
    yield pair
    pair.connection.close()
    pair.far.close()


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "payload"
    path.write_bytes(CONTENT)
    opened = os.open(path, os.O_RDONLY)
    yield opened
    os.close(opened)


def _queue(connection: PeerConnection, fd: int, at: int, length: int, told: list[str]) -> None:
    assert connection.sends_spans
    connection.write(b"head")
    span = FileSpan(fd, at, length, lambda: told.append("lost"))
    connection.write_span(span, lambda: told.append("sent"))


async def test_heads_files_and_what_else_is_said_keep_their_order(pair: Pair, fd: int) -> None:
    pair.connection.start(Recorder())
    told: list[str] = []
    pair.connection.write(b"before")
    _queue(pair.connection, fd, 5, 2 << 20, told)
    pair.connection.write(b"between")
    _queue(pair.connection, fd, 1 << 20, 700_001, told)
    pair.connection.write(b"behind")
    expected = (
        b"beforehead" + CONTENT[5 : 5 + (2 << 20)] + b"betweenhead"
        + CONTENT[1 << 20 : (1 << 20) + 700_001] + b"behind"
    )  # fmt: skip
    assert pair.connection.pending_bytes == len(expected)
    assert await pair.read_far(len(expected)) == expected
    assert told == ["sent", "sent"]
    assert pair.connection.pending_bytes == 0
    assert pair.connection.bytes_sent == len(expected)


async def test_a_file_that_ends_too_early_is_lost_and_the_connection_closed(
    pair: Pair, fd: int
) -> None:
    handler = Recorder()
    pair.connection.start(handler)
    told: list[str] = []
    _queue(pair.connection, fd, len(CONTENT) - 10, 20, told)
    pair.connection.write(b"never sent")
    assert await pair.read_far(1000) == b"head" + CONTENT[-10:]
    assert told == ["lost", "sent"]
    assert handler.closed == [None]


async def test_what_cannot_be_sent_any_more_is_given_back(pair: Pair, fd: int) -> None:
    pair.connection.start(Recorder())
    told: list[str] = []
    for _ in range(8):  # more than the kernel takes, with nobody reading
        _queue(pair.connection, fd, 0, len(CONTENT), told)
    pair.connection.flush()
    assert pair.connection.pending_bytes
    assert len(told) < 8
    pair.connection.close()
    assert told == ["sent"] * 8
    _queue(pair.connection, fd, 0, 10, told)
    assert told == ["sent"] * 9


def _refusing(code: int) -> Callable[..., int]:
    def sendfile(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    return sendfile


async def test_where_the_kernel_cannot_send_files_they_are_read(
    pair: Pair, fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sendfile", _refusing(errno.EINVAL))
    pair.connection.start(Recorder())
    told: list[str] = []
    _queue(pair.connection, fd, 7, 1 << 20, told)
    assert await pair.read_far(4 + (1 << 20)) == b"head" + CONTENT[7 : 7 + (1 << 20)]
    _queue(pair.connection, fd, len(CONTENT) - 3, 9, told)
    assert await pair.read_far(100) == b"head" + CONTENT[-3:]
    assert told == ["sent", "lost", "sent"]


async def test_a_file_that_cannot_be_read_is_lost(
    pair: Pair, fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sendfile", _refusing(errno.EIO))
    handler = Recorder()
    pair.connection.start(handler)
    told: list[str] = []
    _queue(pair.connection, fd, 0, 10, told)
    await handler.until(lambda: bool(handler.closed))
    assert told == ["lost", "sent"]


def test_a_span_is_as_long_as_what_is_left_of_it(fd: int) -> None:
    span = FileSpan(fd, 100, 50, lambda: None)
    assert len(span) == 50
    assert len(span[20:]) == 30
    near, far = socket.socketpair()
    with near, far:
        assert span[20:].send_to(near) == 30
        assert far.recv(100) == CONTENT[120:150]
