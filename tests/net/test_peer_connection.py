"""The connection between kernel and handler: order, back-pressure, the end, over a socket pair."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from engine.errors import PeerError, ProtocolError
from engine.net.connection import LOW_WATERMARK_BYTES, RECEIVE_BUFFER_BYTES
from engine.net.loop import new_event_loop
from engine.net.peer_connection import PeerConnection

TIMEOUT_S = 20.0


@dataclass
class Recorder:
    """A handler that notes what it is told."""

    quota: int = RECEIVE_BUFFER_BYTES
    raises: Exception | None = None
    on_write: Callable[[], None] | None = None
    received: bytearray = field(default_factory=bytearray)
    chunks: list[int] = field(default_factory=list)
    closed: list[Exception | None] = field(default_factory=list)
    writable: int = 0
    asked: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def on_data(self, data: memoryview) -> None:
        self.received += data
        self.chunks.append(len(data))
        self.news.set()
        if self.raises is not None:
            raise self.raises

    def on_writable(self) -> None:
        self.writable += 1
        self.news.set()
        if self.on_write is not None:
            self.on_write()

    def on_closed(self, error: Exception | None) -> None:
        self.closed.append(error)
        self.news.set()

    def read_quota(self) -> int:
        self.asked += 1
        self.news.set()
        return self.quota

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():
                await self.news.wait()
                self.news.clear()


@dataclass
class Pair:
    connection: PeerConnection
    far: socket.socket
    loop: asyncio.AbstractEventLoop

    async def read_far(self, count: int) -> bytes:
        got = bytearray()
        async with asyncio.timeout(TIMEOUT_S):
            while len(got) < count and (data := await self.loop.sock_recv(self.far, 1 << 16)):
                got += data
        return bytes(got)

    async def write_far(self, data: bytes) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            await self.loop.sock_sendall(self.far, data)


def _pair() -> Pair:
    """A connection, and the other end of its TCP socket."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as server:
        far = socket.create_connection(server.getsockname())
        near, _ = server.accept()
    far.setblocking(False)
    buffer = memoryview(bytearray(RECEIVE_BUFFER_BYTES))
    return Pair(PeerConnection(loop, near, buffer), far, loop)


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    pair = _pair()
    yield pair
    pair.connection.close()
    pair.far.close()


async def test_all_bytes_arrive_in_order(pair: Pair) -> None:
    handler = Recorder()
    pair.connection.start(handler)
    data = random.Random(1).randbytes(3 << 20)
    await pair.write_far(data)
    await handler.until(lambda: len(handler.received) == len(data))
    assert handler.received == data
    assert pair.connection.bytes_received == len(data)
    assert pair.connection.remote == pair.far.getsockname()


async def test_no_more_is_read_than_the_quota_allows(pair: Pair) -> None:
    handler = Recorder(quota=1000)
    pair.connection.start(handler)
    await pair.write_far(bytes(10_000))
    await handler.until(lambda: len(handler.received) == 10_000)
    assert max(handler.chunks) <= 1000


async def test_without_quota_the_rest_waits_in_the_kernel(pair: Pair) -> None:
    handler = Recorder(quota=0)
    pair.connection.start(handler)
    await pair.write_far(b"later")
    await handler.until(lambda: handler.asked > 0)
    assert not handler.received
    handler.quota = 3
    pair.connection.resume_reading()
    pair.connection.resume_reading()  # twice is once
    await handler.until(lambda: bytes(handler.received) == b"later")
    assert handler.chunks == [3, 2]


async def _dribble(pair: Pair, data: bytes) -> None:
    for at in range(0, len(data), 1000):
        await pair.write_far(data[at : at + 1000])
        for _ in range(5):
            await asyncio.sleep(0)  # turns of the loop, each of which could read


@pytest.mark.skipif(sys.platform != "linux", reason="others may wake sooner")
async def test_what_is_expected_is_read_at_once(pair: Pair) -> None:
    handler = Recorder()
    pair.connection.start(handler)
    pair.connection.expect(16_000)
    await _dribble(pair, bytes(15_000))
    assert handler.chunks == []
    await _dribble(pair, bytes(1000))
    await handler.until(lambda: bool(handler.chunks))
    assert handler.chunks == [16_000]
    pair.connection.expect(16_000)
    await _dribble(pair, bytes(3000))
    pair.connection.expect(0)
    await handler.until(lambda: len(handler.received) == 19_000)
    await pair.write_far(b"x")
    await handler.until(lambda: len(handler.received) == 19_001)


@pytest.mark.parametrize("linger", [b"", struct.pack("ii", 1, 0)])
async def test_an_end_is_seen_whatever_was_expected(pair: Pair, linger: bytes) -> None:
    """An orderly one behind the data, and a reset."""
    handler = Recorder()
    pair.connection.start(handler)
    pair.connection.expect(1 << 20)
    await _dribble(pair, bytes(3000))
    if linger:
        pair.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    pair.far.close()
    await handler.until(lambda: bool(handler.closed))
    assert linger or handler.closed == [None]
    assert linger or len(handler.received) == 3000


async def test_a_new_handler_takes_over_what_comes_next(pair: Pair) -> None:
    first, second = Recorder(), Recorder()
    pair.connection.start(first)
    await pair.write_far(b"one")
    await first.until(lambda: bytes(first.received) == b"one")
    pair.connection.start(second)
    await pair.write_far(b"two")
    await second.until(lambda: bytes(second.received) == b"two")
    pair.connection.close(None)
    assert (first.closed, second.closed) == ([], [None])


async def test_many_writes_leave_in_order_when_the_loop_turns(pair: Pair) -> None:
    pair.connection.start(Recorder())
    parts = [b"%d," % number for number in range(5000)]
    for part in parts:
        pair.connection.write(part)
    assert pair.connection.bytes_sent == 0
    assert pair.connection.pending_writes == len(parts)
    expected = b"".join(parts)
    assert await pair.read_far(len(expected)) == expected
    assert pair.connection.pending_bytes == pair.connection.pending_writes == 0
    assert pair.connection.bytes_sent == len(expected)


async def test_flush_does_not_wait_for_the_loop(pair: Pair) -> None:
    pair.connection.start(Recorder())
    pair.connection.write(b"now")
    pair.connection.flush()
    assert pair.far.recv(10) == b"now"


async def test_each_write_is_reported_when_the_kernel_took_it_whole(pair: Pair) -> None:
    handler = Recorder()
    pair.connection.start(handler)
    sent: list[int] = []
    block = random.Random(2).randbytes(1 << 20)
    for number in range(16):
        pair.connection.write(bytearray(block), lambda number=number: sent.append(number))
    pair.connection.flush()
    assert 0 < len(sent) < 16  # the kernel was full
    taken = len(sent)
    assert pair.connection.bytes_sent // (1 << 20) == taken
    received = await pair.read_far(16 << 20)
    assert received == block * 16
    assert sent == list(range(16))


async def test_the_handler_is_asked_for_more_below_the_low_mark(pair: Pair) -> None:
    """So that one who sends for ever never holds more than that and a batch."""
    left = 64
    most = 0

    def refill() -> None:
        nonlocal left, most
        while left and pair.connection.pending_bytes < LOW_WATERMARK_BYTES:
            pair.connection.write(bytes(LOW_WATERMARK_BYTES))
            left -= 1
            most = max(most, pair.connection.pending_bytes)
            pair.connection.flush()

    handler = Recorder(on_write=refill)
    pair.connection.start(handler)
    refill()
    assert left
    assert len(await pair.read_far(64 * LOW_WATERMARK_BYTES)) == 64 * LOW_WATERMARK_BYTES
    assert not left
    assert handler.writable
    assert most <= 2 * LOW_WATERMARK_BYTES


async def test_an_orderly_end_of_the_other_side(pair: Pair) -> None:
    handler = Recorder()
    pair.connection.start(handler)
    await pair.write_far(b"bye")
    pair.far.close()
    await handler.until(lambda: bool(handler.closed))
    assert handler.received == b"bye"
    assert handler.closed == [None]
    assert pair.connection.is_closed


async def test_a_reset_is_a_peer_error(pair: Pair) -> None:
    handler = Recorder()
    pair.connection.start(handler)
    pair.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    pair.far.close()
    await handler.until(lambda: bool(handler.closed))
    (error,) = handler.closed
    assert isinstance(error, PeerError)
    assert str(pair.connection.remote) in str(error)


def test_a_reset_behind_data_is_seen_on_every_loop() -> None:
    """uvloop tells of a reset once, and then there is still data to be read first."""

    async def main() -> None:
        for _ in range(50):
            pair = _pair()
            handler = Recorder()
            await pair.write_far(b"last words")
            pair.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            pair.far.close()
            pair.connection.start(handler)
            await handler.until(lambda handler=handler: bool(handler.closed))
            assert isinstance(handler.closed[0], PeerError)

    for factory in (new_event_loop, asyncio.new_event_loop):
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(main())


async def test_a_write_to_a_lost_peer_is_a_peer_error(pair: Pair) -> None:
    handler = Recorder(quota=0)
    pair.connection.start(handler)
    pair.connection.pause_reading()
    pair.far.close()
    released: list[int] = []
    for number in range(100):
        pair.connection.write(bytes(1 << 20), lambda number=number: released.append(number))
        pair.connection.flush()
    await handler.until(lambda: bool(handler.closed))
    assert isinstance(handler.closed[0], PeerError)
    assert sorted(released) == list(range(100))


@pytest.mark.parametrize("error", [ProtocolError("rude"), PeerError("enough")])
async def test_a_peer_error_of_the_handler_closes(pair: Pair, error: PeerError) -> None:
    handler = Recorder(raises=error)
    pair.connection.start(handler)
    await pair.write_far(b"x")
    await handler.until(lambda: bool(handler.closed))
    assert handler.closed == [error]


async def test_a_bug_of_the_handler_is_reported_and_closes_too(pair: Pair) -> None:
    reported: list[object] = []
    pair.loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
    bug = ZeroDivisionError("ours")
    handler = Recorder(raises=bug)
    pair.connection.start(handler)
    await pair.write_far(b"xy")
    await handler.until(lambda: bool(handler.closed))
    assert handler.closed == reported == [bug]


async def test_closing_is_done_once_and_gives_everything_back(pair: Pair) -> None:
    handler = Recorder()
    pair.connection.start(handler)
    released: list[int] = []
    for number in range(3):
        pair.connection.write(b"x", lambda number=number: released.append(number))
    pair.connection.close(None)
    pair.connection.close(PeerError("again"))
    pair.connection.write(b"late", lambda: released.append(3))
    pair.connection.flush()
    pair.connection.resume_reading()
    assert handler.closed == [None]
    assert released == [0, 1, 2, 3]
    assert pair.connection.pending_bytes == 0
    assert await pair.read_far(1) == b""


async def test_closing_from_inside_of_a_callback(pair: Pair) -> None:
    """A `sent` that closes the connection: the rest is given back, nothing is sent twice."""
    handler = Recorder()
    pair.connection.start(handler)
    order: list[str] = []

    def first() -> None:
        order.append("first")
        pair.connection.close(None)

    pair.connection.write(b"a", first)
    pair.connection.write(b"b", lambda: order.append("second"))
    pair.connection.flush()
    assert order == ["first", "second"]
    assert handler.closed == [None]
    assert await pair.read_far(3) == b"ab"
