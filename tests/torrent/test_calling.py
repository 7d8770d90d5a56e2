"""Calling addresses: every one that is taken from the list is reported back, whatever happens."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from engine.core.compact import Endpoint
from engine.core.identifiers import InfoHash
from engine.errors import PeerError
from engine.net.peer_connection import PeerConnection
from engine.session.session import Session
from engine.swarm.peer_list import PeerList, PeerSource
from engine.torrent.calling import Calling
from engine.torrent.facilities import Limits
from engine.wire.handshake import Handshake
from tests.end_to_end.rig import LOOPBACK, running, until
from tests.fakes.metadata_giver import answer_handshake
from tests.fakes.scripted_peer import PLAIN, PROTOCOL, ScriptedPeer, listening

HASH = InfoHash(b"h" * 20)
GONE = Endpoint("127.0.0.1", 9)


class Caller:
    """Who calls, and keeps who answered."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.known = PeerList(session.facilities.rng)
        self.greeted: list[PeerConnection] = []
        self.refuses = False
        self.is_connected = False
        self.calling = Calling(
            session.facilities,
            self.known,
            HASH,
            greeted=self._on_greeted,
            is_connected=lambda _: self.is_connected,
        )

    def _on_greeted(self, connection: PeerConnection, handshake: Handshake, rest: bytes) -> None:
        assert handshake.info_hash == HASH
        if self.refuses:
            raise PeerError("not wanted")
        self.known.connected(connection.remote, self.now)
        connection.start(self)
        self.greeted.append(connection)

    def on_data(self, data: memoryview) -> None:
        pass

    def on_writable(self) -> None:
        pass

    def read_quota(self) -> int:
        return 1024

    def on_closed(self, error: Exception | None) -> None:
        self.session.facilities.connections.open -= 1

    @property
    def now(self) -> float:
        return self.session.facilities.loop.time()

    def call(self, *endpoints: Endpoint, places: int = 9) -> None:
        for endpoint in endpoints:
            self.known.add(endpoint, PeerSource.TRACKER, self.now)
        self.calling.call_more(places)

    def has_failed(self, endpoint: Endpoint) -> bool:
        return endpoint in self.known and endpoint not in self.known.endpoints()

    def close(self) -> None:
        self.calling.close()
        for connection in self.greeted:
            connection.close(None)


@contextlib.asynccontextmanager
async def caller(limits: Limits | None = None) -> AsyncIterator[Caller]:
    async with running(replace(LOOPBACK, limits=limits or Limits())) as session:
        made = Caller(session)
        yield made
        made.close()
        count = session.facilities.connections
        await until(session, lambda: not count.dialling and not count.open)


async def quiet(peer: ScriptedPeer) -> None:
    """Accepts, and never greets."""
    await peer.hangup()


async def polite(peer: ScriptedPeer) -> None:
    await answer_handshake(peer)
    await peer.hangup()


async def test_who_answers_is_handed_on() -> None:
    async with listening(polite) as at, caller() as one:
        one.call(at)
        assert one.calling.count == 1
        await until(one.session, lambda: bool(one.greeted))
        assert one.calling.count == 0
        assert one.known.candidates(one.now + 9999, 9) == []  # it is connected


async def test_who_cannot_be_reached_or_answers_wrongly_has_failed() -> None:
    async def another(peer: ScriptedPeer) -> None:
        await peer.read(68)
        peer.send(PROTOCOL + PLAIN + b"x" * 20 + b"-XX0000-another.....")
        await peer.hangup()

    async def rude(peer: ScriptedPeer) -> None:
        peer.send(b"HTTP/1.1 400 Bad Request\r\n")
        await peer.hangup()

    async with listening(another) as first, listening(rude) as second, caller() as one:
        one.call(GONE, first, second)
        await until(
            one.session, lambda: all(one.has_failed(each) for each in (GONE, first, second))
        )
        assert not one.greeted


async def test_who_is_not_wanted_has_failed_unless_it_is_here_already() -> None:
    async with listening(polite) as at, caller() as one:
        one.refuses = True
        one.call(at)
        await until(one.session, lambda: one.has_failed(at))
    async with listening(polite) as at, caller() as one:
        one.refuses = one.is_connected = True
        one.call(at)
        count = one.session.facilities.connections
        await until(one.session, lambda: one.calling.count == 0 and not count.open)
        assert not one.has_failed(at)


async def test_the_limits_of_the_session_and_our_own_hold(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(listening(quiet)) for _ in range(6)]
        async with caller(Limits(half_open=2)) as one:
            one.call(*peers)
            assert one.calling.count == 2
        async with caller(Limits(max_connections=3)) as one:
            one.call(*peers)
            assert one.calling.count == 3
        async with caller() as one:
            one.call(*peers, places=4)
            assert one.calling.count == 4
            one.call(places=4)
            assert one.calling.count == 4


async def test_an_end_in_the_middle_is_nobodys_fault() -> None:
    async with listening(quiet) as greets_not, caller() as one:
        one.call(greets_not)
        await until(one.session, lambda: one.session.facilities.connections.open == 1)
        one.close()
        assert not one.has_failed(greets_not)
        assert one.known.candidates(one.now, 9) == [greets_not]
        one.call(greets_not)
        assert one.calling.count == 0
    async with listening(quiet) as dialled, caller() as one:
        one.call(dialled)
        assert one.calling.count == 1
        one.close()
        await until(one.session, lambda: one.calling.count == 0)
        assert one.known.candidates(one.now, 9) == [dialled]


async def test_a_family_that_we_are_not_held_to_is_not_dialled() -> None:
    async with caller() as one:
        v6 = Endpoint("::1", 6881)
        one.call(v6)
        assert one.calling.count == 0
        assert one.has_failed(v6)
