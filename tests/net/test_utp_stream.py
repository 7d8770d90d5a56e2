"""A uTP connection as peers know connections, over real sockets: flow control, closing, the end."""

from __future__ import annotations

import asyncio
import os

from engine.errors import PeerError
from engine.net.connection import LOW_WATERMARK_BYTES, RECEIVE_BUFFER_BYTES, Transport
from tests.net.utp_rig import ports
from tests.tracker.asking import needs_ipv6


async def test_bytes_go_both_ways_in_order() -> None:
    async with ports() as (here, there):
        ours, theirs = await here.dial(there)
        assert ours.stream.transport is Transport.UTP
        up, down = os.urandom(3_000_000), os.urandom(1_000_000)
        ours.stream.write(up)
        for at in range(0, len(down), 777):
            theirs.stream.write(down[at : at + 777])
        assert await theirs.has(len(up)) == up
        assert await ours.has(len(down)) == down
        assert ours.stream.bytes_sent == len(up) + 1
        assert theirs.stream.bytes_received == len(up) + 1
        assert max(theirs.reads) > 20_000, "runs are read as one piece"


@needs_ipv6
async def test_it_speaks_ipv6() -> None:
    async with ports("::1") as (here, there):
        ours, theirs = await here.dial(there)
        theirs.stream.write(b"six" * 100_000)
        assert await ours.has(300_000) == b"six" * 100_000


async def test_a_buffer_is_given_back_once_it_is_no_longer_needed() -> None:
    async with ports() as (here, there):
        ours, theirs = await here.dial(there)
        sent = asyncio.Event()
        slab = bytearray(os.urandom(200_000))
        wanted = bytes(slab)
        ours.stream.write(slab, sent.set)
        async with asyncio.timeout(20):
            await sent.wait()
        slab[:] = bytes(len(slab))
        assert await theirs.has(len(wanted)) == wanted


async def test_who_pauses_stops_the_sender_and_goes_on() -> None:
    async with ports() as (here, there):
        ours, theirs = await here.dial(there)
        theirs.stream.pause_reading()
        data = os.urandom(8_000_000)
        ours.stream.write(data)
        while ours.stream.bytes_sent < 256 * 1024 or theirs.stream.machine.inbound.window > 65536:
            await asyncio.sleep(0)
        assert not theirs.data
        assert ours.stream.pending_bytes > 7_000_000
        assert not ours.writable
        theirs.stream.resume_reading()
        assert await theirs.has(len(data)) == data
        await ours.is_writable()
        assert ours.stream.pending_bytes < LOW_WATERMARK_BYTES


async def test_no_more_is_read_than_the_quota_allows() -> None:
    async with ports() as (here, there):
        ours, theirs = await here.dial(there)
        theirs.quota = 1000
        theirs.reads.clear()
        ours.stream.write(bytes(50_000))
        await theirs.has(50_000)
        assert max(theirs.reads) == 1000
        theirs.quota = 0
        ours.stream.write(b"more")
        while not theirs.stream.machine.inbound.ready_bytes:
            await asyncio.sleep(0)
        theirs.quota = RECEIVE_BUFFER_BYTES
        assert len(theirs.data) == 50_000
        theirs.stream.resume_reading()
        await theirs.has(50_004)


async def test_what_was_written_before_closing_arrives_and_then_the_end() -> None:
    async with ports() as (here, there):
        ours, theirs = await here.dial(there)
        data = os.urandom(200_000)
        given_back = []
        ours.stream.write(data, lambda: given_back.append(1))
        ours.stream.close()
        assert given_back == [1]
        assert ours.closings == [None]
        assert await theirs.has(len(data)) == data
        assert await theirs.closed() is None
        ours.stream.write(b"too late", lambda: given_back.append(2))
        assert given_back == [1, 2]
        async with asyncio.timeout(20):
            while len(here.utp) or len(there.utp):
                await asyncio.sleep(0)


async def test_both_can_close_at_once() -> None:
    async with ports() as (here, there):
        ours, theirs = await here.dial(there)
        ours.stream.close()
        theirs.stream.close(PeerError("enough"))
        assert str(await theirs.closed()) == "enough"
        async with asyncio.timeout(20):
            while len(here.utp) or len(there.utp):
                await asyncio.sleep(0)


async def test_an_error_of_the_handler_ends_the_connection() -> None:
    async with ports() as (here, there):
        ours, theirs = await here.dial(there)

        def on_data(_: memoryview) -> None:
            raise PeerError("nonsense")

        theirs.on_data = on_data  # type: ignore[method-assign]
        ours.stream.write(b"abc")
        assert str(await theirs.closed()) == "nonsense"
        assert await ours.closed() is None


async def test_a_peer_that_is_gone_is_noticed_by_its_reset() -> None:
    async with ports() as (here, there):
        ours, theirs = await here.dial(there)
        there.utp._streams.clear()  # as if it had been started anew
        ours.stream.write(b"are you there?")
        error = await ours.closed()
        assert isinstance(error, PeerError)
        assert "reset by the peer" in str(error)
        assert theirs.closings == []
