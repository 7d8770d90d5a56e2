"""Serving: whose turn it is, what is answered, in which order, and what the disk does to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.storage.filesystem import TorrentFiles
from engine.torrent.facilities import Limits
from tests.fakes import scripted_peer as wire
from tests.fakes.scripted_peer import ScriptedPeer
from tests.torrent.one_torrent import BLOCK, CONTENT, PIECE, PIECES, OneTorrent, one_torrent


async def _customer(one: OneTorrent, number: int = 0, **how: bytes) -> ScriptedPeer:
    visitor = await one.visitor(number, **how)  # type: ignore[arg-type]
    visitor.send(wire.frame(wire.INTERESTED))
    await visitor.until(wire.UNCHOKE)
    return visitor


async def _next_block(visitor: ScriptedPeer) -> tuple[int, int, bytes]:
    payload = (await visitor.until(wire.PIECE)).payload
    return (
        int.from_bytes(payload[:4], "big"),
        int.from_bytes(payload[4:8], "big"),
        payload[8:],
    )


def _content(index: int, begin: int, length: int) -> bytes:
    return CONTENT.piece(index)[begin : begin + length]


@pytest.mark.parametrize("is_cold", [False, True], ids=["warm", "cold"])
async def test_blocks_are_sent_in_the_order_of_the_requests(
    is_cold: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether they are in memory, or a disk thread has to read them."""
    if is_cold:
        monkeypatch.setattr(TorrentFiles, "read_into_nowait", lambda *_: False)
    async with one_torrent(tmp_path, has=True) as one:
        visitor = await _customer(one)
        asked = [(i, b, BLOCK) for i in (3, 1, 11, 0) for b in (BLOCK, 0)] + [(12, 1, 4), (2, 7, 9)]
        visitor.send(*(wire.numbers(wire.REQUEST, *each) for each in asked))
        for index, begin, length in asked:
            assert await _next_block(visitor) == (index, begin, _content(index, begin, length))
        payload = sum(length for _, _, length in asked)
        assert one.torrent.up_rate.total == payload == one.known().up.total
        await one.until(lambda: one.session.facilities.slabs.in_use == 0)


async def test_while_slots_are_free_interest_is_answered_at_once(tmp_path: Path) -> None:
    async with one_torrent(tmp_path, has=True, limits=Limits(upload_slots=2)) as one:
        first, second = [await _customer(one, number) for number in range(2)]
        third = await one.visitor(3)
        third.send(wire.frame(wire.INTERESTED), wire.numbers(wire.REQUEST, 0, 0, 1))
        while (said := await third.next()).id not in (wire.REJECT, wire.PIECE):
            assert said.id != wire.UNCHOKE
        await first.close()  # and a slot that falls free is given away at once
        await third.until(wire.UNCHOKE)
        await second.close()


async def test_a_choke_rejects_what_was_asked_but_for_granted_pieces(tmp_path: Path) -> None:
    async with one_torrent(tmp_path, has=True, limits=Limits(upload_slots=1)) as one:
        visitor = await _customer(one)
        one.torrent.set_limits(up=1)
        visitor.send(*(wire.numbers(wire.REQUEST, index, 0, BLOCK) for index in range(PIECES - 1)))
        peer = one.known()
        await one.until(lambda: len(peer.uploads) > 5)
        granted = peer.granted_fast
        visitor.send(wire.frame(wire.NOT_INTERESTED))
        await visitor.until(wire.CHOKE)
        assert {request.index for request in peer.uploads} <= granted


async def test_one_who_is_paused_by_the_limit_is_served_when_it_is_lifted(tmp_path: Path) -> None:
    async with one_torrent(tmp_path, has=True, up_limit=1) as one:
        visitor = await _customer(one)
        asked = [(index, begin) for index in range(12) for begin in (0, BLOCK)]
        visitor.send(*(wire.numbers(wire.REQUEST, *each, BLOCK) for each in asked))
        await one.until(lambda: len(one.known().uploads) > 5)
        one.session.set_limits(up=0)
        for index, begin in asked:
            assert await _next_block(visitor) == (index, begin, _content(index, begin, BLOCK))


async def test_a_large_request_is_one_message(tmp_path: Path) -> None:
    async with one_torrent(tmp_path, has=True) as one:
        visitor = await _customer(one)
        visitor.send(wire.numbers(wire.REQUEST, 1, 0, PIECE), wire.numbers(wire.REQUEST, 2, 0, 1))
        assert await _next_block(visitor) == (1, 0, CONTENT.piece(1))
        assert await _next_block(visitor) == (2, 0, _content(2, 0, 1))


async def test_a_peer_that_leaves_during_a_read_takes_nothing_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TorrentFiles, "read_into_nowait", lambda *_: False)
    async with one_torrent(tmp_path, has=True) as one:
        for number in range(10):
            visitor = await _customer(one, number)
            visitor.send(*(wire.numbers(wire.REQUEST, i, 0, BLOCK) for i in range(12)))
            visitor.writer.transport.abort()
        await one.until(lambda: not one.live.peers.connected)
        await one.session.facilities.disk.settle()
        assert one.session.facilities.slabs.in_use == 0
