"""Two engines behind routers that let in answers only, and a third to introduce them (BEP 55)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.compact import Endpoint
from engine.core.metainfo import Metainfo
from engine.net.connection import Transport
from engine.session.options import SessionOptions
from engine.session.session import Session
from engine.torrent.calling import Calling
from engine.torrent.lifecycle import State
from engine.torrent.peer import Peer
from engine.torrent.torrent import Torrent
from engine.wire.encryption_policy import EncryptionPolicy, Wish
from tests.end_to_end.rig import LOOPBACK, endpoint_of, running, seeding, until, until_state
from tests.fakes.firewall import Firewall
from tests.storage.torrents import sample

CONTENT = sample(1_000_000)
META = Metainfo(CONTENT.info)
UP_LIMIT = 10_000
"""While peers meet: two who have everything would part."""
BY_UTP = replace(LOOPBACK, transports=frozenset({Transport.UTP}))
ENCRYPTED = replace(
    LOOPBACK, limits=replace(LOOPBACK.limits, encryption=EncryptionPolicy(Wish.REQUIRED))
)


@asynccontextmanager
async def walled(
    options: SessionOptions, beyond: Iterable[Endpoint] = ()
) -> AsyncIterator[tuple[Session, Firewall]]:
    """An engine that nobody can connect to; `beyond` is that of Firewall."""
    async with running(options) as session:
        session.incoming.listener.close()
        yield session, Firewall(session.udp, beyond)


def address_of(session: Session) -> Endpoint:
    return session.udp.endpoints[0]


def connected(torrent: Torrent, to: Session) -> list[Peer]:
    if torrent.live is None:
        return []
    peers = torrent.live.peers.connected
    return [each for each in peers if address_of(to) in (each.dial_address, each.connection.remote)]


def call_nobody(torrent: Torrent, patch: pytest.MonkeyPatch) -> None:
    """From now on it dials only whom it is introduced to."""
    assert torrent.live is not None
    silent, call_more = torrent.live.peers._calling, Calling.call_more

    def call_others(calling: Calling, places: int, *, seeding: bool = False) -> None:
        if calling is not silent:
            call_more(calling, places, seeding=seeding)

    patch.setattr(Calling, "call_more", call_others)


@pytest.mark.parametrize("options", [LOOPBACK, BY_UTP, ENCRYPTED], ids=["both", "utp", "encrypted"])
async def test_who_cannot_be_reached_is_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: SessionOptions
) -> None:
    CONTENT.store(tmp_path / "b")
    open_to_all = replace(LOOPBACK, limits=options.limits)
    async with AsyncExitStack() as stack:
        relay = await stack.enter_async_context(running(open_to_all))
        b, wall_of_b = await stack.enter_async_context(walled(options))
        a, wall_of_a = await stack.enter_async_context(walled(options))
        at_relay = await relay.add(META, save_path=tmp_path / "relay")
        at_b = await seeding(b, META, tmp_path / "b")
        b.set_limits(up=UP_LIMIT)
        at_b.add_peer(endpoint_of(relay))
        await until(relay, lambda: bool(connected(at_relay, b)))
        call_nobody(at_b, monkeypatch)
        at_a = await a.add(META, save_path=tmp_path / "a", peers=[endpoint_of(relay)])
        await until(a, lambda: bool(connected(at_a, b)), "A and B have met")
        assert address_of(a) in wall_of_b.dropped, "A called, and did not come through"
        assert {each.connection.transport for each in connected(at_a, b)} == {Transport.UTP}
        b.set_limits(up=0)
        await until_state(a, at_a, State.SEEDING)
        assert not wall_of_a.dropped or set(wall_of_a.dropped) == {address_of(b)}
    assert (tmp_path / "a" / CONTENT.info.name).read_bytes() == CONTENT.data


async def test_without_a_relay_that_speaks_it_they_do_not_meet(tmp_path: Path) -> None:
    """Shows that the walls hold: nothing but an introduction opens them."""
    CONTENT.store(tmp_path / "b")
    silent = replace(LOOPBACK, transports=frozenset({Transport.TCP}))
    async with running(silent) as relay, walled(LOOPBACK) as (b, wall), walled(LOOPBACK) as (a, _):
        at_relay = await relay.add(META, save_path=tmp_path / "relay")
        at_b = await seeding(b, META, tmp_path / "b")
        b.set_limits(up=UP_LIMIT)
        at_b.add_peer(endpoint_of(relay))
        await until(relay, lambda: bool(connected(at_relay, b)))
        at_a = await a.add(META, save_path=tmp_path / "a", peers=[endpoint_of(relay)])
        at_a.add_peer(address_of(b))
        await until(a, lambda: wall.dropped.count(address_of(a)) >= 2, "A called twice")
        assert not connected(at_a, b)
