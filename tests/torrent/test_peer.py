"""One peer as the choker, the front ends and the log see it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import PeerError
from engine.net.connection import RECEIVE_BUFFER_BYTES
from engine.swarm.small_talk import AT_ONCE
from engine.torrent import turn
from engine.torrent.conversation import Conversation
from engine.torrent.peer import Peer
from engine.wire.client_name import client_name
from engine.wire.messages import Message
from tests.fakes import scripted_peer as wire
from tests.torrent.one_torrent import BLOCK, PIECES, bits, one_torrent


async def test_a_peer_is_named_by_its_id_until_it_says_its_name(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        visitor = await one.visitor()
        peer = one.known()
        assert peer.client == client_name(peer.peer_id) != "unknown"
        visitor.send(wire.frame(wire.EXTENSION, b"\0d1:v4:Nicee"))
        assert await visitor.is_alive()
        assert peer.client == "Nice"
        assert "Nice" in repr(peer)
        assert str(peer.connection.remote) in repr(peer)


async def test_states_are_told_when_they_change_only(tmp_path: Path) -> None:
    async with one_torrent(tmp_path, has=True) as one:
        visitor = await one.visitor()
        await visitor.until(wire.HAVE_ALL)
        peer = one.known()
        now = one.session.facilities.loop.time()
        for _ in range(3):
            peer.unchoke(now)
            peer.set_interested(True)
        for _ in range(3):
            peer.choke()
            peer.set_interested(False)
        assert peer.unchoked_at == now
        said = []
        while wire.NOT_INTERESTED not in said:
            said.append((await visitor.next()).id)
        assert [each for each in said if each != wire.ALLOWED_FAST] == [
            wire.UNCHOKE,
            wire.INTERESTED,
            wire.CHOKE,
            wire.NOT_INTERESTED,
        ]


async def test_bytes_are_counted_for_each_direction(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        visitor = await one.visitor(has=bits(0))
        visitor.send(wire.frame(wire.UNCHOKE), wire.frame(wire.INTERESTED))
        for _ in range(2):
            visitor.send(one.block(*(await visitor.until(wire.REQUEST)).numbers))
        await visitor.until(wire.HAVE)
        peer = one.known()
        assert (peer.down.total, peer.up.total) == (2 * BLOCK, 0)
        visitor.send(wire.numbers(wire.REQUEST, 0, 0, 100))
        await visitor.until(wire.PIECE)
        assert (peer.down.total, peer.up.total) == (2 * BLOCK, 100)
        assert one.torrent.up_rate.total == 100 == one.session.up_rate.total


async def test_of_a_flood_that_is_read_at_once_no_more_is_heard_than_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read of a megabyte holds two hundred thousand messages."""
    heard = 0
    good = Conversation.on_message

    def counted(conversation: Conversation, peer: Peer, message: Message) -> None:
        nonlocal heard
        heard += 1
        good(conversation, peer, message)

    async with one_torrent(tmp_path) as one:
        await one.visitor()
        mood = wire.frame(wire.INTERESTED) + wire.frame(wire.NOT_INTERESTED)
        monkeypatch.setattr(Conversation, "on_message", counted)
        with pytest.raises(PeerError, match="small messages"):
            one.known().on_data(memoryview(mood * 100_000))
        assert heard <= AT_ONCE + PIECES + 1000


async def test_when_many_talk_in_one_turn_each_is_heard_a_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But who sends blocks is read as ever: that costs little."""
    async with one_torrent(tmp_path) as one:
        visitor = await one.visitor(has=bits(0))
        visitor.send(wire.frame(wire.UNCHOKE))
        peer = one.known()
        assert peer.read_quota() > 8 * 1024
        monkeypatch.setattr(turn, "LONG_S", -1.0)
        peer.read_quota()
        assert peer.read_quota() <= 512
        for _ in range(2):
            visitor.send(one.block(*(await visitor.until(wire.REQUEST)).numbers))
        await visitor.until(wire.HAVE)
        peer.read_quota()  # the first of a turn
        assert peer.read_quota() == RECEIVE_BUFFER_BYTES
