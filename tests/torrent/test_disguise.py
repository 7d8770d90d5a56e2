"""A super-seed on the wire: it says that it has nothing, and tells of a few pieces (BEP 16)."""

from __future__ import annotations

from pathlib import Path

from engine.core.bencode import decode
from engine.swarm.super_seeding import PENDING
from engine.torrent.facilities import Limits
from tests.fakes import scripted_peer as wire
from tests.torrent.one_torrent import BLOCK, bits, one_torrent

SUPER = Limits(super_seed=True)


async def test_it_looks_like_a_peer_that_has_nothing(tmp_path: Path) -> None:
    async with one_torrent(tmp_path, has=True, limits=SUPER) as one:
        peer = await one.visitor()
        handshake = decode((await peer.until(wire.EXTENSION)).payload[1:])
        assert isinstance(handshake, dict)
        assert not handshake[b"upload_only"]
        said = [await peer.next() for _ in range(1 + PENDING)]
        assert [each.id for each in said] == [wire.HAVE_NONE, *[wire.HAVE] * PENDING]


async def test_a_piece_that_was_got_is_followed_by_another(tmp_path: Path) -> None:
    async with one_torrent(tmp_path, has=True, limits=SUPER) as one:
        peer = await one.visitor()
        (index,) = (await peer.until(wire.HAVE)).numbers
        (other,) = (await peer.until(wire.HAVE)).numbers
        peer.send(wire.frame(wire.INTERESTED))
        await peer.until(wire.UNCHOKE)
        block = one.content.piece(index)[:BLOCK]
        peer.send(wire.numbers(wire.REQUEST, index, 0, len(block)))
        assert (await peer.until(wire.PIECE)).payload[8:] == block
        peer.send(wire.numbers(wire.HAVE, index))
        (third,) = (await peer.until(wire.HAVE)).numbers
        assert len({index, other, third}) == 3


async def test_two_peers_are_told_of_different_pieces(tmp_path: Path) -> None:
    async with one_torrent(tmp_path, has=True, limits=SUPER) as one:
        peers = [await one.visitor(number) for number in (1, 2)]
        told = [(await peer.until(wire.HAVE)).numbers[0] for peer in peers for _ in range(PENDING)]
        assert len(set(told)) == 2 * PENDING


async def test_what_a_peer_brings_along_is_not_offered_to_it(tmp_path: Path) -> None:
    async with one_torrent(tmp_path, has=True, limits=SUPER) as one:
        has = range(1, 13)
        peer = await one.visitor(has=bits(*has))
        await one.until(lambda: one.known().pieces.count == 12)
        told: list[int] = []
        while 0 not in told:
            told.append((await peer.until(wire.HAVE)).numbers[0])
        assert len(told) <= PENDING + 1


async def test_what_was_offered_to_one_who_goes_is_offered_to_who_stays(tmp_path: Path) -> None:
    async with one_torrent(tmp_path, has=True, limits=SUPER) as one:
        first, second = [await one.visitor(number) for number in (1, 2)]
        lost = {(await first.until(wire.HAVE)).numbers[0] for _ in range(PENDING)}
        await first.close()
        told = set()
        while not lost <= told:
            (index,) = (await second.until(wire.HAVE)).numbers
            told.add(index)
            second.send(wire.numbers(wire.HAVE, index))


async def test_a_torrent_that_was_downloaded_just_now_is_seeded_openly(tmp_path: Path) -> None:
    async with one_torrent(tmp_path, limits=SUPER) as one:
        await one.visitor()
        assert one.live.disguise is None
