"""A connection over another one: order, buffers, callbacks, the end; over real sockets."""

from __future__ import annotations

import random

import pytest

from engine.errors import ProtocolError
from engine.net.cipher_connection import CipherConnection
from engine.net.connection import Encryption
from engine.net.rc4 import rc4
from engine.wire.encryption import Agreed, Method
from tests.net.encrypted_pair import End, two_ends


def meet(one: End, other: End, method: Method = Method.RC4) -> None:
    """As if both had agreed."""
    keys = b"a" * 20, b"b" * 20
    for end, (incoming, outgoing) in ((one, keys), (other, keys[::-1])):
        agreed = Agreed(method, rc4(incoming), rc4(outgoing), b"")
        end.started(CipherConnection(end.inner, agreed), b"")


@pytest.mark.parametrize("method", list(Method))
async def test_all_bytes_arrive_in_order_whatever_they_were_written_from(method: Method) -> None:
    rng = random.Random(1)
    async with two_ends() as (one, other):
        meet(one, other, method)
        assert one.connection is not None
        said = bytearray()
        released: list[int] = []
        for number in range(200):
            data = rng.randbytes(rng.choice((1, 13, 70_000)))
            said += data
            kind = number % 4
            if kind == 0:
                one.connection.write(data)
            elif kind == 1:
                one.connection.write(bytearray(data))
            elif kind == 2:
                one.connection.write(memoryview(data))  # may not be changed
            else:
                slab = bytearray(data)
                view = memoryview(slab)
                one.connection.write(view, lambda number=number: released.append(number))  # type: ignore[misc]
            if number % 7 == 0:
                one.connection.flush()
        await other.handler.until(lambda: len(other.handler.received) == len(said))
        assert other.handler.received == said
        assert released == list(range(3, 200, 4))
        assert other.connection is not None
        assert other.connection.bytes_received == one.connection.bytes_sent == len(said)
        assert one.connection.pending_bytes == one.connection.pending_writes == 0
        # And back, over the other cipher.
        other.connection.write(b"back")
        await one.handler.until(lambda: one.handler.received == b"back")


async def test_nothing_on_the_wire_is_as_it_was_written() -> None:
    async with two_ends() as (one, other):
        one.started(CipherConnection(one.inner, Agreed(Method.RC4, *_two(), b"")), b"")
        other.started(other.inner, b"")
        assert one.connection is not None
        one.connection.write(bytes(1000))
        await other.handler.until(lambda: len(other.handler.received) == 1000)
        assert other.handler.received == rc4(b"o" * 20).update(bytes(1000))


def _two():  # type: ignore[no-untyped-def]
    return rc4(b"i" * 20), rc4(b"o" * 20)


async def test_another_handler_goes_on_where_the_first_was() -> None:
    async with two_ends() as (one, other):
        meet(one, other)
        assert one.connection is not None
        assert other.connection is not None
        one.connection.write(b"first")
        await other.handler.until(lambda: other.handler.received == b"first")
        second = End(other.inner).handler
        other.connection.start(second)
        one.connection.write(b"second")
        await second.until(lambda: second.received == b"second")


async def test_reading_stops_and_goes_on() -> None:
    async with two_ends() as (one, other):
        meet(one, other)
        assert one.connection is not None
        assert other.connection is not None
        other.connection.pause_reading()
        one.connection.write(b"later")
        one.connection.flush()
        other.handler.quota = 2
        other.connection.resume_reading()
        await other.handler.until(lambda: other.handler.received == b"later")
        assert max(other.handler.chunks) <= 2


async def test_its_end_is_that_of_what_carries_it() -> None:
    async with two_ends() as (one, other):
        meet(one, other)
        assert one.connection is not None
        assert other.connection is not None
        other.handler.raises = ProtocolError("no")
        one.connection.write(b"wrong")
        await one.handler.until(lambda: bool(one.handler.closed))
        assert [str(each) for each in other.handler.closed] == ["no"]
        assert other.connection.is_closed
        assert one.handler.closed == [None]
        sent: list[bool] = []
        slab = bytearray(b"too late")
        other.connection.write(slab, lambda: sent.append(True))
        assert sent == [True]
        assert slab == b"too late"
        other.connection.close()


@pytest.mark.parametrize(
    ("method", "encryption"),
    [(Method.RC4, Encryption.ALL), (Method.PLAINTEXT, Encryption.HANDSHAKE)],
)
async def test_it_says_what_it_is(method: Method, encryption: Encryption) -> None:
    async with two_ends() as (one, other):
        meet(one, other, method)
        assert one.connection is not None
        assert one.connection.encryption is encryption
        assert one.inner.encryption is Encryption.NONE
        assert one.connection.transport is one.inner.transport
        assert one.connection.remote == one.inner.remote
