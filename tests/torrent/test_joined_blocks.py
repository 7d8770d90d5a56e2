"""Peers that take several blocks in one message: what they are sent, and what they send us."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from engine.core import bencode
from engine.net.peer_connection import PeerConnection
from engine.storage import filesystem
from engine.storage.filesystem import TorrentFiles
from engine.torrent import zero_copy
from engine.torrent.lifecycle import State
from engine.wire.messages import MAX_JOINED_BYTES
from tests.fakes import scripted_peer as wire
from tests.fakes.scripted_peer import ScriptedPeer
from tests.storage.torrents import sample
from tests.torrent.one_torrent import BLOCK, OneTorrent, one_torrent

PIECE = 16 * BLOCK
CONTENT = sample(PIECE * 4 + 5, PIECE)
ALL = b"\xf8"


def _joins(most: int) -> bytes:
    return wire.frame(wire.EXTENSION, b"\0" + bencode.encode({"max_joined": most}))


async def _customer(one: OneTorrent, *said: bytes) -> ScriptedPeer:
    visitor = await one.visitor()
    visitor.send(*said, wire.frame(wire.INTERESTED))
    await visitor.until(wire.UNCHOKE)
    return visitor


def _requests(index: int, *blocks: int) -> bytes:
    return b"".join(wire.numbers(wire.REQUEST, index, block * BLOCK, BLOCK) for block in blocks)


async def _received(visitor: ScriptedPeer, length: int) -> list[tuple[int, int, bytes]]:
    """The payloads of `piece` messages until they have so many bytes in all."""
    blocks: list[tuple[int, int, bytes]] = []
    while sum(len(content) for _, _, content in blocks) < length:
        payload = (await visitor.until(wire.PIECE)).payload
        index, begin = (int.from_bytes(payload[at : at + 4], "big") for at in (0, 4))
        blocks.append((index, begin, payload[8:]))
    for index, begin, content in blocks:
        assert content == CONTENT.piece(index)[begin : begin + len(content)]
    return blocks


ROADS = ["from the file", "through a slab", "cold"]


@pytest.fixture(params=ROADS)
def road(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Blocks are sent by the kernel, copied from the page cache, or read by a disk thread."""
    if request.param == ROADS[0]:
        monkeypatch.setattr(filesystem, "is_cached", lambda *_: True)
    else:
        monkeypatch.setattr(TorrentFiles, "lend_nowait", lambda *_: None)
    if request.param == ROADS[2]:
        monkeypatch.setattr(TorrentFiles, "read_into_nowait", lambda *_: False)
    return str(request.param)


async def test_who_takes_joined_blocks_gets_them_so(road: str, tmp_path: Path) -> None:
    async with one_torrent(tmp_path, has=True, content=CONTENT) as one:
        visitor = await _customer(one, _joins(1 << 30))
        total = 0
        for index in (2, 0, 3, 1) * 2:
            visitor.send(_requests(index, *range(16)))
            blocks = await _received(visitor, PIECE)
            total += PIECE
            assert len(b"".join(content for _, _, content in blocks)) == PIECE
            assert [begin for _, begin, _ in blocks] == sorted(begin for _, begin, _ in blocks)
        one.known().batch = 16
        visitor.send(_requests(0, *range(16)))
        total += PIECE
        assert len(await _received(visitor, PIECE)) == 1, "all at once where the link is quick"
        visitor.send(wire.numbers(wire.REQUEST, 4, 0, 5))
        assert await _received(visitor, 5) == [(4, 0, CONTENT.piece(4))]
        assert one.torrent.up_rate.total == one.known().up.total == total + 5
        await one.until(lambda: one.session.facilities.slabs.in_use == 0)


async def test_nobody_gets_more_joined_than_was_said(road: str, tmp_path: Path) -> None:
    async with one_torrent(tmp_path, has=True, content=CONTENT) as one:
        visitor = await _customer(one, _joins(3 * BLOCK + 1))
        for _ in range(6):
            visitor.send(_requests(1, *range(16)), _requests(2, *range(16)))
            lengths = [len(content) for *_, content in await _received(visitor, 2 * PIECE)]
            assert max(lengths) <= 3 * BLOCK
        one.known().batch = 16
        visitor.send(_requests(1, *range(16)))
        assert [len(content) for *_, content in await _received(visitor, PIECE)] == [
            *[3 * BLOCK] * 5,
            BLOCK,
        ]


@pytest.mark.parametrize("most", [None, 0, -5, 1, BLOCK, 2 * BLOCK - 1])
async def test_who_does_not_say_so_gets_blocks_one_by_one(most: int | None, tmp_path: Path) -> None:
    async with one_torrent(tmp_path, has=True, content=CONTENT) as one:
        visitor = await _customer(one, *([] if most is None else [_joins(most)]))
        for _ in range(6):
            visitor.send(_requests(1, *range(16)))
            assert len(await _received(visitor, PIECE)) == 16


async def test_what_was_not_asked_for_or_cancelled_is_not_joined(road: str, tmp_path: Path) -> None:
    async with one_torrent(tmp_path, has=True, content=CONTENT) as one:
        visitor = await _customer(one, _joins(MAX_JOINED_BYTES))
        for _ in range(6):  # until many are sent at a time
            visitor.send(_requests(1, *range(16)))
            await _received(visitor, PIECE)
        visitor.send(
            _requests(0, 1, 2, 4, 5, 6, 15),
            _requests(1, 0, 3),
            wire.numbers(wire.REQUEST, 2, 7, 9),
            wire.numbers(wire.CANCEL, 0, 5 * BLOCK, BLOCK),
        )
        asked = {(0, block) for block in (1, 2, 4, 5, 6, 15)} | {(1, 0), (1, 3)}
        got: set[tuple[int, int]] = set()
        rejected: set[tuple[int, int]] = set()
        while got | rejected != asked:
            said = await visitor.next()
            if said.id == wire.REJECT:
                index, begin, _ = said.numbers
                rejected.add((index, begin // BLOCK))
            elif said.id == wire.PIECE:
                index, begin = (int.from_bytes(said.payload[at : at + 4], "big") for at in (0, 4))
                if begin % BLOCK == 0:
                    for at in range(0, len(said.payload) - 8, BLOCK):
                        place = index, (begin + at) // BLOCK
                        assert place not in got
                        got.add(place)
        assert rejected <= {(0, 5)}


async def test_a_file_cut_short_meanwhile_is_told_and_no_zeros_are_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel finds no bytes to send where a frame was begun: the peer is left, the torrent
    stops and says why."""
    monkeypatch.setattr(filesystem, "is_cached", lambda *_: True)
    async with one_torrent(tmp_path, has=True, content=CONTENT) as one:
        visitor = await _customer(one, _joins(MAX_JOINED_BYTES))
        visitor.send(_requests(1, *range(16)))
        await _received(visitor, PIECE)
        one.known().batch = 64
        os.truncate(tmp_path / "t", PIECE + 3 * BLOCK)
        visitor.send(_requests(1, *range(16)))
        async with asyncio.timeout(20):
            rest = await visitor.reader.read()
        head = (9 + PIECE).to_bytes(4, "big") + b"\x07" + (1).to_bytes(4, "big") + bytes(4)
        assert rest.endswith(head + CONTENT.piece(1)[: 3 * BLOCK])
        await one.until(lambda: one.torrent.state is State.ERROR)
        assert "t" in str(one.torrent.error)


async def test_who_reads_nothing_keeps_few_files_open_and_none_when_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filesystem, "is_cached", lambda *_: True)
    async with one_torrent(tmp_path, has=True, content=CONTENT) as one:
        visitor = await one.visitor(receive_bytes=4096)
        visitor.send(_joins(4 * BLOCK), wire.frame(wire.INTERESTED))
        await visitor.until(wire.UNCHOKE)
        peer = one.known()
        visitor.writer.transport.pause_reading()  # type: ignore[attr-defined]
        while peer.connection.pending_bytes < PIECE:
            peer.batch = 64
            visitor.send(*(_requests(index, *range(16)) for index in range(4)))
            await visitor.writer.drain()
            await asyncio.sleep(0)
        pool = one.session.facilities.file_pool
        leases = [item.leases for item in pool._files.values()]
        assert 1 <= sum(leases) <= zero_copy._MANY_WRITES
        visitor.writer.transport.abort()
        await one.until(lambda: one.peer() is None)
        assert [item.leases for item in pool._files.values()] == [0] * len(leases)


# ── what they send us ───────────────────────────────────────────────────────────────────────────


def _joined(index: int, first: int, count: int) -> bytes:
    begin = first * BLOCK
    return wire.piece(index, begin, CONTENT.piece(index)[begin : begin + count * BLOCK])


async def test_we_say_that_we_take_them(tmp_path: Path) -> None:
    async with one_torrent(tmp_path, content=CONTENT) as one:
        visitor = await one.visitor(has=ALL)
        said = bencode.decode_dict((await visitor.until(wire.EXTENSION)).payload[1:])
        assert said[b"max_joined"] == MAX_JOINED_BYTES


@pytest.mark.parametrize("cut", [1, 1000, BLOCK, 5 * BLOCK + 7, 1 << 30])
async def test_joined_blocks_are_the_torrent(cut: int, tmp_path: Path) -> None:
    """In segments of any size, so that some land in their piece and others do not."""
    content = sample(PIECE * 4, PIECE)
    async with one_torrent(tmp_path, content=content) as one:
        visitor = await one.visitor(has=b"\xf0")
        visitor.send(wire.frame(wire.UNCHOKE))
        asked: dict[int, set[int]] = {}
        async for said in visitor.messages():
            if said.id != wire.REQUEST:
                continue
            index, begin, _ = said.numbers
            asked.setdefault(index, set()).add(begin // BLOCK)
            if len(asked[index]) < 16:
                continue
            data = content.piece(index)
            border = 11 * BLOCK
            stream = wire.piece(index, 0, data[:border]) + wire.piece(index, border, data[border:])
            at = 0
            while at < len(stream) and at < 60 * cut:
                visitor.send(stream[at : at + cut])
                await visitor.writer.drain()
                await asyncio.sleep(0)
                at += cut
            visitor.send(stream[at:])
        assert one.torrent.state is State.SEEDING
        assert (tmp_path / "t").read_bytes() == b"".join(content.piece(n) for n in range(4))
        assert one.torrent.wasted_bytes == 0
        await one.until(lambda: one.session.facilities.buffers.count == 0)


async def test_of_joined_blocks_each_must_have_been_asked_for(tmp_path: Path) -> None:
    async with one_torrent(tmp_path, content=CONTENT) as one:
        liar = await one.visitor(has=b"\x80")
        liar.send(wire.frame(wire.UNCHOKE))
        for _ in range(16):
            await liar.until(wire.REQUEST)
        liar.send(_joined(0, 0, 16), _joined(0, 0, 16))
        await liar.hangup()
        await one.until(lambda: one.torrent.have.count == 1)


@pytest.mark.parametrize("place", [(0, 8 * BLOCK, 16), (0, 5, 2), (9, 0, 2), (2**32 - 1, 0, 2)])
async def test_joined_blocks_beyond_a_piece_cost_the_connection(
    place: tuple[int, int, int], tmp_path: Path
) -> None:
    async with one_torrent(tmp_path, content=CONTENT) as one:
        liar = await one.visitor(has=ALL)
        liar.send(wire.frame(wire.UNCHOKE))
        for _ in range(16):
            await liar.until(wire.REQUEST)
        index, begin, count = place
        liar.send(wire.piece(index, begin, bytes(count * BLOCK)))
        await liar.hangup()
        honest = await one.visitor(1, has=ALL)
        assert await honest.is_alive()


async def _stopped_half_way(one: OneTorrent) -> tuple[ScriptedPeer, bytes]:
    """One that is asked for the first piece, and has sent six blocks of it joined, and a bit of the
    next; returns what it has not sent yet, too."""
    slow = await one.visitor(0, has=b"\x80")
    slow.send(wire.frame(wire.UNCHOKE))
    for _ in range(16):
        await slow.until(wire.REQUEST)
    whole = _joined(0, 0, 16)
    half = 13 + 6 * BLOCK + 1000
    slow.send(whole[:half])
    await one.until(lambda: one.known(0).down.total == 6 * BLOCK)
    return slow, whole[half:]


async def test_a_block_that_is_cancelled_half_way_is_no_offence(tmp_path: Path) -> None:
    """Others bring it while its first half is in its place already: theirs counts."""
    async with one_torrent(tmp_path, content=CONTENT) as one:
        slow, rest = await _stopped_half_way(one)
        quick = await one.visitor(1, has=b"\x80")
        quick.send(wire.frame(wire.UNCHOKE))
        while not one.torrent.have.count:
            said = await quick.next()
            if said.id == wire.REQUEST:
                quick.send(one.block(*said.numbers))
            elif said.id == wire.HAVE:
                assert said.numbers == (0,)
                break
        slow.send(rest)
        assert await slow.is_alive()
        assert (tmp_path / "t").read_bytes()[:PIECE] == CONTENT.piece(0)
        assert one.torrent.wasted_bytes == 10 * BLOCK


async def test_what_comes_after_a_piece_was_given_up_lands_in_no_other(tmp_path: Path) -> None:
    """Though its memory is lent to that one, and a read that found nothing had looked up the
    place: where bytes belong is asked anew before each read."""
    async with one_torrent(tmp_path, content=CONTENT) as one:
        slow, rest = await _stopped_half_way(one)
        download, connection = one.live.download, one.known(0).connection
        assert isinstance(connection, PeerConnection)
        connection._on_readable()  # as the kernel has it at times: there is nothing
        memory = download._buffers[0]
        assert memory is not None
        download._drop(0)
        quick = await one.visitor(1, has=b"\x40")
        quick.send(wire.frame(wire.UNCHOKE))
        for _ in range(16):
            await quick.until(wire.REQUEST)
        quick.send(one.block(1, 8 * BLOCK, BLOCK))
        await one.until(lambda: bool(one.known(1).down.total))
        other = download._buffers[1]
        assert other is not None
        assert other.obj is memory.obj
        before = bytes(other)
        slow.send(rest)
        assert await slow.is_alive()
        assert bytes(other) == before
