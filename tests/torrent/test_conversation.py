"""Small talk: what is said behind the handshake, and what follows from what peers say."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core import bencode
from engine.torrent.download import Download
from engine.torrent.facilities import Limits
from engine.torrent.lifecycle import State
from engine.torrent.peer import Peer
from engine.wire.fast_extension import allowed_fast_set
from tests.fakes import scripted_peer as wire
from tests.fakes.scripted_peer import Said
from tests.torrent.one_torrent import ALL, CONTENT, PIECES, bits, one_torrent


def _extension(said: Said) -> dict[bytes, bencode.Value]:
    assert said.id == wire.EXTENSION
    assert said.payload[0] == 0
    return bencode.decode_dict(said.payload[1:])


async def test_extensions_come_first_then_what_we_have(tmp_path: Path) -> None:
    async with one_torrent(tmp_path, has=True) as one:
        visitor = await one.visitor()
        said = _extension(await visitor.next())
        assert said[b"p"] == one.session.incoming.listener.port
        assert said[b"upload_only"] == 1
        assert said[b"yourip"] == bytes([127, 0, 0, 1])
        assert said[b"reqq"] == one.session.facilities.limits.max_request_queue
        assert (await visitor.next()).id == wire.HAVE_ALL


@pytest.mark.parametrize("has", [False, True])
async def test_without_extensions_a_bitfield_or_silence(has: bool, tmp_path: Path) -> None:
    async with one_torrent(tmp_path, has=has) as one:
        visitor = await one.visitor(reserved=wire.PLAIN)
        visitor.send(wire.frame(wire.INTERESTED))
        first = await visitor.next()
        assert first == (Said(wire.BITFIELD, ALL) if has else Said(wire.UNCHOKE, b""))


async def test_having_nothing_is_said_shortly(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        visitor = await one.visitor(reserved=wire.FAST)
        assert (await visitor.next()).id == wire.HAVE_NONE


async def test_who_finds_no_place_is_granted_its_fast_pieces(tmp_path: Path) -> None:
    """Those that BEP 6 names for its address, which it can ask for while it is choked."""
    async with one_torrent(tmp_path, has=True, limits=Limits(upload_slots=1)) as one:
        first = await one.visitor(1)
        first.send(wire.frame(wire.INTERESTED))
        said = [await first.next() for _ in range(3)]
        assert [each.id for each in said] == [wire.EXTENSION, wire.HAVE_ALL, wire.UNCHOKE]
        visitor = await one.visitor()
        visitor.send(wire.frame(wire.INTERESTED))
        wanted = allowed_fast_set("127.0.0.1", CONTENT.info.info_hash, PIECES, 10)
        granted = [(await visitor.until(wire.ALLOWED_FAST)).numbers[0] for _ in wanted]
        assert granted == wanted
        visitor.send(wire.numbers(wire.REQUEST, granted[0], 0, 5))
        assert (await visitor.until(wire.PIECE)).payload[8:] == CONTENT.piece(granted[0])[:5]
        refused = min(set(range(PIECES)) - set(granted))
        visitor.send(wire.numbers(wire.REQUEST, refused, 0, 5))
        assert (await visitor.until(wire.REJECT)).numbers == (refused, 0, 5)


async def test_few_at_a_time_are_granted_fast_pieces(tmp_path: Path) -> None:
    """Else a crowd of newcomers would share the uplink for the same pieces."""
    async with one_torrent(tmp_path, has=True, limits=Limits(upload_slots=1)) as one:
        crowd = [await one.visitor(number) for number in range(1, 6)]
        heard = []
        for visitor in crowd:
            visitor.send(wire.frame(wire.INTERESTED))
            visitor.send(wire.numbers(wire.REQUEST, 0, 0, 5))
            said = []
            while not said or said[-1] not in (wire.PIECE, wire.REJECT):
                said.append((await visitor.next()).id)
            heard.append(said)
        assert wire.UNCHOKE in heard[0]
        assert [wire.ALLOWED_FAST in said for said in heard] == [False, True, True, False, False]


async def test_interest_follows_what_the_peer_has(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        visitor = await one.visitor(has=bits())
        visitor.send(wire.numbers(wire.HAVE, 3))
        await visitor.until(wire.INTERESTED)
        visitor.send(wire.frame(wire.UNCHOKE))
        for _ in range(2):
            asked = await visitor.until(wire.REQUEST)
            assert asked.numbers[0] == 3
            visitor.send(one.block(*asked.numbers))
        await visitor.until(wire.NOT_INTERESTED)
        assert (await visitor.until(wire.HAVE)).numbers == (3,)
        visitor.send(wire.numbers(wire.HAVE, 4))
        await visitor.until(wire.INTERESTED)


async def test_becoming_a_seed_is_told(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        other = await one.visitor(1, has=bits(0))
        await other.until(wire.INTERESTED)
        visitor = await one.visitor(has=ALL)
        visitor.send(wire.frame(wire.UNCHOKE))
        async for said in visitor.messages():
            if said.id == wire.REQUEST:
                visitor.send(one.block(*said.numbers))
        assert one.torrent.state is State.SEEDING
        told = set()
        while not told >= {wire.EXTENSION, wire.NOT_INTERESTED}:
            said = await other.next()
            if said.id != wire.EXTENSION or _extension(said).get(b"upload_only") == 1:
                told.add(said.id)


async def test_what_a_peer_tells_of_itself_is_taken_over(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        visitor = await one.visitor()
        told = {"v": "Ünit 1\x1b[2J", "p": 4242, "reqq": 3, "m": {"x": 1}}
        visitor.send(wire.frame(wire.HAVE_ALL))
        visitor.send(wire.frame(wire.EXTENSION, b"\0" + bencode.encode(told)))
        await one.until(lambda: one.known().extension is not None)
        peer = one.known()
        assert peer.client.startswith("Ünit 1")
        assert "\x1b" not in peer.client
        assert peer.dial_address == ("127.0.0.1", 4242)
        assert ("127.0.0.1", 4242) in one.live.peers.known
        visitor.send(wire.frame(wire.UNCHOKE))
        for _ in range(3):
            await visitor.until(wire.REQUEST)
        assert peer.queue.outstanding == 3
        # A later one tells changes only (BEP 10).
        visitor.send(wire.frame(wire.EXTENSION, b"\0" + bencode.encode({"reqq": 5})))
        for _ in range(2):
            visitor.send(one.block(*(await _asked(visitor, peer))))
        assert peer.client.startswith("Ünit 1")


async def _asked(visitor, peer) -> tuple[int, int, int]:  # type: ignore[no-untyped-def]
    return peer.queue.asked()[0]


async def test_upload_only_peers_and_seeds_part_from_a_seed(tmp_path: Path) -> None:
    async with one_torrent(tmp_path, has=True) as one:
        seed = await one.visitor()
        seed.send(wire.frame(wire.HAVE_ALL))
        await seed.hangup()
        grown = await one.visitor(1, has=bits(*range(PIECES - 1)))
        grown.send(wire.numbers(wire.HAVE, PIECES - 1))
        await grown.hangup()


@pytest.mark.parametrize("has", [True, False])
async def test_what_a_peer_says_again_costs_nothing(
    has: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many pieces a bitfield is work for milliseconds, and thousands of them fit into a read."""
    heeded: list[int] = []
    on_pieces = Download.on_pieces

    def counted(download: Download, peer: Peer) -> None:
        heeded.append(peer.protocol.peer_pieces.count)
        on_pieces(download, peer)

    monkeypatch.setattr(Download, "on_pieces", counted)
    async with one_torrent(tmp_path, has=has) as one:
        visitor = await one.visitor()
        for said in (bits(), bits(1), bits(1), bits(1, 2), bits(2)):
            visitor.send(wire.frame(wire.BITFIELD, said) * 100)
        assert await visitor.is_alive()
        assert heeded == [0, 1, 2]
        if not has:
            visitor.send(wire.frame(wire.HAVE_ALL) * 100)
            assert await visitor.is_alive()
            assert heeded == [0, 1, 2, PIECES]
