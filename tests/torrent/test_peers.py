"""Who is connected: limits, doubles, bans, seeds that part, addresses that are learnt."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from engine.core import bencode
from engine.core.compact import Endpoint
from engine.core.metainfo import Metainfo
from engine.swarm.peer_list import PeerList, PeerSource
from engine.swarm.places import LONG_PATIENCE_S, PATIENCE_S
from engine.torrent import peers as peers_module
from engine.torrent.facilities import Limits
from engine.torrent.lifecycle import State
from engine.torrent.peer import LATE_HAVES_S
from tests.end_to_end.rig import endpoint_of, seeding, until, until_state
from tests.fakes import scripted_peer as wire
from tests.fakes.scripted_peer import ScriptedPeer, listening
from tests.storage.torrents import sample
from tests.torrent.one_torrent import ALL, OneTorrent, one_torrent

NAMED = b"-XX0000-" + bytes([7]) * 12


def _listens_at(port: int) -> bytes:
    return wire.frame(wire.EXTENSION, b"\0" + bencode.encode({"p": port}))


async def _answer(one: OneTorrent, peer: ScriptedPeer, peer_id: bytes) -> None:
    """Be dialled: read a handshake and answer it."""
    await peer.read(68)
    peer.send(wire.PROTOCOL + wire.ALL + bytes(one.torrent.info_hash) + peer_id)


async def test_no_more_are_dialled_than_there_are_places(tmp_path: Path) -> None:
    most = 0
    met = 0

    async def script(peer: ScriptedPeer) -> None:
        nonlocal met
        met += 1
        await _answer(one, peer, b"-XX0000-" + bytes([met]) * 12)
        await peer.hangup()

    limits = Limits(max_connections_per_torrent=3, half_open=2)
    async with one_torrent(tmp_path, limits=limits) as one:
        count = one.session.facilities.connections

        def watch(_: object) -> None:
            nonlocal most
            most = max(most, count.dialling)

        one.session.on_change.append(watch)
        async with contextlib.AsyncExitStack() as stack:
            addresses = [await stack.enter_async_context(listening(script)) for _ in range(8)]
            one.live.peers.found(addresses, PeerSource.TRACKER)
            watch(None)
            await one.until(lambda: len(one.live.peers.connected) == 3 and not count.dialling)
            assert met == count.open == 3
            assert most <= 2
            # A place that falls free is taken at once.
            next(iter(one.live.peers.connected)).connection.close(None)
            await one.until(lambda: met == 4)
            one.torrent.pause()


@pytest.mark.parametrize("is_theirs_larger", [False, True])
async def test_of_two_that_dialled_each_other_both_keep_the_same(
    is_theirs_larger: bool, tmp_path: Path
) -> None:
    """The connection that the larger peer id made, whichever came first."""
    theirs = (b"\xff" if is_theirs_larger else b"\0") * 20
    outcome: asyncio.Queue[bool] = asyncio.Queue()

    async def script(peer: ScriptedPeer) -> None:
        """We are called back while our own call is young."""
        await _answer(one, peer, theirs)
        outcome.put_nowait(await peer.is_alive())
        await peer.hangup()

    async with one_torrent(tmp_path) as one, listening(script) as at:
        called = await ScriptedPeer.meet(
            endpoint_of(one.session), bytes(one.torrent.info_hash), peer_id=theirs
        )
        await one.until(lambda: len(one.live.peers.connected) == 1)
        one.torrent.add_peer(at)
        is_second_alive = await asyncio.wait_for(outcome.get(), 20)
        assert is_second_alive is not is_theirs_larger
        assert await called.is_alive() is is_theirs_larger
        assert len(one.live.peers.connected) == 1
        await called.close()
        one.torrent.pause()


async def test_an_old_connection_is_not_given_up_for_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers_module, "_SIMULTANEOUS_S", -1.0)
    hung_up = asyncio.Event()

    async def script(peer: ScriptedPeer) -> None:
        await _answer(one, peer, b"\0" * 20)
        await peer.hangup()
        hung_up.set()

    async with one_torrent(tmp_path) as one, listening(script) as at:
        called = await ScriptedPeer.meet(
            endpoint_of(one.session), bytes(one.torrent.info_hash), peer_id=b"\0" * 20
        )
        await one.until(lambda: len(one.live.peers.connected) == 1)
        one.torrent.add_peer(at)
        await hung_up.wait()
        assert await called.is_alive()
        # Now we know who listens there, and do not dial it again and again.
        (peer,) = one.live.peers.connected
        assert peer.dial_address == at
        assert one.live.peers.known.next_try_at() == float("inf")
        await called.close()
        one.torrent.pause()


async def test_a_listen_port_is_believed_once(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        visitor = await one.visitor()
        visitor.send(*(_listens_at(port) for port in (1000, 1001, 1002)))
        assert await visitor.is_alive()
        assert one.known().dial_address == Endpoint("127.0.0.1", 1000)
        assert len(one.live.peers.known) == 1


async def test_what_neighbours_call_us_is_not_our_address_and_what_many_do_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt: list[object] = []
    monkeypatch.setattr(PeerList, "set_ours", lambda _, ours: learnt.append(ours))
    told = wire.frame(wire.EXTENSION, b"\0" + bencode.encode({"yourip": bytes([203, 0, 113, 5])}))
    async with one_torrent(tmp_path) as one:
        for number in range(6):
            visitor = await one.visitor(number)
            if number >= 3:
                far = Endpoint(f"198.51.{number}.1", 5)
                monkeypatch.setattr(one.known(number).connection, "remote", far)
            visitor.send(told)
            assert await visitor.is_alive()
            assert bool(learnt) is (number == 5)
        assert learnt == [[Endpoint("203.0.113.5", one.session.port)]]
        assert one.session.facilities.new_peer_list()._ours == learnt[0]


async def test_the_silent_are_dropped_and_the_talkative_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers_module, "SILENCE_LIMIT_S", 50.0)
    async with one_torrent(tmp_path) as one:
        silent, talking = await one.visitor(0), await one.visitor(1)
        now = one.session.facilities.loop.time() + 100.0
        one.known(1).heard_at = now
        one.live.peers.tick(now)
        await silent.hangup()
        assert await talking.is_alive()


async def test_whoever_was_quiet_for_long_is_told_that_we_live(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        visitor = await one.visitor(reserved=wire.PLAIN)
        now = one.session.facilities.loop.time()
        one.known().keep_alive(now + 50)
        one.known().keep_alive(now + 101)
        assert await visitor.read(4) == bytes(4)


async def test_what_a_peer_can_do_nothing_with_it_hears_of_together(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        visitor, seed = await one.visitor(0), await one.visitor(1, has=ALL)
        await one.until(lambda: one.known(1).pieces.is_full)
        now = one.live.now()
        for number, piece in enumerate((3, 5)):
            peer = one.known(number)
            peer.told_at = now
            peer.late_haves.append(piece)
            peer.keep_alive(now + LATE_HAVES_S / 3)
        assert (await seed.until(wire.HAVE)).numbers == (5,)
        one.known(0).late_haves.append(4)
        one.known(0).keep_alive(now + LATE_HAVES_S)
        assert [(await visitor.until(wire.HAVE)).numbers[0] for _ in range(2)] == [3, 4]


async def test_closing_ends_those_who_are_dialled_greeted_and_connected(tmp_path: Path) -> None:
    hung_up = asyncio.Event()

    async def mute(peer: ScriptedPeer) -> None:
        await peer.read(68)
        greeted.set()
        await peer.hangup()
        hung_up.set()

    greeted = asyncio.Event()
    async with one_torrent(tmp_path) as one, listening(mute) as at:
        visitor = await one.visitor()
        one.torrent.add_peer(at)
        await greeted.wait()
        assert one.session.facilities.connections.open == 2
        one.torrent.pause()
        assert one.session.facilities.connections.open == 0
        await visitor.hangup()
        await hung_up.wait()


async def test_an_answer_that_comes_after_a_pause_finds_nobody(tmp_path: Path) -> None:
    async def slow(peer: ScriptedPeer) -> None:
        await peer.read(68)
        one.torrent.pause()
        peer.send(wire.PROTOCOL + wire.ALL + bytes(one.torrent.info_hash) + NAMED)
        await peer.hangup()
        over.set()

    over = asyncio.Event()
    async with one_torrent(tmp_path) as one, listening(slow) as at:
        one.torrent.add_peer(at)
        await over.wait()
        assert one.torrent.live is None
        assert one.session.facilities.connections.open == 0


async def test_one_public_host_does_not_take_all_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with one_torrent(tmp_path) as one:
        for number in range(12):  # in a local network there may be many
            await one.visitor(number)
        for visitor in one.visitors:
            await visitor.close()
        await one.until(lambda: not one.live.peers.connected)
        monkeypatch.setattr(peers_module, "is_local", lambda host: False)
        for number in range(8):
            await one.visitor(number)
        late = await ScriptedPeer.meet(
            endpoint_of(one.session), bytes(one.torrent.info_hash), peer_id=b"-XX0000-" + b"9" * 12
        )
        await late.hangup()
        await late.close()
        assert len(one.live.peers.connected) == 8
        await one.visitors[-1].close()
        await one.until(lambda: len(one.live.peers.connected) == 7)
        await one.visitor(20)


async def test_who_is_of_no_use_makes_room_for_whom_we_would_call(tmp_path: Path) -> None:
    """A crowd that only connects must not shut out the one peer that has something."""
    answered = asyncio.Event()

    async def seed(peer: ScriptedPeer) -> None:
        await _answer(one, peer, NAMED)
        answered.set()
        await peer.hangup()

    limits = Limits(max_connections_per_torrent=3)
    async with one_torrent(tmp_path, limits=limits) as one, listening(seed) as at:
        crowd = [await one.visitor(number) for number in range(3)]
        one.live.peers.found([at], PeerSource.TRACKER)
        one.live.peers.tick(one.live.now())
        assert len(one.live.peers.connected) == 3
        for peer in one.live.peers.connected:
            peer.place.used_at -= PATIENCE_S
        one.known(0).place.used_at -= 1.0
        one.live.peers.tick(one.live.now())
        await answered.wait()
        await crowd[0].hangup()
        one.live.peers.tick(one.live.now())  # not two at once
        assert [await each.is_alive() for each in crowd[1:]] == [True, True]
        one.torrent.pause()


async def test_who_is_of_no_use_makes_room_for_who_comes(tmp_path: Path) -> None:
    limits = Limits(max_connections_per_torrent=2)
    async with one_torrent(tmp_path, limits=limits) as one:
        idle, giver = await one.visitor(0), await one.visitor(1)
        one.known(0).place.used_at -= PATIENCE_S
        one.live.peers.tick(one.live.now())
        assert len(one.live.peers.connected) == 2  # nobody waits
        refused = await ScriptedPeer.meet(
            endpoint_of(one.session), bytes(one.torrent.info_hash), peer_id=b"-XX0000-" + b"9" * 12
        )
        await refused.hangup()
        await refused.close()
        one.live.peers.tick(one.live.now())
        await idle.hangup()
        assert await giver.is_alive()
        await one.visitor(3)


async def _all_idle(one: OneTorrent, count: int) -> None:
    """So many visitors, all of no use for long, the first one longest."""
    for number in range(count):
        await one.visitor(number)
    for number in range(count):
        one.known(number).place.used_at -= 2 * PATIENCE_S - number


async def test_in_a_full_session_nobody_goes_while_nobody_waits(tmp_path: Path) -> None:
    async with one_torrent(tmp_path, limits=Limits(max_connections=2)) as one:
        await _all_idle(one, 2)
        one.live.peers.tick(one.live.now())
        assert len(one.live.peers.connected) == 2


async def test_in_a_full_session_one_in_all_makes_room_for_who_comes(tmp_path: Path) -> None:
    """However many torrents it has: one has come."""
    other_content = sample(1000, name="other")
    other_content.store(tmp_path)
    async with one_torrent(tmp_path, limits=Limits(max_connections=3)) as one:
        other = await seeding(one.session, Metainfo(other_content.info), tmp_path)
        third = await ScriptedPeer.meet(endpoint_of(one.session), bytes(other.info_hash))
        await until(
            one.session, lambda: other.live is not None and bool(other.live.peers.connected)
        )
        assert other.live is not None
        (peer,) = other.live.peers.connected
        peer.place.used_at -= 2 * PATIENCE_S
        await _all_idle(one, 2)
        refused = await ScriptedPeer.dial(endpoint_of(one.session))
        await refused.hangup()
        now = one.live.now()
        one.live.peers.tick(now)
        other.live.peers.tick(now)
        assert one.session.facilities.connections.open == 2
        late = await one.visitor(4)
        one.live.peers.tick(now)
        other.live.peers.tick(now)
        assert one.session.facilities.connections.open == 3
        assert await late.is_alive()
        await refused.close()
        await third.close()


async def test_in_a_full_session_one_makes_room_for_whom_another_torrent_would_call(
    tmp_path: Path,
) -> None:
    called = asyncio.Event()

    async def script(peer: ScriptedPeer) -> None:
        called.set()
        await peer.hangup()

    limits = Limits(max_connections=2)
    async with one_torrent(tmp_path, limits=limits) as one, listening(script) as at:
        other = await one.session.add(Metainfo(sample(1000, name="b").info), save_path=tmp_path)
        await until_state(one.session, other, State.DOWNLOADING)
        await _all_idle(one, 2)
        other.add_peer(at)
        one.live.peers.tick(one.live.now())
        await called.wait()
        other.pause()


async def test_who_made_room_has_not_failed_and_is_not_called_at_once(tmp_path: Path) -> None:
    greeted = asyncio.Event()

    async def seed(peer: ScriptedPeer) -> None:
        await _answer(one, peer, NAMED)
        peer.send(wire.frame(wire.BITFIELD, ALL))
        greeted.set()
        await peer.hangup()

    limits = Limits(max_connections_per_torrent=1)
    async with one_torrent(tmp_path, limits=limits) as one, listening(seed) as at:
        one.live.peers.found([at], PeerSource.TRACKER)
        await greeted.wait()
        await one.until(lambda: bool(one.live.peers.connected))
        (peer,) = one.live.peers.connected
        await one.until(lambda: peer.pieces.is_full)
        peer.place.used_at -= LONG_PATIENCE_S
        before = one.live.now()
        refused = await ScriptedPeer.meet(
            endpoint_of(one.session), bytes(one.torrent.info_hash), peer_id=b"-XX0000-" + b"9" * 12
        )
        await refused.hangup()
        await refused.close()
        one.live.peers.tick(one.live.now())
        assert not one.live.peers.connected
        known = one.live.peers.known
        assert known.endpoints() == [at]
        assert before + LONG_PATIENCE_S <= known.next_try_at() <= one.live.now() + LONG_PATIENCE_S
        one.torrent.pause()
