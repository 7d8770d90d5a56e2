"""Frames that leave the page cache through a pipe, over a real socket: whole and in order."""

from __future__ import annotations

import errno
import mmap
import os
import random
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from engine.core.geometry import BLOCK_LENGTH
from engine.net import frame_pipes
from engine.net.frame_pipes import MAX_FRAMES, FramePipes, PipedFrames
from tests.net.test_peer_connection import Pair, Recorder, _pair

HEAD = 13
CONTENT = random.Random(3).randbytes(100 * BLOCK_LENGTH + 77)
FRAME = HEAD + BLOCK_LENGTH
_NO_REPLACE = 0x100000
"""Of mmap: fail where something is mapped already."""


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    pair = _pair()
    pair.connection.start(Recorder())
    yield pair
    pair.connection.close()
    pair.far.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "payload"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def fd(path: Path) -> Iterator[int]:
    opened = os.open(path, os.O_RDONLY)
    yield opened
    os.close(opened)


@pytest.fixture
def pipes() -> Iterator[FramePipes]:
    pipes = FramePipes()
    yield pipes
    pipes.close()
    assert pipes.in_use == 0


def _heads(seed: int, count: int) -> bytes:
    return random.Random(seed).randbytes(HEAD * count)


def _frames(heads: bytes, at: int) -> bytes:
    count = len(heads) // HEAD
    return b"".join(
        heads[n * HEAD : (n + 1) * HEAD]
        + CONTENT[at + n * BLOCK_LENGTH : at + (n + 1) * BLOCK_LENGTH]
        for n in range(count)
    )


def _fill(pipes: FramePipes, heads: bytes, fd: int, at: int) -> PipedFrames:
    piped = pipes.fill(heads, fd, at, len(heads) // HEAD)
    assert piped is not None
    assert len(piped) == len(heads) // HEAD * FRAME
    return piped


async def test_frames_arrive_whole_and_in_order_wherever_they_lie(
    pair: Pair, fd: int, pipes: FramePipes
) -> None:
    chance = random.Random(4)
    expected = b""
    for seed in range(12):
        count = chance.randint(1, MAX_FRAMES)
        at = chance.choice(
            [0, 1, 4095, 4096, chance.randrange(len(CONTENT) - count * BLOCK_LENGTH)]
        )
        heads = _heads(seed, count)
        piped = _fill(pipes, heads, fd, at)
        pair.connection.write_span(piped, piped.give_back)
        pair.connection.write(b"between")
        expected += _frames(heads, at) + b"between"
    assert pair.connection.pending_bytes == len(expected)
    assert await pair.read_far(len(expected)) == expected
    assert pair.connection.pending_bytes == pipes.in_use == 0
    assert pair.connection.bytes_sent == len(expected)


async def test_heads_that_wait_to_be_read_are_not_those_of_later_frames(
    pair: Pair, fd: int, pipes: FramePipes
) -> None:
    """Sent already, but by reference: the other end of a loopback has not copied them yet."""
    first, second = _heads(1, 4), _heads(2, 4)
    for heads in first, second:
        piped = _fill(pipes, heads, fd, 0)
        pair.connection.write_span(piped, piped.give_back)
        pair.connection.flush()
        assert not pair.connection.pending_bytes, "all of it is with the kernel"
    assert await pair.read_far(8 * FRAME) == _frames(first, 0) + _frames(second, 0)


async def test_what_nobody_reads_goes_with_its_connection(
    pair: Pair, fd: int, pipes: FramePipes
) -> None:
    sent = 0
    while (piped := pipes.fill(_heads(sent, MAX_FRAMES), fd, 0, MAX_FRAMES)) is not None:
        pair.connection.write_span(piped, piped.give_back)
        pair.connection.flush()
        sent += 1
    assert pipes.in_use == frame_pipes._MAX_PIPES
    pair.connection.close()
    assert pipes.in_use == 0
    far = _pair()
    piped = _fill(pipes, _heads(99, 3), fd, 5)
    far.connection.write_span(piped, piped.give_back)
    assert await far.read_far(3 * FRAME) == _frames(_heads(99, 3), 5), "nothing was left in a pipe"
    far.connection.close()
    far.far.close()


def test_a_file_that_was_cut_short_is_not_sent(path: Path, fd: int, pipes: FramePipes) -> None:
    for length in 0, 5 * BLOCK_LENGTH - 4096:
        os.truncate(path, length)
        assert pipes.fill(_heads(1, 8), fd, 0, 8) is None
        assert pipes.in_use == 0
    path.write_bytes(CONTENT)
    _fill(pipes, _heads(1, 8), fd, 0).give_back()


def test_a_file_that_cannot_be_mapped_is_not_sent(tmp_path: Path, pipes: FramePipes) -> None:
    opened = os.open(tmp_path, os.O_RDONLY)
    assert pipes.fill(_heads(1, 2), opened, 0, 2) is None
    os.close(opened)
    assert pipes.fill(_heads(1, 2), opened, 0, 2) is None, "there is none of this number"
    assert pipes.in_use == 0


def _access(address: int) -> str | None:
    """What may be done with the memory there; None if there is none."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        places, access, *_ = line.split()
        start, end = (int(place, 16) for place in places.split("-"))
        if start <= address < end:
            return access
    return None


def test_what_comes_to_lie_in_a_gap_of_the_window_is_left_alone(fd: int, pipes: FramePipes) -> None:
    """The kernel unmaps what was there before it asks a file; any thread may get that place."""
    _fill(pipes, _heads(1, 2), fd, 0).give_back()
    window = pipes._window
    with socket.socket(type=socket.SOCK_DGRAM) as cannot_be_mapped:
        assert pipes.fill(_heads(1, 2), cannot_be_mapped.fileno(), 0, 2) is None
    if _access(window) is not None:
        pytest.skip("this kernel leaves no gap")
    writable = mmap.PROT_READ | mmap.PROT_WRITE
    theirs = frame_pipes._mmap(
        window, mmap.PAGESIZE, writable, frame_pipes._NOWHERE | _NO_REPLACE, -1, 0
    )
    assert theirs == window
    assert pipes.fill(_heads(1, 2), fd, 0, 2) is None
    assert _access(theirs) == "rw-p"
    pipes.close()
    assert _access(theirs) == "rw-p"
    frame_pipes._munmap(theirs, frame_pipes._WINDOW_BYTES)


async def test_where_the_kernel_sends_no_pipe_one_connection_pays_for_it(
    pair: Pair, fd: int, pipes: FramePipes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    piped = _fill(pipes, _heads(1, 2), fd, 0)
    pair.connection.write_span(piped, piped.give_back)
    monkeypatch.setattr(os, "splice", refuse)
    pair.connection.flush()
    assert pair.connection.is_closed
    assert pipes.in_use == 0
    assert pipes.fill(_heads(1, 2), fd, 0, 2) is None, "no other one is tried so"


def test_where_descriptors_are_few_most_are_left_to_others(fd: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        pipes = FramePipes()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    out = [pipes.fill(_heads(1, 2), fd, 0, 2) for _ in range(frame_pipes._MAX_PIPES)]
    held = [piped for piped in out if piped is not None]
    for piped in held:
        piped.give_back()
    pipes.close()
    assert 0 < 2 * len(held) <= 256 // 32


def test_more_than_goes_into_a_pipe_is_refused(fd: int, pipes: FramePipes) -> None:
    assert pipes.fill(_heads(1, MAX_FRAMES + 1), fd, 0, MAX_FRAMES + 1) is None
    assert pipes.in_use == 0


def test_nothing_of_a_file_stays_mapped(path: Path, fd: int, pipes: FramePipes) -> None:
    """Else the space of one that is deleted would not be free."""
    piped = _fill(pipes, _heads(1, 8), fd, 0)
    assert str(path) not in Path("/proc/self/maps").read_text()
    piped.give_back()


def test_where_the_kernel_forbids_it_nothing_is_sent_so(
    fd: int, pipes: FramePipes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        frame_pipes.ctypes.set_errno(errno.EPERM)
        return -1

    monkeypatch.setattr(frame_pipes, "_vmsplice", refuse)
    assert pipes.fill(_heads(1, 2), fd, 0, 2) is None
    monkeypatch.undo()
    assert pipes.fill(_heads(1, 2), fd, 0, 2) is None, "it is not asked again"


def test_without_descriptors_nothing_is_sent_so(fd: int, pipes: FramePipes) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = os.dup(fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 1, hard))
    try:
        assert pipes.fill(_heads(1, 2), fd, 0, 2) is None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        os.close(opened)


def test_pipes_that_are_out_are_closed_when_they_come_back(fd: int) -> None:
    pipes = FramePipes()
    before = len(os.listdir("/proc/self/fd"))
    out, back = _fill(pipes, _heads(1, 2), fd, 0), _fill(pipes, _heads(2, 2), fd, 0)
    back.give_back()
    pipes.close()
    assert pipes.fill(_heads(1, 2), fd, 0, 2) is None
    out.give_back()
    assert len(os.listdir("/proc/self/fd")) == before
    assert mmap.PAGESIZE >= HEAD * MAX_FRAMES
