"""The UDP port as strangers find it: floods, forgeries and garbage cost nothing that lasts."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import Callable
from time import monotonic
from typing import Any

import pytest

from engine.core.compact import Endpoint
from engine.errors import PeerError, PeerTimeoutError
from engine.net.utp_multiplexer import MAX_ANSWERED, MAX_LINGERING
from engine.net.utp_stream import UtpStream
from engine.utp.packet import DATA, FIN, RESET, STATE, SYN, pack, parse
from tests.net.utp_rig import Handler, Port, ports


def _packet(kind: int, id_: int, **fields: int | bytes) -> bytes:
    values: dict[str, int | bytes] = {
        "timestamp": 1, "delay": 0, "window": 1 << 20, "seq": 1, "ack": 0, **fields,
    }  # fmt: skip
    return pack(kind, id_, **values)  # type: ignore[arg-type]


@pytest.fixture
async def far() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    yield sock
    sock.close()


async def test_many_connections_share_a_port() -> None:
    async with ports() as (here, there):
        pairs = [await here.dial(there) for _ in range(20)]
        for n, (ours, theirs) in enumerate(pairs):
            ours.stream.write(b"%d;" % n * 5000)
            theirs.stream.write(b"-%d" % n)
        for n, (ours, theirs) in enumerate(pairs):
            assert await theirs.has(len(b"%d;" % n * 5000)) == b"%d;" % n * 5000
            assert await ours.has(len(b"-%d" % n)) == b"-%d" % n


async def test_nobody_there_is_a_time_out_and_a_stranger_refuses() -> None:
    async with ports() as (here, there):
        with pytest.raises(PeerTimeoutError, match="no connection within 0 s"):
            await here.utp.dial(Endpoint("127.0.0.1", 9), 0.05)
        await asyncio.sleep(0)
        assert len(here.utp) == 0
        there.utp._accepted = None
        with pytest.raises(PeerTimeoutError):
            await here.utp.dial(there.endpoint, 0.05)
        with pytest.raises(PeerError, match="no way there"):
            await here.utp.dial(Endpoint("::1", 9), 1)


async def test_a_cancelled_dial_leaves_nothing() -> None:
    async with ports() as (here, _):
        task = asyncio.ensure_future(here.utp.dial(Endpoint("127.0.0.1", 9), 5))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)
        assert len(here.utp) == 0


async def test_a_flood_of_syns_costs_bounded_memory_and_keeps_nobody_out(
    far: socket.socket,
) -> None:
    async with ports() as (here, there):
        for n in range(5 * MAX_ANSWERED):
            far.sendto(_packet(SYN, n * 7 & 0xFFFF), there.endpoint)
            if not n % 200:
                await asyncio.sleep(0)
        ours, theirs = await here.dial(there)
        ours.stream.write(b"in")
        assert await theirs.has(2) == b"in"
        assert len(there.utp) <= MAX_ANSWERED + 1
        assert there.accepted.empty(), "none of them has become a connection"


async def test_a_syn_alone_is_no_connection_and_an_answer_to_our_number_is(
    far: socket.socket,
) -> None:
    async with ports() as (_, there):
        loop = asyncio.get_running_loop()
        far.sendto(_packet(SYN, 500, seq=33), there.endpoint)
        answer = parse(memoryview(await loop.sock_recv(far, 100)))
        assert answer is not None
        assert (answer.type, answer.connection_id, answer.ack) == (STATE, 500, 33)
        for guess in range(0, 300, 3):
            if guess != (answer.seq - 1) & 0xFFFF:
                far.sendto(_packet(DATA, 501, seq=34, ack=guess, payload=b"x"), there.endpoint)
        far.sendto(_packet(SYN, 500, seq=33), there.endpoint)
        repeated = parse(memoryview(await loop.sock_recv(far, 100)))
        assert repeated is not None
        assert repeated.seq == answer.seq
        assert there.accepted.empty()
        far.sendto(_packet(DATA, 501, seq=34, ack=answer.seq - 1, payload=b"hello"), there.endpoint)
        async with asyncio.timeout(20):
            stream = await there.accepted.get()
        assert stream.remote == Endpoint(*far.getsockname())


async def test_garbage_and_forgeries_harm_no_connection(
    far: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    async with ports() as (here, there):
        ours, theirs = await here.dial(there)
        rng = random.Random(5)
        ids = [theirs.stream.machine.receive_id, ours.stream.machine.receive_id]
        for n in range(3000):
            kind = rng.choice((DATA, FIN, STATE, RESET, SYN))
            noise = _packet(
                kind, rng.choice((*ids, rng.getrandbits(16))),
                seq=rng.getrandbits(16), ack=rng.getrandbits(16), sack=rng.getrandbits(64),
                payload=os.urandom(rng.randrange(100)),
            )  # fmt: skip
            torn = bytes((noise[0],)) + os.urandom(rng.randrange(60))
            # From the address of the peer itself, too: as a forger would.
            far.sendto(rng.choice((noise, torn)), there.endpoint)
            if kind != RESET:
                here.udp.send(torn[:19], there.endpoint)
            if not n % 100:
                await asyncio.sleep(0)
        data = os.urandom(500_000)
        ours.stream.write(data)
        assert await theirs.has(len(data)) == data
        counters = there.utp.counters
        assert counters.malformed
        assert counters.unknown
        assert not caplog.records


async def test_who_connects_only_to_be_hung_up_on_fills_no_memory(far: socket.socket) -> None:
    async with ports() as (here, there):
        loop = asyncio.get_running_loop()
        ours, theirs = await here.dial(there)
        theirs.stream.close()
        for n in range(2, 2 * MAX_LINGERING + 200, 2):
            far.sendto(_packet(SYN, n), there.endpoint)
            while True:
                answer = parse(memoryview(await loop.sock_recv(far, 100)))
                if answer is not None and answer.type == STATE and answer.connection_id == n:
                    break
            far.sendto(_packet(STATE, n + 1, seq=2, ack=answer.seq - 1), there.endpoint)
            async with asyncio.timeout(20):
                (await there.accepted.get()).close()
        assert len(there.utp) <= MAX_LINGERING + 1
        assert await ours.closed() is None, "an honest end arrives all the same"


async def test_runs_of_packets_too_short_for_a_header_are_dropped() -> None:
    async with ports() as (here, there):
        for packet_bytes in (1, 2, 3, 4, 19, 20):
            there.utp.received(memoryview(b"\1" * 5 * packet_bytes), packet_bytes, here.endpoint)
        assert there.utp.counters.malformed == 6 * 5


async def test_packets_of_nobody_are_answered_by_few_resets(far: socket.socket) -> None:
    async with ports() as (_, there):
        for n in range(500):
            far.sendto(_packet(DATA, n, seq=7), there.endpoint)
        await asyncio.sleep(0)
        while there.utp.counters.unknown < 500:
            await asyncio.sleep(0)
        resets = 0
        while True:
            try:
                reset = parse(memoryview(far.recv(100)))
            except BlockingIOError:
                break
            assert reset is not None
            assert (reset.type, reset.ack) == (RESET, 7)
            resets += 1
        assert 1 <= resets <= 60


async def test_draining_waits_for_last_bytes_and_not_for_the_dead(far: socket.socket) -> None:
    async with ports() as (here, there):
        ours, theirs = await here.dial(there)
        ours.stream.write(b"last words")
        async with asyncio.timeout(20):
            await here.utp.drain(5)
        assert len(here.utp) == 0
        assert await theirs.has(10) == b"last words"
        far.sendto(_packet(SYN, 5), here.endpoint)
        await there.utp.drain(0.05)


async def test_a_run_of_several_connections_is_taken_apart() -> None:
    async with ports() as (here, there):
        pairs = [await here.dial(there) for _ in range(3)]
        run = b""
        for ours, _ in pairs:
            machine = ours.stream.machine
            run += _packet(
                DATA, machine.send_id,
                seq=machine.outbound.next, ack=machine.inbound.next - 1, payload=b"four",
            )  # fmt: skip
        here.udp.send_run(run, 24, there.endpoint)
        for _, theirs in pairs:
            assert await theirs.has(4) == b"four"


async def test_closing_a_port_closes_its_connections() -> None:
    here, there = Port(), Port()
    ours, theirs = await here.dial(there)
    here.close()
    assert ours.closings == [None]
    assert "reset" in str(await theirs.closed())
    there.close()


@pytest.mark.parametrize("distance", [-1, 0, 1, 5])
async def test_of_two_syns_that_cross_at_least_one_becomes_a_connection(distance: int) -> None:
    """As in hole punching (BEP 55), whatever ids the two have chosen."""

    class Chosen(random.Random):
        def __init__(self, first: int) -> None:
            super().__init__(1)
            self._first: int | None = first

        def getrandbits(self, bits: int) -> int:
            first, self._first = self._first, None
            return super().getrandbits(bits) if first is None else first

    async with ports() as (here, there):
        here.utp._rng, there.utp._rng = Chosen(1000), Chosen(1000 + distance)
        dialled = await asyncio.gather(
            here.utp.dial(there.endpoint, 2),
            there.utp.dial(here.endpoint, 2),
            return_exceptions=True,
        )
        made = [each for each in dialled if not isinstance(each, BaseException)]
        assert len(made) == (1 if abs(distance) == 1 else 2)
        for stream, other in zip(dialled, (there, here), strict=True):
            if isinstance(stream, BaseException):
                assert isinstance(stream, PeerError)
                continue
            ours = Handler(stream)
            ours.stream.write(b"hello")
            async with asyncio.timeout(20):
                theirs = Handler(await other.accepted.get())
            assert await theirs.has(5) == b"hello"
            theirs.stream.write(b"you")
            assert await ours.has(3) == b"you"


class Reported:
    """What the event loop had to log, and no test is to fail for."""

    def __init__(self) -> None:
        self.faults: list[Exception] = []
        self._loop = asyncio.get_running_loop()
        self._before = self._loop.get_exception_handler()

    def __enter__(self) -> Reported:
        self._loop.set_exception_handler(self._take)
        return self

    def _take(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.faults.append(context["exception"])

    def __exit__(self, *_: object) -> None:
        self._loop.set_exception_handler(self._before)


def _on_its_timer(stream: UtpStream) -> None:
    stream.machine.outbound = None  # type: ignore[assignment]
    stream.machine.timing.keep_alive_at = monotonic()
    stream._turns.mind(stream)


def _on_a_packet(stream: UtpStream) -> None:
    stream.machine.feedback = None  # type: ignore[assignment]


def _in_its_turn(stream: UtpStream) -> None:
    stream.machine.ledbat = None  # type: ignore[assignment]
    stream.write(b"?")


@pytest.mark.parametrize("breaks", [_on_its_timer, _on_a_packet, _in_its_turn])
async def test_a_fault_in_one_stream_costs_that_stream_only(
    breaks: Callable[[UtpStream], None],
) -> None:
    async with ports() as (here, there):
        broken, broken_far = await here.dial(there)
        ours, theirs = await here.dial(there)
        due = ours.stream.machine.timing.keep_alive_at = monotonic() + 0.2
        here.utp.mind(ours.stream)
        with Reported() as reported:
            breaks(broken.stream)
            broken_far.stream.write(b"to whom it may concern")
            fault = await broken.closed()
            assert reported.faults == [fault], "once, and with its traceback"
            assert fault.__traceback__ is not None
        assert len(here.utp) == 1
        async with asyncio.timeout(20):
            while ours.stream.machine.timing.keep_alive_at == due:
                await asyncio.sleep(0)  # nothing but the shared timer makes it speak
        ours.stream.write(b"and on")
        assert await theirs.has(6) == b"and on"
