"""Fetching: from request to verified piece on disk, and every way in which that can go wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.swarm.piece_picker import PiecePicker
from engine.swarm.request_queue import MIN_DEPTH
from engine.torrent import download
from engine.torrent.lifecycle import State
from engine.torrent.peer import Peer
from tests.fakes import scripted_peer as wire
from tests.fakes.scripted_peer import ScriptedPeer
from tests.storage.torrents import sample
from tests.torrent.one_torrent import (
    ALL,
    BLOCK,
    CONTENT,
    PIECE,
    OneTorrent,
    bits,
    one_torrent,
)


async def _serve(one: OneTorrent, visitor: ScriptedPeer, most: int = 1 << 30) -> None:
    """Answer requests truthfully until hung up on, or so many were answered."""
    async for said in visitor.messages():
        if said.id == wire.REQUEST:
            visitor.send(one.block(*said.numbers))
            most -= 1
            if not most:
                return


async def test_a_piece_counts_when_it_is_on_disk(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        visitor = await one.visitor(has=bits(5))
        visitor.send(wire.frame(wire.UNCHOKE))
        told = asyncio.create_task(visitor.until(wire.HAVE))
        asked = {(5, 0), (5, BLOCK)}
        for index, begin in sorted(asked):
            visitor.send(one.block(index, begin, BLOCK))
        assert (await told).numbers == (5,)
        data = (tmp_path / "t").read_bytes()
        assert data[5 * PIECE : 6 * PIECE] == CONTENT.piece(5)
        assert one.torrent.have_bytes == PIECE
        await one.until(lambda: one.session.facilities.buffers.count == 0)


async def test_haves_that_are_read_together_are_counted_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a torrent of a million pieces each time costs as much as a thousand of them."""
    counted: list[tuple[int, ...]] = []
    good = PiecePicker.peer_gained

    def peer_gained(picker: PiecePicker[Peer], peer: Peer, *indexes: int) -> bool:
        counted.append(indexes)
        return good(picker, peer, *indexes)

    monkeypatch.setattr(PiecePicker, "peer_gained", peer_gained)
    async with one_torrent(tmp_path) as one:
        visitor = await one.visitor(has=bits(1))
        peer = one.known()
        await one.until(lambda: peer.pieces.count == 1)
        said = [wire.numbers(wire.HAVE, index) for index in (7, 1, 3, 7, 2)]
        peer.on_data(memoryview(b"".join([*said[:3], wire.frame(wire.UNCHOKE), *said[3:]])))
        assert counted == [(7, 3, 2)]
        asked = {(await visitor.until(wire.REQUEST)).numbers[0] for _ in range(8)}
        assert asked == {1, 2, 3, 7}


async def test_more_buffers_than_there_are_means_waiting_not_failing(tmp_path: Path) -> None:
    """Three peers, and room for two pieces."""
    async with one_torrent(tmp_path, buffer_bytes=2 * PIECE) as one:
        visitors = [await one.visitor(number, has=ALL) for number in range(3)]
        for visitor in visitors:
            visitor.send(wire.frame(wire.UNCHOKE))
        await asyncio.gather(*(_serve(one, visitor) for visitor in visitors))
        assert one.torrent.state is State.SEEDING
        assert one.session.facilities.buffers.count == 0


async def test_room_that_others_give_back_is_used_while_blocks_are_on_their_way(
    tmp_path: Path,
) -> None:
    """A peer that found no buffer is asked for more within a second of there being one, though
    nothing of this torrent ended."""
    even = sample(12 * PIECE, PIECE)
    async with one_torrent(tmp_path, content=even, buffer_bytes=2 * PIECE) as one:
        visitor = await one.visitor(has=b"\xff\xf0")
        visitor.send(wire.frame(wire.UNCHOKE))
        asked = [(await visitor.until(wire.REQUEST)).numbers for _ in range(4)]
        visitor.send(one.block(*asked[0]))
        await one.until(lambda: one.known().down.total == BLOCK)
        one.session.facilities.buffers.limit_bytes = 3 * PIECE
        index, *_ = (await visitor.until(wire.REQUEST)).numbers
        assert index not in {index for index, *_ in asked}


async def test_of_a_row_of_blocks_each_must_have_been_asked_for(tmp_path: Path) -> None:
    """What came before the one that was not counts."""
    async with one_torrent(tmp_path) as one:
        liar = await one.visitor(0, has=bits(3))
        liar.send(wire.frame(wire.UNCHOKE))
        for _ in range(2):
            await liar.until(wire.REQUEST)
        liar.send(b"".join(wire.piece(3, n * BLOCK, CONTENT.piece(3)[:BLOCK]) for n in range(3)))
        await liar.hangup()
        await one.until(lambda: one.torrent.wasted_bytes == PIECE)  # its content was wrong
        honest = await one.visitor(1, has=bits(3))
        honest.send(wire.frame(wire.UNCHOKE))
        asked = [(await honest.until(wire.REQUEST)).numbers for _ in range(2)]
        honest.send(b"".join(one.block(*block) for block in asked))
        await one.until(lambda: one.torrent.have.count == 1)


async def test_a_late_block_is_used_and_no_offence(tmp_path: Path) -> None:
    """It had been asked for, then a choke dropped the request, and it came all the same."""
    async with one_torrent(tmp_path) as one:
        visitor = await one.visitor(has=bits(0), reserved=wire.PLAIN)
        visitor.send(wire.frame(wire.UNCHOKE))
        first = await visitor.until(wire.REQUEST)
        second = await visitor.until(wire.REQUEST)
        visitor.send(wire.frame(wire.CHOKE), one.block(*first.numbers))
        visitor.send(wire.frame(wire.UNCHOKE))
        await visitor.until(wire.REQUEST)
        assert not one.known().connection.is_closed
        visitor.send(one.block(*first.numbers), one.block(*second.numbers))
        await one.until(lambda: one.torrent.have.count == 1)


async def test_in_the_end_game_the_slower_is_told_to_stop(tmp_path: Path) -> None:
    content = sample(PIECE, PIECE)
    async with one_torrent(tmp_path, content=content) as one:
        slow = await one.visitor(0, has=b"\x80")
        slow.send(wire.frame(wire.UNCHOKE))
        asked = [(await slow.until(wire.REQUEST)).numbers for _ in range(2)]
        quick = await one.visitor(1, has=b"\x80")
        quick.send(wire.frame(wire.UNCHOKE))
        helping = asyncio.create_task(_serve(one, quick))
        cancelled = [(await slow.until(wire.CANCEL)).numbers for _ in range(2)]
        assert sorted(cancelled) == sorted(asked)
        await helping
        assert one.torrent.state is State.SEEDING


async def test_in_the_end_game_only_who_is_idle_is_asked_for_what_others_are(
    tmp_path: Path,
) -> None:
    """And for two blocks at a time: what arrives twice is what others go without."""
    content = sample(8 * BLOCK, 8 * BLOCK)
    async with one_torrent(tmp_path, content=content) as one:
        first, second = [await one.visitor(number, has=b"\x80") for number in range(2)]
        first.send(wire.frame(wire.UNCHOKE))
        asked = [(await first.until(wire.REQUEST)).numbers for _ in range(8)]
        second.send(wire.frame(wire.UNCHOKE))
        joined = [(await second.until(wire.REQUEST)).numbers for _ in range(2)]
        assert joined == asked[:-3:-1], "from the end, where the other comes last"
        second.send(one.block(*joined[0]))
        assert (await first.until(wire.CANCEL)).numbers == joined[0]
        assert one.known(1).queue.asked() == [joined[1]]
        second.send(one.block(*joined[1]))
        assert [(await second.until(wire.REQUEST)).numbers for _ in range(2)] == asked[4:6][::-1]
        await _serve(one, second, most=2)
        helping = asyncio.create_task(_serve(one, second))
        for block in asked[:4]:
            first.send(one.block(*block))
        await one.until(lambda: one.torrent.state is State.SEEDING)
        helping.cancel()


async def test_a_silent_peer_does_not_keep_what_another_could_send(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor when it is no end game: there are pieces that nobody has yet."""
    monkeypatch.setattr(download, "IDLE_PATIENCE_S", 0.5)
    async with one_torrent(tmp_path) as one:
        silent = await one.visitor(0, has=bits(0))
        silent.send(wire.frame(wire.UNCHOKE))
        asked = [(await silent.until(wire.REQUEST)).numbers for _ in range(2)]
        honest = await one.visitor(1, has=bits(0))
        honest.send(wire.frame(wire.UNCHOKE))
        helping = asyncio.create_task(_serve(one, honest, most=2))
        cancelled = [(await silent.until(wire.CANCEL)).numbers for _ in range(2)]
        assert sorted(cancelled) == sorted(asked)
        await helping
        await one.until(lambda: one.torrent.have.count == 1)


def _moves_on(one: OneTorrent, seconds: float) -> None:
    """Let time pass at once for what comes from now on."""
    now = one.live.now
    one.live.now = lambda: now() + seconds


async def test_who_dribbles_does_not_keep_what_an_idle_peer_could_send(tmp_path: Path) -> None:
    """A block now and then is not enough to hold all buffers."""
    content = sample(BLOCK * 16, BLOCK * 4)
    async with one_torrent(tmp_path, content=content, buffer_bytes=BLOCK * 8) as one:
        slow = await one.visitor(0, has=b"\xf0")
        slow.send(wire.frame(wire.UNCHOKE))
        asked = [(await slow.until(wire.REQUEST)).numbers for _ in range(8)]
        honest = await one.visitor(1, has=b"\xf0")
        honest.send(wire.frame(wire.UNCHOKE))
        assert await honest.is_alive()
        _moves_on(one, download.IDLE_PATIENCE_S - 1)
        slow.send(one.block(*asked[0]))
        await one.until(lambda: bool(one.known(0).down.total))
        one.live.download.tick(one.known(0), one.live.now())
        assert one.known(0).queue.outstanding == 7
        _moves_on(one, 1)
        one.live.download.tick(one.known(0), one.live.now())
        cancelled = [(await slow.until(wire.CANCEL)).numbers for _ in range(7)]
        assert sorted(cancelled) == sorted(asked[1:])
        await _serve(one, honest)
        assert one.torrent.state is State.SEEDING


async def test_what_is_taken_back_in_the_end_game_goes_to_who_sends_it(tmp_path: Path) -> None:
    """Two are asked for a block at most: were others asked first who owed it before, none would."""
    content = sample(BLOCK * 4, BLOCK * 4)
    async with one_torrent(tmp_path, content=content) as one:
        for number in range(6):
            slow = await one.visitor(number, has=b"\x80")
            slow.send(wire.frame(wire.UNCHOKE))
            assert await slow.is_alive()
        honest = await one.visitor(6, has=b"\x80")
        honest.send(wire.frame(wire.UNCHOKE))
        assert await honest.is_alive()
        assert not one.known(6).queue.outstanding
        for number in range(6):
            one.known(number).queue.depth = MIN_DEPTH  # as it becomes by what they send
        _moves_on(one, download.IDLE_PATIENCE_S)
        for number in range(7):
            one.live.download.tick(one.known(number), one.live.now())
        await asyncio.sleep(0)
        assert one.known(6).queue.outstanding
        await _serve(one, honest)
        assert one.torrent.state is State.SEEDING


async def test_who_dribbles_does_not_keep_a_suspect_piece(tmp_path: Path) -> None:
    """It is fetched anew, all of it from the next one, or nobody would know who spoilt it."""
    content = sample(BLOCK * 4, BLOCK * 4)
    async with one_torrent(tmp_path, content=content) as one:
        for number in range(2):  # two who sent parts of it, one of them wrong
            part = await one.visitor(number + 2, has=b"\x80")
            part.send(wire.frame(wire.UNCHOKE))
            for _ in range(2):
                index, begin, length = (await part.until(wire.REQUEST)).numbers
                part.send(wire.piece(index, begin, bytes(length)))
            if not number:
                await one.until(lambda: one.known(2).down.total == 2 * BLOCK)
            await part.close()
        await one.until(lambda: one.torrent.wasted_bytes == 4 * BLOCK)
        slow = await one.visitor(0, has=b"\x80")
        slow.send(wire.frame(wire.UNCHOKE))
        asked = [(await slow.until(wire.REQUEST)).numbers for _ in range(4)]
        honest = await one.visitor(1, has=b"\x80")
        honest.send(wire.frame(wire.UNCHOKE))
        assert await honest.is_alive()
        assert not one.known(1).queue.outstanding
        _moves_on(one, download.IDLE_PATIENCE_S - 1)
        slow.send(one.block(*asked[0]))
        await one.until(lambda: bool(one.known(0).down.total))
        _moves_on(one, 1)
        one.live.download.tick(one.known(0), one.live.now())
        again = [(await honest.until(wire.REQUEST)).numbers for _ in range(4)]
        assert sorted(again) == sorted(asked)
        slow.send(wire.piece(*asked[1][:2], bytes(BLOCK)))
        assert await slow.is_alive()
        for block in again:
            honest.send(one.block(*block))
        await one.until(lambda: one.torrent.state is State.SEEDING)
        assert one.torrent.wasted_bytes == 6 * BLOCK


async def test_a_piece_that_fails_is_fetched_again_whole(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        liar = await one.visitor(0, has=bits(7))
        liar.send(wire.frame(wire.UNCHOKE))
        for _ in range(2):
            index, begin, length = (await liar.until(wire.REQUEST)).numbers
            liar.send(wire.piece(index, begin, bytes(length)))
        await liar.hangup()
        assert one.torrent.wasted_bytes == PIECE
        assert not one.torrent.have.count
        honest = await one.visitor(1, has=bits(7))
        honest.send(wire.frame(wire.UNCHOKE))
        await _serve(one, honest, most=2)
        await one.until(lambda: one.torrent.have.count == 1)
        assert one.session.facilities.buffers.count == 0


async def test_what_a_lost_peer_was_asked_for_is_asked_of_the_next(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        lost = await one.visitor(0, has=ALL)
        lost.send(wire.frame(wire.UNCHOKE))
        await _serve(one, lost, most=5)
        await lost.close()
        other = await one.visitor(1, has=ALL)
        other.send(wire.frame(wire.UNCHOKE))
        await _serve(one, other)
        assert one.torrent.state is State.SEEDING
        assert (tmp_path / "t").read_bytes() == CONTENT.data
        assert one.torrent.down_rate.total == CONTENT.info.total_length


async def test_nothing_is_asked_of_who_chokes_or_has_nothing(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        choking = await one.visitor(0, has=ALL)
        empty = await one.visitor(1, has=bits())
        empty.send(wire.frame(wire.UNCHOKE))
        await choking.until(wire.INTERESTED)
        for number in range(2):
            visitor = (choking, empty)[number]
            assert await visitor.is_alive()
            assert not one.known(number).queue.outstanding


@pytest.mark.parametrize("length", [1, BLOCK - 1, BLOCK + 1, PIECE - 1])
async def test_a_block_of_another_length_than_was_asked_for_is_an_offence(
    length: int, tmp_path: Path
) -> None:
    """Else nobody would be asked for it again while that peer stays."""
    async with one_torrent(tmp_path) as one:
        liar = await one.visitor(0, has=bits(3))
        liar.send(wire.frame(wire.UNCHOKE))
        for _ in range(2):
            await liar.until(wire.REQUEST)
        liar.send(wire.piece(3, 0, CONTENT.piece(3)[:length]))
        await liar.hangup()
        honest = await one.visitor(1, has=bits(3))
        honest.send(wire.frame(wire.UNCHOKE))
        await _serve(one, honest, most=2)
        await one.until(lambda: one.torrent.have.count == 1)
