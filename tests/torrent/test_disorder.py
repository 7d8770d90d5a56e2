"""Everything at once, in an order that dice decide: blocks right and wrong, asked for and not, in
rows and alone; chokes, rejects, requests and cancels; and a user who changes their mind.

Nothing may fail but who sent what is illegal, the books of the picker and of the queues must agree
all the time, and in the end every byte is where it belongs and all that was lent is given back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.core.file_choice import FileChoice
from engine.errors import PeerError
from engine.torrent.lifecycle import State
from engine.torrent.peer import Peer
from tests.fakes import scripted_peer as wire
from tests.fakes.scripted_peer import ScriptedPeer
from tests.storage.torrents import Layout, Sample, sample
from tests.torrent.one_torrent import BLOCK, PIECE, OneTorrent, one_torrent

CONTENTS = {
    "borders": sample(
        [
            Layout("a", 5 * PIECE + 100),
            Layout("b/c", 700),
            Layout("b/d", 4 * PIECE - 9),
            Layout("e", 3),
        ],
        PIECE,
    ),
    "small": sample([*(Layout(f"{n:02}", BLOCK) for n in range(24)), Layout("z", 5000)], BLOCK),
    "long": sample(9 * 4 * BLOCK + 7000, 4 * BLOCK),
}
STEPS = 150


class _Disorder:
    """Three peers who have all, and what they say."""

    def __init__(self, one: OneTorrent, rng: random.Random) -> None:
        self.one, self.rng = one, rng
        self.geometry = one.content.info.geometry
        self.peers: list[Peer] = []
        self.asked_of_us = [(0, 0, 1)]

    @property
    def all_pieces(self) -> bytes:
        count = self.geometry.piece_count
        return (((1 << count) - 1) << -count % 8).to_bytes((count + 7) // 8, "big")

    async def come(self) -> None:
        for number in range(3):
            reserved = self.rng.choice([wire.ALL, wire.PLAIN])
            await self.one.visitor(number, has=self.all_pieces, reserved=reserved)
            self.peers.append(self.one.known(number))

    def speak(self) -> None:
        peer = self.rng.choice(self.peers)
        words = [self._blocks, self._blocks, self._blocks, self._wrong, self._talk, self._requests]
        said = b"".join(self.rng.choice(words)(peer) for _ in range(self.rng.randint(1, 4)))
        if said and not peer.connection.is_closed:
            try:
                peer.on_data(memoryview(bytearray(said)))
            except PeerError as error:
                peer.connection.close(error)

    def _block(self, index: int, begin: int, length: int) -> bytes:
        data = self.one.content.piece(index)[begin : begin + length].ljust(length, b"x")
        return wire.piece(index, begin, bytes(length) if self.rng.random() < 0.03 else data)

    def _size(self, index: int, begin: int) -> int:
        return self.geometry.block_size(index, begin // BLOCK)

    def _blocks(self, peer: Peer) -> bytes:
        """What was asked for, beginning anywhere."""
        asked = _asked(peer)
        if not asked:
            return wire.frame(wire.UNCHOKE)
        start = self.rng.randrange(len(asked))
        run = asked[start : start + self.rng.randint(1, 6)]
        return b"".join(self._block(*each, self._size(*each)) for each in run)

    def _wrong(self, peer: Peer) -> bytes:
        rng = self.rng
        if rng.random() < 0.7:
            return b""
        index = rng.randrange(self.geometry.piece_count)
        begin = BLOCK * rng.randrange(self.geometry.block_count(index))
        if peer.queue.outstanding and rng.random() < 0.7:
            index, begin = rng.choice(_asked(peer))
        return rng.choice(
            [
                self._block(index, begin, rng.choice([1, 5000, BLOCK, BLOCK + 1])),
                b"".join(self._block(index, begin + n * BLOCK, BLOCK) for n in range(4)),
            ]
        )

    def _talk(self, peer: Peer) -> bytes:
        rng = self.rng
        words = [
            wire.frame(wire.CHOKE),
            wire.frame(wire.UNCHOKE),
            wire.frame(wire.INTERESTED),
            wire.frame(wire.INTERESTED),
            wire.frame(wire.NOT_INTERESTED),
            wire.numbers(wire.HAVE, rng.randrange(self.geometry.piece_count)),
        ]
        if peer.queue.outstanding:
            each = rng.choice(_asked(peer))
            words += [wire.numbers(wire.REJECT, *each, self._size(*each))] * 3
        return rng.choice(words)

    def _requests(self, peer: Peer) -> bytes:
        """Some twice, some cancelled."""
        rng, said = self.rng, b""
        for _ in range(rng.randint(1, 20)):
            index = rng.choice(list(self.one.torrent.have) or [0])
            length = min(rng.choice([BLOCK, BLOCK, 1]), self.geometry.piece_size(index))
            begin = rng.choice([0, 0, self.geometry.piece_size(index) - length])
            self.asked_of_us.append((index, begin, length))
            said += wire.numbers(wire.REQUEST, index, begin, length)
            if rng.random() < 0.2:
                said += wire.numbers(wire.CANCEL, *rng.choice(self.asked_of_us))
        return said

    def act(self) -> None:
        """What a user may do."""
        torrent, info = self.one.torrent, self.one.content.info
        actions: list[Callable[[], None]] = [torrent.pause, torrent.start, torrent.recheck]
        if self.rng.random() < 0.5:
            self.rng.choice(actions)()
        else:
            levels = bytes(self.rng.randint(0, 2) for _ in info.files)
            torrent.choose(FileChoice.of(info, levels))

    def lose_patience(self) -> None:
        if (live := self.one.torrent.live) is not None:
            for peer in live.peers.connected:
                live.download.tick(peer, live.now() + 70.0)

    def check_the_books(self) -> None:
        if (live := self.one.torrent.live) is None:
            return
        asked = {
            (peer, index, begin)
            for partial in live.download.picker.partials()
            for peer, (index, begin, _) in partial.outstanding()
        }
        waited_for = {(peer, *block) for peer in live.peers.connected for block in _asked(peer)}
        assert asked == waited_for


def _asked(peer: Peer) -> list[tuple[int, int]]:
    return sorted((index, begin) for index, begin, _ in peer.queue.asked())


async def _serve(one: OneTorrent, peer: ScriptedPeer) -> None:
    peer.send(wire.frame(wire.UNCHOKE))
    async for said in peer.messages():
        if said.id == wire.REQUEST:
            peer.send(one.block(*said.numbers))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", CONTENTS)
async def test_all_comes_to_a_good_end(name: str, seed: int, tmp_path: Path) -> None:
    content: Sample = CONTENTS[name]
    rng = random.Random(seed)
    room = {"buffer_bytes": 2 * content.info.piece_length} if seed % 2 else {}
    async with one_torrent(tmp_path, content=content, **room) as one:
        disorder = _Disorder(one, rng)
        await disorder.come()
        for _ in range(STEPS):
            disorder.speak()
            disorder.check_the_books()
            dice = rng.random()
            if dice < 0.2:  # a turn of the loop: what is complete goes to the disk
                await asyncio.sleep(0)
            elif dice < 0.22:
                await one.session.facilities.disk.settle()
            elif dice < 0.25:
                disorder.act()
            elif dice < 0.26:
                disorder.lose_patience()
        for visitor in one.visitors:
            await visitor.close()

        torrent = one.torrent
        torrent.choose(None)
        torrent.start()
        await one.until(lambda: torrent.state in (State.DOWNLOADING, State.SEEDING))
        for number in range(10, 15):  # one that helps with a bad piece may be hung up on for it
            if torrent.state is State.SEEDING:
                break
            await _serve(one, await one.visitor(number, has=disorder.all_pieces))
        assert torrent.state is State.SEEDING, torrent.error
        await one.session.facilities.disk.settle()
        for file, entry in enumerate(content.info.files):
            assert tmp_path.joinpath(*entry.path).read_bytes() == content.content_of(file)
        assert not list(tmp_path.glob(".*.parts"))
        facilities = one.session.facilities
        await one.until(lambda: not (facilities.buffers.count or facilities.slabs.in_use))
