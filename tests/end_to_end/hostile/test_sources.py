"""Who lies, chokes or never sends what it was asked for holds no download up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from engine.torrent.lifecycle import State
from tests.end_to_end.hostile.arena import Arena
from tests.end_to_end.rig import until, until_state
from tests.fakes import scripted_peer as wire
from tests.fakes.scripted_peer import Said, ScriptedPeer, listening
from tests.storage.torrents import Sample

Answer = Callable[[ScriptedPeer, Said], Awaitable[None]]


async def _serve(peer: ScriptedPeer, answer: Answer) -> None:
    """Have everything, unchoke, and answer each request."""
    peer.send(wire.frame(wire.BITFIELD, b"\xfe"), wire.frame(wire.UNCHOKE))
    async for said in peer.messages():
        if said.id == wire.REQUEST:
            await answer(peer, said)


def _block(content: Sample, said: Said) -> bytes:
    index, begin, length = said.numbers
    return wire.piece(index, begin, content.piece(index)[begin : begin + length])


async def test_a_lone_liar_is_banned_at_its_first_piece(leeching: Arena) -> None:
    async def lie(peer: ScriptedPeer, said: Said) -> None:
        index, begin, length = said.numbers
        peer.send(wire.piece(index, begin, bytes(length)))

    liar = await leeching.attacker()
    await _serve(liar, lie)  # until it is hung up on
    assert not leeching.torrent.have.count
    assert leeching.torrent.wasted_bytes >= 1000  # the last piece is that short
    assert any("banned" in text for _, _, text in leeching.torrent.log_lines)
    await leeching.honest_transfer()


async def test_a_banned_peer_is_not_dialled_again(leeching: Arena) -> None:
    async def lie(peer: ScriptedPeer, said: Said) -> None:
        index, begin, length = said.numbers
        peer.send(wire.piece(index, begin, bytes(length)))

    calls = 0

    async def script(peer: ScriptedPeer) -> None:
        nonlocal calls
        calls += 1
        await peer.greet(leeching.info_hash)
        await _serve(peer, lie)

    async with listening(script) as at:
        leeching.torrent.add_peer(at)
        live = leeching.torrent.live
        assert live is not None
        await until(leeching.victim, lambda: live.peers.known.is_banned(at))
        leeching.torrent.add_peer(at)
        await leeching.honest_transfer()
        assert calls == 1


async def test_a_liar_among_honest_peers_is_found(leeching: Arena) -> None:
    """It sends one wrong block; the honest send the rest of that piece and are not blamed."""
    wrong: list[int] = []
    is_taken = asyncio.Event()

    async def lie_once(peer: ScriptedPeer, said: Said) -> None:
        index, begin, length = said.numbers
        if not wrong:
            wrong.append(index)
            peer.send(wire.piece(index, begin, bytes(length)), wire.frame(wire.CHOKE))
            is_taken.set()

    async def tell_truth(peer: ScriptedPeer, said: Said) -> None:
        peer.send(_block(leeching.content, said))

    liar = await leeching.attacker(reserved=wire.PLAIN)  # so that its choke drops the rest
    lying = asyncio.create_task(_serve(liar, lie_once))
    await is_taken.wait()
    honest = await leeching.attacker(peer_id=b"-XX0000-anotherpeer1")
    helping = asyncio.create_task(_serve(honest, tell_truth))
    await lying  # hung up on
    await until_state(leeching.victim, leeching.torrent, State.SEEDING)
    log = [text for _, _, text in leeching.torrent.log_lines]
    assert sum(text.startswith("banned") for text in log) == 1
    assert f"piece {wrong[0]} failed its hash and is fetched again" in log
    await helping  # two seeds part
    await leeching.honest_transfer()


@pytest.mark.parametrize("reserved", [wire.PLAIN, wire.FAST], ids=["plain", "fast"])
async def test_a_choke_in_the_middle_loses_no_request(leeching: Arena, reserved: bytes) -> None:
    """Without the fast extension a choke drops what was asked; with it the peer rejects it."""
    rounds = 0

    async def moody(peer: ScriptedPeer, said: Said) -> None:
        nonlocal rounds
        rounds += 1
        if rounds % 5 == 0 and rounds < 40:
            peer.send(wire.frame(wire.CHOKE))
            if reserved == wire.FAST:
                peer.send(wire.numbers(wire.REJECT, *said.numbers))
            peer.send(wire.frame(wire.UNCHOKE))
        else:
            peer.send(_block(leeching.content, said))

    peer = await leeching.attacker(reserved=reserved)
    serving = asyncio.create_task(_serve(peer, moody))
    await until_state(leeching.victim, leeching.torrent, State.SEEDING)
    await serving
    assert not any("banned" in text for _, _, text in leeching.torrent.log_lines)
    await leeching.honest_transfer()


async def test_what_one_peer_rejects_another_is_asked_for(leeching: Arena) -> None:
    async def refuse(peer: ScriptedPeer, said: Said) -> None:
        peer.send(wire.numbers(wire.REJECT, *said.numbers))

    peer = await leeching.attacker()
    refusing = asyncio.create_task(_serve(peer, refuse))
    await leeching.honest_transfer()
    await refusing


async def test_a_peer_that_never_sends_what_it_was_asked_for_holds_nothing_up(
    leeching: Arena,
) -> None:
    """In the end game its blocks are asked of the others too."""

    async def ignore(peer: ScriptedPeer, said: Said) -> None:
        asked.set()

    asked = asyncio.Event()
    peer = await leeching.attacker()
    ignoring = asyncio.create_task(_serve(peer, ignore))
    await asked.wait()
    await leeching.honest_transfer()
    await ignoring


async def test_pieces_allowed_to_the_choked_are_fetched(leeching: Arena) -> None:
    """BEP 6: only those, while the peer chokes us."""
    peer = await leeching.attacker()
    peer.send(wire.frame(wire.HAVE_ALL), wire.numbers(wire.ALLOWED_FAST, 2))
    peer.send(wire.numbers(wire.ALLOWED_FAST, 4))
    asked = set()
    while len(asked) < 8:
        said = await peer.until(wire.REQUEST)
        asked.add(said.numbers[:2])
        peer.send(_block(leeching.content, said))
    assert {index for index, _ in asked} == {2, 4}
    await until(leeching.victim, lambda: leeching.torrent.have.count == 2)
    await leeching.honest_transfer()
