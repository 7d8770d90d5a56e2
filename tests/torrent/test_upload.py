"""Serving: whose turn it is, what is answered, in which order, and what the disk does to it."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from engine.net.frame_pipes import MAX_FRAMES
from engine.storage.filesystem import TorrentFiles
from engine.swarm import uptake
from engine.swarm.debts import PATIENCE_S, TRUST_BYTES
from engine.swarm.spreading import HOARD
from engine.torrent import live, upload
from engine.torrent.facilities import Limits
from engine.torrent.lifecycle import State
from engine.torrent.peer import Peer
from engine.torrent.peer_flags import peer_flags
from engine.torrent.slabs import FIRST_BATCH, FRAME_LENGTH
from tests.fakes import scripted_peer as wire
from tests.fakes.scripted_peer import ScriptedPeer
from tests.torrent.one_torrent import (
    ALL,
    BLOCK,
    CONTENT,
    PIECE,
    PIECES,
    OneTorrent,
    bits,
    one_torrent,
)


async def _customer(one: OneTorrent, number: int = 0, **how: bytes | int) -> ScriptedPeer:
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


@pytest.fixture
def quick_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A round of the choker each second, and a turn is wasted in less than one."""
    monkeypatch.setattr(live, "CHOKE_ROUND_S", 1.0)
    monkeypatch.setattr(uptake, "PATIENCE_S", 0.9)


_ALL = b"".join(
    wire.numbers(wire.REQUEST, index, begin, BLOCK) for index in range(12) for begin in (0, BLOCK)
)


async def _deaf(one: OneTorrent, number: int) -> tuple[ScriptedPeer, Peer]:
    """A customer that asks for far more than the kernel takes for it, and reads none of it."""
    deaf = await _customer(one, number, receive_bytes=4096)
    deaf.writer.transport.pause_reading()
    peer = one.known(number)
    blocks = len(_ALL) // 17
    while not (peer.connection.pending_bytes and peer.uploads):
        asked = blocks + peer.up.total // BLOCK
        deaf.send(_ALL)
        await one.until(lambda asked=asked: peer.up.total // BLOCK + len(peer.uploads) == asked)
    return deaf, peer


async def test_who_asks_and_never_reads_loses_its_slot(quick_rounds: None, tmp_path: Path) -> None:
    """In a round of the choker, not after the thirty seconds of a turn."""
    async with one_torrent(tmp_path, has=True, limits=Limits(upload_slots=2)) as one:
        deaf = [await _deaf(one, number) for number in range(2)]
        honest = await one.visitor(9)
        honest.send(wire.frame(wire.INTERESTED))
        async with asyncio.timeout(20):
            await honest.until(wire.UNCHOKE)
        honest.send(wire.numbers(wire.REQUEST, 3, 0, BLOCK))
        assert await _next_block(honest) == (3, 0, _content(3, 0, BLOCK))
        assert sum(peer.is_choked for _, peer in deaf) == 1
        assert all(peer.comes_last for _, peer in deaf)
        assert "U" in peer_flags(one.known(9))


async def test_what_a_slow_peer_asked_for_can_be_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hardly more than a block waits in its connection, where nothing can be taken back."""
    for most in "BLOCKS_PER_SLAB", "MAX_FRAMES":
        monkeypatch.setattr(upload, most, FIRST_BATCH)  # loopback proves quick at once
    async with one_torrent(tmp_path, has=True) as one:
        deaf, peer = await _deaf(one, 0)
        assert peer.connection.pending_bytes < 2 * FRAME_LENGTH
        assert peer.uploads, "it has asked for more than the kernel takes"
        deaf.send(*(wire.numbers(wire.CANCEL, i, b, BLOCK) for i in range(12) for b in (0, BLOCK)))
        await one.until(lambda: not peer.uploads)
        deaf.writer.transport.resume_reading()
        await deaf.until(wire.REJECT)


async def test_what_a_peer_that_never_reads_holds_is_bounded_and_goes_with_it(
    quick_rounds: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "SILENCE_LIMIT_S", 2.0)
    async with one_torrent(tmp_path, has=True, limits=Limits(max_request_queue=50)) as one:
        _, peer = await _deaf(one, 0)
        slabs, pipes = one.session.facilities.slabs, one.session.facilities.pipes
        assert peer.connection.pending_bytes < 2 * MAX_FRAMES * FRAME_LENGTH
        assert len(peer.uploads) <= 50
        assert slabs.in_use + pipes.in_use <= 2
        await one.until(lambda: peer.connection.is_closed)
        assert (slabs.in_use, pipes.in_use, len(peer.uploads)) == (0, 0, 0)


async def _rider(one: OneTorrent) -> ScriptedPeer:
    """One that took the one piece that we have eight times, gave nothing, and was choked."""
    giver = await one.visitor(1, has=bits(0))
    await giver.until(wire.INTERESTED)
    giver.send(wire.frame(wire.UNCHOKE), one.block(0, 0, BLOCK), one.block(0, BLOCK, BLOCK))
    await one.until(lambda: one.torrent.have.count == 1)
    rider = await one.visitor(2, has=bits(3))
    rider.send(wire.frame(wire.INTERESTED))
    await rider.until(wire.UNCHOKE)
    for _ in range(TRUST_BYTES // PIECE):
        for begin in (0, BLOCK):
            rider.send(wire.numbers(wire.REQUEST, 0, begin, BLOCK))
            await _next_block(rider)
    for _ in range(int(PATIENCE_S)):
        assert not one.known(2).owes
        one.live.upload.tick(one.live.now())
    await rider.until(wire.CHOKE)
    return rider


async def test_who_never_gave_sits_out_a_turn_when_we_are_done(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        rider = await _rider(one)
        other = await one.visitor(3)
        giver = await one.visitor(4, has=ALL)
        giver.send(wire.frame(wire.UNCHOKE))
        async for said in giver.messages():
            if said.id == wire.REQUEST:
                giver.send(one.block(*said.numbers))
        await one.until(lambda: one.torrent.state is State.SEEDING)
        other.send(wire.frame(wire.INTERESTED))
        await other.until(wire.UNCHOKE)
        rider.send(wire.frame(wire.NOT_INTERESTED), wire.frame(wire.INTERESTED))
        rider.send(wire.numbers(wire.REQUEST, 1, 0, 5))
        while (said := await rider.next()).id != wire.REJECT:
            assert said.id not in (wire.UNCHOKE, wire.ALLOWED_FAST, wire.PIECE)
        one.live.upload.rechoke()
        assert one.known(2).is_choked


async def test_who_takes_and_never_gives_is_choked_until_it_gives(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        rider = await _rider(one)
        availability = one.live.download.picker.availability
        assert not availability.count(3), "what it keeps to itself is as rare as before"
        rider.send(wire.frame(wire.NOT_INTERESTED), wire.frame(wire.INTERESTED))
        rider.send(wire.frame(wire.UNCHOKE))
        asked = (await rider.until(wire.REQUEST)).numbers
        assert asked[0] == 3
        rider.send(one.block(*asked))
        await one.until(lambda: one.known(2).down.total == BLOCK)
        one.live.upload.tick(one.live.now())
        assert availability.count(3) == 1
        one.live.upload.rechoke()
        await rider.until(wire.UNCHOKE)


async def test_a_seed_sees_who_passes_nothing_on(tmp_path: Path) -> None:
    async with one_torrent(tmp_path, has=True) as one:
        first, second = [await _customer(one, number) for number in (1, 2)]
        for index in range(HOARD):
            first.send(wire.numbers(wire.REQUEST, index, 0, BLOCK))
            await _next_block(first)
            first.send(wire.numbers(wire.HAVE, index))
        await one.until(lambda: one.known(1).pieces.count == HOARD)
        one.live.upload.rechoke()
        assert one.known(1).hoards
        second.send(wire.numbers(wire.HAVE, 0))
        await one.until(lambda: one.known(2).pieces.count == 1)
        one.live.upload.rechoke()
        assert not one.known(1).hoards


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
        assert {index for index, _, _ in peer.uploads} <= granted


async def test_one_who_is_paused_by_the_limit_is_served_when_it_is_lifted(tmp_path: Path) -> None:
    async with one_torrent(tmp_path, has=True, up_limit=1) as one:
        visitor = await _customer(one)
        asked = [(index, begin) for index in range(12) for begin in (0, BLOCK)]
        visitor.send(*(wire.numbers(wire.REQUEST, *each, BLOCK) for each in asked))
        await one.until(lambda: len(one.known().uploads) > 5)
        one.session.set_limits(up=0)
        for index, begin in asked:
            assert await _next_block(visitor) == (index, begin, _content(index, begin, BLOCK))


async def test_asking_twice_is_asking_once_also_where_no_more_is_taken(tmp_path: Path) -> None:
    """A reject of the second would be the answer to the first, and then comes the block."""
    async with one_torrent(tmp_path, has=True, limits=Limits(max_request_queue=4)) as one:
        visitor = await _customer(one)
        one.torrent.set_limits(up=1)
        visitor.send(wire.numbers(wire.REQUEST, 0, 0, BLOCK))
        await _next_block(visitor)  # more than the limit allows for hours
        waiting = [(index, 0, BLOCK) for index in range(1, 5)]
        for _ in range(2):
            visitor.send(*(wire.numbers(wire.REQUEST, *each) for each in waiting))
        visitor.send(wire.numbers(wire.REQUEST, 11, 5, 5))
        assert (await visitor.until(wire.REJECT)).numbers == (11, 5, 5)
        assert list(one.known().uploads) == waiting
        one.torrent.set_limits(up=0)
        for each in waiting:
            index, begin, block = await _next_block(visitor)
            assert (index, begin, len(block)) == each


async def test_a_large_request_is_one_message(tmp_path: Path) -> None:
    async with one_torrent(tmp_path, has=True) as one:
        visitor = await _customer(one)
        visitor.send(wire.numbers(wire.REQUEST, 1, 0, PIECE), wire.numbers(wire.REQUEST, 2, 0, 1))
        assert await _next_block(visitor) == (1, 0, CONTENT.piece(1))
        assert await _next_block(visitor) == (2, 0, _content(2, 0, 1))


async def test_blocks_of_other_lengths_are_what_was_asked_for(tmp_path: Path) -> None:
    """Also where they follow each other, and together are as long as whole ones."""
    async with one_torrent(tmp_path, has=True) as one:
        visitor = await _customer(one)
        visitor.send(wire.numbers(wire.REQUEST, 0, 0, BLOCK))
        await _next_block(visitor)  # the file is open: what follows is read on the loop
        asked = [(1, 0, BLOCK // 2), (1, BLOCK // 2, PIECE - BLOCK // 2), (2, 5, BLOCK), (3, 0, 9)]
        visitor.send(b"".join(wire.numbers(wire.REQUEST, *each) for each in asked))
        for index, begin, length in asked:
            assert await _next_block(visitor) == (index, begin, _content(index, begin, length))


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


async def test_what_was_read_for_a_peer_that_left_is_not_counted_as_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_read = threading.Event()
    read_into = TorrentFiles.read_into

    def late(files: TorrentFiles, *what: object) -> None:
        may_read.wait(60)
        read_into(files, *what)  # type: ignore[arg-type]

    monkeypatch.setattr(TorrentFiles, "read_into_nowait", lambda *_: False)
    async with one_torrent(tmp_path, has=True) as one:
        monkeypatch.setattr(TorrentFiles, "read_into", late)
        visitor = await _customer(one)
        visitor.send(wire.numbers(wire.REQUEST, 1, 0, BLOCK))
        try:
            peer = one.known()
            await one.until(lambda: peer.is_reading_disk)
            visitor.writer.transport.abort()
            await one.until(lambda: peer.connection.is_closed)
        finally:
            may_read.set()
        await one.until(lambda: not peer.is_reading_disk)
        assert one.torrent.up_rate.total == 0
