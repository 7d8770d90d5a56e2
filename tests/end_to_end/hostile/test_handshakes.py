"""Who does not greet as a peer does is hung up on; an honest transfer beside it succeeds."""

from __future__ import annotations

import asyncio

import pytest

from engine.net import encrypted_start
from engine.torrent import greeting
from tests.end_to_end.hostile.arena import Arena
from tests.end_to_end.rig import endpoint_of, until
from tests.fakes import scripted_peer as wire
from tests.fakes.scripted_peer import ScriptedPeer, listening


@pytest.mark.parametrize(
    "said",
    [
        b"GET /announce HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00" * 4096,
        b"\x13BitTorrent protocoL",
        b"\x13",  # and then the wrong thing
        b"\xff" * 68,
    ],
    ids=["http", "tls", "zeros", "one wrong letter", "one right byte", "as long as a handshake"],
)
async def test_who_does_not_speak_bittorrent_is_hung_up_on(
    leeching: Arena, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    """Less than a key could be the beginning of one: that is waited for, but not for long."""
    monkeypatch.setattr(encrypted_start, "START_TIMEOUT_S", 0.3)
    peer = await leeching.stranger()
    peer.send(said)
    if len(said) == 1:
        peer.send(b"x")
    await peer.hangup()
    await leeching.honest_transfer()


async def test_who_says_nothing_is_dropped(
    leeching: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encrypted_start, "START_TIMEOUT_S", 0.3)
    monkeypatch.setattr(greeting, "GREETING_TIMEOUT_S", 0.3)
    silent = [await leeching.stranger() for _ in range(20)]
    half = await leeching.stranger()
    half.send(wire.PROTOCOL)
    await leeching.honest_transfer()
    for peer in [*silent, half]:
        await peer.hangup()


async def test_a_torrent_that_is_not_here_is_not_answered(leeching: Arena) -> None:
    peer = await leeching.stranger()
    peer.send(wire.PROTOCOL + wire.ALL + b"w" * 20 + b"-XX0000-scriptedpeer")
    assert await peer.reader.read() == b""
    await leeching.honest_transfer()


async def test_an_answer_for_another_torrent_ends_the_connection(leeching: Arena) -> None:
    hung_up = asyncio.Event()

    async def script(peer: ScriptedPeer) -> None:
        await peer.read(68)
        peer.send(wire.PROTOCOL + wire.ALL + b"w" * 20 + b"-XX0000-scriptedpeer")
        await peer.hangup()
        hung_up.set()

    async with listening(script) as at:
        leeching.torrent.add_peer(at)
        await hung_up.wait()
    await leeching.honest_transfer()


async def test_we_do_not_talk_to_ourselves(leeching: Arena) -> None:
    """An address that turns out to be our own is never dialled again."""
    leeching.torrent.add_peer(endpoint_of(leeching.victim))
    assert leeching.torrent.live is not None
    known = leeching.torrent.live.peers.known
    await until(leeching.victim, lambda: known.is_banned(endpoint_of(leeching.victim)))
    await leeching.honest_transfer()
