"""From the last block to the piece that is had, many small pieces at a time."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from engine.torrent import completion
from engine.torrent.lifecycle import State
from tests.fakes import scripted_peer as wire
from tests.fakes.scripted_peer import ScriptedPeer
from tests.storage.torrents import Layout, sample
from tests.torrent.one_torrent import BLOCK, OneTorrent, one_torrent

COUNT = 40
SMALL = sample(COUNT * BLOCK - 100, BLOCK)
ALL = b"\xff" * (COUNT // 8)


async def _requests(visitor: ScriptedPeer, count: int) -> list[tuple[int, ...]]:
    return [(await visitor.until(wire.REQUEST)).numbers for _ in range(count)]


async def _serve(one: OneTorrent, visitor: ScriptedPeer) -> None:
    async for said in visitor.messages():
        if said.id == wire.REQUEST:
            visitor.send(one.block(*said.numbers))


async def test_small_pieces_that_come_together_are_told_together(tmp_path: Path) -> None:
    async with one_torrent(tmp_path, content=SMALL) as one:
        visitor = await one.visitor(has=ALL)
        visitor.send(wire.frame(wire.UNCHOKE))
        asked = await _requests(visitor, 16)
        visitor.send(b"".join(one.block(*request) for request in asked))
        told = {(await visitor.until(wire.HAVE)).numbers[0] for _ in asked}
        assert told == {index for index, _, _ in asked}
        data = (tmp_path / "t").read_bytes()
        for index in told:
            at = index * BLOCK
            assert data[at : at + BLOCK] == SMALL.piece(index)
        assert one.torrent.have_bytes == sum(len(SMALL.piece(index)) for index in told)


async def test_small_pieces_wait_for_each_other_while_the_disk_is_busy(tmp_path: Path) -> None:
    """Those that come while each thread has a job are one job, and none is forgotten."""
    async with one_torrent(tmp_path, content=SMALL) as one:
        disk = one.session.facilities.disk
        visitor = await one.visitor(has=ALL)
        visitor.send(wire.frame(wire.UNCHOKE))
        asked = await _requests(visitor, 16)
        gate = threading.Event()
        for _ in range(disk.threads):
            disk.submit(gate.wait, lambda _: None)
        try:
            for request in asked:
                one.known().on_data(memoryview(bytearray(one.block(*request))))
                await asyncio.sleep(0)
            writing = one.live.download.completion.writing
            assert len(writing) == disk.threads, "a job for each thread, and the rest waits"
        finally:
            gate.set()
        await one.until(lambda: one.torrent.have.count == 16)


async def test_who_can_do_nothing_with_a_piece_hears_of_it_all_the_same(tmp_path: Path) -> None:
    """With the unchoke at the latest, or after some seconds."""
    async with one_torrent(tmp_path, content=SMALL) as one:
        giver = await one.visitor(0, has=ALL)
        choked = await one.visitor(1, has=bytes(COUNT // 8))
        await one.until(lambda: one.known(0).pieces.is_full)
        peer = one.known(1)
        assert peer.can_use([0]), "it would say that it is interested"
        peer.protocol.peer_interested = True
        assert not peer.can_use([0]), "it can ask for nothing"
        peer.protocol.am_choking = False
        assert peer.can_use([0])
        assert not one.known(0).can_use([0]), "it has it"
        peer.protocol.am_choking = True
        peer.late_haves += [3, 4]
        peer.unchoke(one.live.now())
        said = [await choked.until(wire.HAVE) for _ in range(2)]
        assert [each.numbers[0] for each in said] == [3, 4]
        await choked.until(wire.UNCHOKE)
        giver.send(wire.frame(wire.UNCHOKE))
        asked = await _requests(giver, 4)
        giver.send(*(one.block(*request) for request in asked))
        for visitor in (giver, choked):
            told = {(await visitor.until(wire.HAVE)).numbers[0] for _ in asked}
            assert told == {index for index, _, _ in asked}


async def test_many_pieces_do_not_wait_until_somebody_can_use_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion, "_MANY_LATE", 4)
    async with one_torrent(tmp_path, content=SMALL) as one:
        giver = await one.visitor(0, has=ALL)
        choked = await one.visitor(1, has=bytes(COUNT // 8))
        await one.until(lambda: one.known(0).pieces.is_full)
        peer = one.known(1)
        peer.protocol.peer_interested = peer.protocol.am_choking = True
        peer.told_at = float("inf")  # the seconds for which it may wait are never over
        giver.send(wire.frame(wire.UNCHOKE))
        asked = await _requests(giver, 8)
        giver.send(*(one.block(*request) for request in asked))
        told = {(await choked.until(wire.HAVE)).numbers[0] for _ in range(4)}
        assert told <= {index for index, _, _ in asked}


async def test_a_corrupt_piece_among_good_ones_costs_its_sender_and_nothing_else(
    tmp_path: Path,
) -> None:
    async with one_torrent(tmp_path, content=SMALL) as one:
        liar = await one.visitor(0, has=ALL)
        liar.send(wire.frame(wire.UNCHOKE))
        asked = await _requests(liar, 16)
        blocks = [one.block(*request) for request in asked]
        index, begin, length = asked[7]
        blocks[7] = wire.piece(index, begin, bytes(length))
        liar.send(b"".join(blocks))
        await liar.hangup()
        await one.until(lambda: one.torrent.have.count == 15)
        assert not one.torrent.have[index]
        assert one.torrent.wasted_bytes == length
        honest = await one.visitor(1, has=ALL)
        honest.send(wire.frame(wire.UNCHOKE))
        await _serve(one, honest)
        assert one.torrent.state is State.SEEDING
        assert (tmp_path / "t").read_bytes() == SMALL.data
        assert one.session.facilities.buffers.count == 0


async def test_a_file_that_cannot_be_written_stops_the_torrent_and_keeps_the_rest(
    tmp_path: Path,
) -> None:
    content = sample([Layout(f"{number:02}", BLOCK) for number in range(COUNT)], BLOCK)
    async with one_torrent(tmp_path, content=content) as one:
        visitor = await one.visitor(has=ALL)
        visitor.send(wire.frame(wire.UNCHOKE))
        asked = await _requests(visitor, 16)
        broken = asked[5][0]
        (tmp_path / "t" / f"{broken:02}").mkdir(parents=True)
        visitor.send(b"".join(one.block(*request) for request in asked))
        await one.until(lambda: one.torrent.state is State.ERROR)
        assert f"{broken:02}" in one.torrent.error
        await one.until(lambda: one.session.facilities.buffers.count == 0)
        assert not one.torrent.have[broken]
        for index in one.torrent.have:
            assert (tmp_path / "t" / f"{index:02}").read_bytes() == content.piece(index)


async def test_what_is_complete_when_the_torrent_pauses_is_written(tmp_path: Path) -> None:
    """Also what waits for the next job at that moment."""
    async with one_torrent(tmp_path, content=SMALL) as one:
        visitor = await one.visitor(has=ALL)
        visitor.send(wire.frame(wire.UNCHOKE))
        asked = await _requests(visitor, 16)
        peer = one.known()
        peer.on_data(memoryview(b"".join(one.block(*request) for request in asked[:3])))
        one.torrent.pause()
        assert not one.torrent.have.count
        await one.until(lambda: one.torrent.have.count == 3)
        assert one.session.facilities.buffers.count == 0
        data = (tmp_path / "t").read_bytes()
        for index, _, _ in asked[:3]:
            assert data[index * BLOCK :][: len(SMALL.piece(index))] == SMALL.piece(index)
        assert not len(one.session.facilities.file_pool), "nor is a file left open"
