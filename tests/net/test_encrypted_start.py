"""Starting encrypted, both roles, over real sockets: handed on once, or failed; in bounded time."""

from __future__ import annotations

import asyncio

import pytest

from engine.errors import EncryptionError, PeerError, PeerTimeoutError
from engine.net import encrypted_start
from engine.net.connection import Encryption
from engine.net.encrypted_start import IncomingStart, OutgoingStart
from engine.wire.encryption import skey_mark
from engine.wire.encryption_policy import EncryptionPolicy, Level, Wish
from engine.wire.handshake import PROTOCOL_NAME
from tests.fakes.mse_by_hand import Mse
from tests.net.encrypted_pair import End, two_ends

SKEY = b"k" * 20
HELLO = PROTOCOL_NAME + bytes(48)
ALLOWED = EncryptionPolicy()


def find(mark: bytes) -> bytes | None:
    return SKEY if mark == skey_mark(SKEY) else None


def answer(end: End, policy: EncryptionPolicy = ALLOWED) -> None:
    IncomingStart(
        asyncio.get_running_loop(),
        end.inner,
        policy,
        find=find,
        started=end.started,
        failed=end.on_failed,
    ).begin()


def call(end: End, policy: EncryptionPolicy = ALLOWED, *, wire_hash: bytes = SKEY) -> None:
    OutgoingStart(
        asyncio.get_running_loop(),
        end.inner,
        policy,
        wire_hash=wire_hash,
        initial=HELLO,
        started=end.started,
        failed=end.on_failed,
    ).begin()


@pytest.mark.parametrize(
    ("level", "encryption"),
    [(Level.RC4, Encryption.ALL), (Level.PLAINTEXT, Encryption.HANDSHAKE)],
)
async def test_both_sides_are_handed_on_and_understand_each_other(
    level: Level, encryption: Encryption
) -> None:
    policy = EncryptionPolicy(level=level)
    async with two_ends() as (caller, called):
        answer(called, policy)
        call(caller, policy)
        await caller.handler.until(lambda: caller.connection is not None)
        await called.handler.until(lambda: called.handler.received == HELLO)
        assert caller.connection is not None
        assert called.connection is not None
        assert caller.connection.encryption is called.connection.encryption is encryption
        called.connection.write(b"pong")
        await caller.handler.until(lambda: caller.handler.received == b"pong")
        caller.connection.write(bytes(300_000))
        await called.handler.until(lambda: len(called.handler.received) == len(HELLO) + 300_000)
        caller.connection.close()
        await called.handler.until(lambda: bool(called.handler.closed))
        assert not caller.failed
        assert not called.failed


@pytest.mark.parametrize("first", [1, 5, 19, 20, 68])
async def test_a_plain_handshake_is_handed_on_as_it_came(first: int) -> None:
    async with two_ends() as (far, called):
        answer(called)
        far.started(far.inner, b"")
        far.inner.write(HELLO[:first])
        far.inner.flush()
        async with asyncio.timeout(20):
            while called.inner.bytes_received < first:
                await asyncio.sleep(0)  # nobody is told of it
        far.inner.write(HELLO[first:])
        await called.handler.until(lambda: called.handler.received == HELLO)
        assert called.connection is called.inner


async def test_who_requires_encryption_refuses_plain() -> None:
    async with two_ends() as (far, called):
        answer(called, EncryptionPolicy(Wish.REQUIRED))
        far.started(far.inner, b"")
        far.inner.write(HELLO)
        await far.handler.until(lambda: bool(far.handler.closed))
        assert [str(each).endswith("does not encrypt") for each in called.failed] == [True]
        assert called.connection is None


async def test_a_torrent_that_is_not_here_ends_it_on_both_sides() -> None:
    async with two_ends() as (caller, called):
        answer(called)
        call(caller, wire_hash=b"x" * 20)
        await caller.handler.until(lambda: bool(caller.failed))
        assert [type(each) for each in called.failed] == [EncryptionError]
        assert caller.failed == [None]


async def test_junk_ends_it() -> None:
    async with two_ends() as (far, called):
        answer(called)
        far.started(far.inner, b"")
        far.inner.write(b"\xff" * 100_000)
        await far.handler.until(lambda: bool(far.handler.closed))
        assert isinstance(called.failed[0], EncryptionError)


@pytest.mark.parametrize("said", ["nothing", "a byte", "half a name", "a key", "a request"])
async def test_who_stalls_is_hung_up_on(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    """In every state of the handshake; a byte now and then helps nobody."""
    monkeypatch.setattr(encrypted_start, "START_TIMEOUT_S", 0.3)
    async with two_ends() as (far, called):
        answer(called)
        far.started(far.inner, b"")
        caller = Mse(SKEY, calls=True)
        if said == "a byte":
            far.inner.write(b"\x13")
        elif said == "half a name":
            far.inner.write(PROTOCOL_NAME[:10])
        elif said in {"a key", "a request"}:
            far.inner.write(caller.public)
            await far.handler.until(lambda: len(far.handler.received) >= 96)
        if said == "a request":
            caller.agree(bytes(far.handler.received[:96]))
            far.inner.write(caller.request(initial=HELLO)[:-1])
        await far.handler.until(lambda: bool(far.handler.closed))
        assert [type(each) for each in called.failed] == [PeerTimeoutError]


async def test_the_timer_ends_with_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encrypted_start, "START_TIMEOUT_S", 0.05)
    async with two_ends() as (far, called):
        answer(called)
        far.started(far.inner, b"")
        far.inner.write(HELLO)
        await called.handler.until(lambda: called.handler.received == HELLO)
        await asyncio.sleep(0.1)
        assert not called.inner.is_closed


async def test_who_takes_over_may_refuse() -> None:
    async with two_ends() as (far, called):

        def refuse(*_: object) -> None:
            raise PeerError("not today")

        called.started = refuse  # type: ignore[method-assign]
        answer(called)
        far.started(far.inner, b"")
        far.inner.write(HELLO)
        await far.handler.until(lambda: bool(far.handler.closed))
        assert [str(each) for each in called.failed] == ["not today"]
