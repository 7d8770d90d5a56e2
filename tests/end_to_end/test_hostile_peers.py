"""Peers that break the rules cost their connection; an honest transfer beside them succeeds.

The victim is a whole engine. Every test ends with an honest transfer, nothing logged as a failure
of ours, and every connection given back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core import bencode
from engine.core.metainfo import Metainfo
from engine.net import encrypted_start
from engine.session.session import Session
from engine.torrent import greeting
from engine.torrent import peer as peer_module
from engine.torrent.facilities import Limits
from engine.torrent.lifecycle import State
from engine.torrent.torrent import Torrent
from tests.end_to_end.rig import LOOPBACK, endpoint_of, running, seeding, until, until_state
from tests.fakes import scripted_peer as wire
from tests.fakes.scripted_peer import Said, ScriptedPeer, listening
from tests.storage.torrents import Sample, sample

BLOCK = 16384
PIECE = 65536
QUEUE = 100
"""Requests that the victim keeps of one peer."""
OPTIONS = replace(LOOPBACK, limits=Limits(max_request_queue=QUEUE))


class Arena:
    """A victim, the torrent under attack, and honest peers for it when asked."""

    def __init__(self, victim: Session, torrent: Torrent, content: Sample, folder: Path) -> None:
        self.victim, self.torrent, self.content = victim, torrent, content
        self.info_hash = bytes(torrent.info_hash)
        self._folder = folder
        self._metainfo = Metainfo(content.info)
        self._peers: list[ScriptedPeer] = []

    async def attacker(
        self,
        *,
        peer_id: bytes = b"-XX0000-scriptedpeer",
        reserved: bytes = wire.ALL,
        receive_bytes: int | None = None,
    ) -> ScriptedPeer:
        """A peer that has greeted the victim."""
        peer = await ScriptedPeer.meet(
            endpoint_of(self.victim),
            self.info_hash,
            peer_id=peer_id,
            reserved=reserved,
            receive_bytes=receive_bytes,
        )
        self._peers.append(peer)
        return peer

    async def stranger(self) -> ScriptedPeer:
        """A connection on which nothing was said."""
        peer = await ScriptedPeer.dial(endpoint_of(self.victim))
        self._peers.append(peer)
        return peer

    @property
    def open_connections(self) -> int:
        return self.victim.facilities.connections.open

    async def honest_transfer(self) -> None:
        """The victim still does its work: it downloads all, or serves all to a newcomer."""
        if self.torrent.is_complete:
            await self._serve()
            return
        self._content_at("source")
        async with running() as seeder:
            await seeding(seeder, self._metainfo, self._folder / "source")
            self.torrent.add_peer(endpoint_of(seeder))
            await until_state(self.victim, self.torrent, State.SEEDING)
        assert (self._folder / "victim" / "t").read_bytes() == self.content.data

    async def _serve(self) -> None:
        async with running() as leecher:
            torrent = await leecher.add(
                self._metainfo,
                save_path=self._folder / "target",
                peers=[endpoint_of(self.victim)],
            )
            await until_state(leecher, torrent, State.SEEDING)
        assert (self._folder / "target" / "t").read_bytes() == self.content.data

    def _content_at(self, name: str) -> None:
        self.content.store(self._folder / name)

    async def close(self) -> None:
        for peer in self._peers:
            await peer.close()


@contextlib.asynccontextmanager
async def _arena(tmp_path: Path, *, complete: bool) -> AsyncIterator[Arena]:
    content = sample(PIECE * 6 + 1000, PIECE)
    if complete:
        content.store(tmp_path / "victim")
    async with running(OPTIONS) as victim:
        torrent = await victim.add(Metainfo(content.info), save_path=tmp_path / "victim")
        await until_state(victim, torrent, State.SEEDING if complete else State.DOWNLOADING)
        arena = Arena(victim, torrent, content, tmp_path)
        yield arena
        await arena.close()
        await until(victim, lambda: not arena.open_connections, "connections left open")
        assert not victim.incoming._greeting


@pytest.fixture(autouse=True)
def nothing_failed(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """No traceback is logged, and no error: none of this is our fault."""
    caplog.set_level(logging.INFO)
    yield
    failures = [
        record.getMessage()
        for when in ("setup", "call")
        for record in caplog.get_records(when)
        if record.levelno >= logging.ERROR or record.exc_info
    ]
    assert not failures


@pytest.fixture
async def leeching(tmp_path: Path) -> AsyncIterator[Arena]:
    """The victim has nothing yet and knows nobody."""
    async with _arena(tmp_path, complete=False) as arena:
        yield arena


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Arena]:
    """The victim has everything."""
    async with _arena(tmp_path, complete=True) as arena:
        yield arena


# ── instead of a handshake ──────────────────────────────────────────────────────────────────────


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


# ── in the conversation ─────────────────────────────────────────────────────────────────────────

ILLEGAL = {
    "a 4 GiB message": b"\xff\xff\xff\xff",
    "a 4 GiB piece": b"\xff\xff\xff\xff\x07",
    "a message of 1 GiB": struct.pack(">IB", 1 << 30, 20),
    "a bitfield too short": wire.frame(wire.BITFIELD, b""),
    "a bitfield too long": wire.frame(wire.BITFIELD, bytes(2)),
    "a bitfield with spare bits": wire.frame(wire.BITFIELD, b"\x01"),
    "all and nothing": wire.frame(wire.HAVE_ALL) + wire.frame(wire.HAVE_NONE),
    "a have out of range": wire.numbers(wire.HAVE, 7),
    "a have far out of range": wire.numbers(wire.HAVE, 0xFFFFFFFF),
    "a have of no number": wire.frame(wire.HAVE),
    "a choke with a payload": wire.frame(wire.CHOKE, b"x"),
    "a request for nothing": wire.numbers(wire.REQUEST, 0, 0, 0),
    "a request for 4 GiB": wire.numbers(wire.REQUEST, 0, 0, 0xFFFFFFFF),
    "a request over the piece's end": wire.numbers(wire.REQUEST, 0, PIECE - 1, 2),
    "a request over the torrent's end": wire.numbers(wire.REQUEST, 6, 1000, 1),
    "a request for no piece": wire.numbers(wire.REQUEST, 7, 0, 1),
    "a cancel for no piece": wire.numbers(wire.CANCEL, 7, 0, 1),
    "a reject for no piece": wire.numbers(wire.REJECT, 7, 0, 1),
    "an allowed piece that is none": wire.numbers(wire.ALLOWED_FAST, 7),
    "a block nobody asked for": wire.piece(0, 0, bytes(BLOCK)),
    "a block that does not exist": wire.piece(7, 0, bytes(BLOCK)),
    "a block of no bytes": wire.piece(0, 0, b""),
    "a block of 256 KiB": struct.pack(">IBII", 9 + (1 << 18), 7, 0, 0),
    "an extension handshake of no bencode": wire.frame(wire.EXTENSION, b"\x00garbage"),
    "an extension handshake of deep lists": wire.frame(wire.EXTENSION, b"\x00" + b"l" * 5000),
    "an extension message without id": wire.frame(wire.EXTENSION),
}


@pytest.mark.parametrize("what", ILLEGAL)
async def test_an_illegal_message_ends_the_connection(leeching: Arena, what: str) -> None:
    """At once when it stands alone, and also when it comes right behind the handshake."""
    alone = await leeching.attacker()
    alone.send(ILLEGAL[what])
    await alone.hangup()
    behind = await leeching.stranger()
    behind.send(
        wire.PROTOCOL + wire.ALL + leeching.info_hash + b"-XX0000-anotherpeer1" + ILLEGAL[what]
    )
    await behind.hangup()
    await leeching.honest_transfer()


@pytest.mark.parametrize(
    "said",
    [
        wire.frame(wire.HAVE_ALL),
        wire.numbers(wire.REJECT, 0, 0, 1),
        wire.numbers(wire.ALLOWED_FAST, 0),
        wire.frame(wire.EXTENSION, b"\x00de"),
    ],
)
async def test_what_was_not_agreed_on_ends_the_connection(leeching: Arena, said: bytes) -> None:
    peer = await leeching.attacker(reserved=wire.PLAIN)
    peer.send(said)
    await peer.hangup()
    await leeching.honest_transfer()


async def test_messages_that_mean_nothing_to_us_are_skipped(leeching: Arena) -> None:
    peer = await leeching.attacker()
    for message_id in (*range(10, 13), *range(21, 256)):
        peer.send(wire.frame(message_id, bytes(message_id)))
    peer.send(bytes(4 * 1000), wire.frame(9, b"\x1a\xe1"), wire.frame(wire.EXTENSION, b"\xc8x"))
    assert await peer.is_alive()
    await leeching.honest_transfer()


async def test_a_slow_writer_gets_nowhere_and_harms_nobody(leeching: Arena) -> None:
    """One byte at a time, of a message that never ends."""
    peer = await leeching.stranger()
    hello = wire.PROTOCOL + wire.ALL + leeching.info_hash + b"-XX0000-scriptedpeer"
    for at in range(len(hello)):
        peer.send(hello[at : at + 1])
        await peer.writer.drain()
    await peer.read(68)
    block = struct.pack(">IBII", 9 + BLOCK, 7, 0, 0)
    for at in range(len(block)):
        peer.send(block[at : at + 1])
        await peer.writer.drain()
    await leeching.honest_transfer()


async def test_extension_handshakes_by_the_thousand(leeching: Arena) -> None:
    """They may not fill the list of addresses, whatever ports they name."""
    peer = await leeching.attacker()
    for number in range(5000):
        said = {"p": 1024 + number, "v": f"client {number}", "reqq": number, "m": {"x": 1}}
        peer.send(wire.frame(wire.EXTENSION, b"\x00" + bencode.encode(said)))
    assert await peer.is_alive()
    assert leeching.torrent.live is not None
    assert len(leeching.torrent.live.peers.known) == 1
    await leeching.honest_transfer()


async def test_a_flood_of_small_talk_is_only_read(leeching: Arena) -> None:
    peer = await leeching.attacker()
    mood = wire.frame(wire.INTERESTED) + wire.frame(wire.NOT_INTERESTED)
    grant = b"".join(wire.numbers(wire.ALLOWED_FAST, index) for index in range(7))
    choke = wire.frame(wire.UNCHOKE) + wire.frame(wire.CHOKE)
    peer.send(wire.frame(wire.HAVE_NONE), (mood + grant + choke) * 500)
    assert await peer.is_alive()
    await leeching.honest_transfer()


@pytest.mark.parametrize(
    "flood",
    [
        bytes(4),
        wire.frame(wire.INTERESTED) + wire.frame(wire.NOT_INTERESTED),
        wire.frame(wire.UNCHOKE) + wire.frame(wire.CHOKE),
        wire.numbers(wire.HAVE, 0),
        wire.numbers(wire.CANCEL, 0, 0, 1),
        wire.frame(wire.EXTENSION, b"\x00d1:mdee"),
        wire.frame(wire.EXTENSION, b"\x00d1:al" + b"le" * 250 + b"ee"),
        wire.frame(200, b"xyz"),
    ],
    ids=[
        "keep-alives",
        "interest",
        "chokes",
        "one have",
        "cancels",
        "handshakes",
        "long ones",
        "unknown",
    ],
)
async def test_who_never_stops_talking_is_hung_up_on(leeching: Arena, flood: bytes) -> None:
    peer = await leeching.attacker()
    peer.send(wire.frame(wire.HAVE_NONE), flood * 40_000)
    await peer.hangup()
    await leeching.honest_transfer()


async def test_the_same_peer_twice_is_one_connection(leeching: Arena) -> None:
    first = await leeching.attacker()
    second = await leeching.attacker()
    await second.hangup()
    assert await first.is_alive()
    assert leeching.open_connections == 1
    other = await leeching.attacker(peer_id=b"-XX0000-anotherpeer1")
    assert await other.is_alive()
    await leeching.honest_transfer()


async def test_no_more_than_the_limit_get_in(tmp_path: Path) -> None:
    limits = Limits(max_connections=5)
    content = sample(PIECE, PIECE)
    content.store(tmp_path)
    async with running(replace(LOOPBACK, limits=limits)) as victim:
        await seeding(victim, Metainfo(content.info), tmp_path)
        peers = [await ScriptedPeer.dial(endpoint_of(victim)) for _ in range(20)]
        for peer in peers[5:]:
            await peer.hangup()
        assert victim.facilities.connections.open == 5
        await peers[0].greet(content.info.info_hash)
        for peer in peers:
            await peer.close()
        await until(victim, lambda: victim.facilities.connections.open == 0)


# ── as a source ─────────────────────────────────────────────────────────────────────────────────

Answer = Callable[[ScriptedPeer, Said], Awaitable[None]]


async def _serve(peer: ScriptedPeer, answer: Answer) -> None:
    """Have everything, unchoke, and answer each request."""
    peer.send(wire.frame(wire.BITFIELD, b"\xfe"), wire.frame(wire.UNCHOKE))
    async for said in peer.messages():
        if said.id == wire.REQUEST:
            await answer(peer, said)


def _block(content: Sample, said: Said) -> bytes:
    index, begin, length = said.numbers
    return wire.piece(index, begin, content.piece(index)[begin : begin + length])


async def test_a_lone_liar_is_banned_at_its_first_piece(leeching: Arena) -> None:
    async def lie(peer: ScriptedPeer, said: Said) -> None:
        index, begin, length = said.numbers
        peer.send(wire.piece(index, begin, bytes(length)))

    liar = await leeching.attacker()
    await _serve(liar, lie)  # until it is hung up on
    assert not leeching.torrent.have.count
    assert leeching.torrent.wasted_bytes >= 1000  # the last piece is that short
    assert any("banned" in text for _, _, text in leeching.torrent.log_lines)
    await leeching.honest_transfer()


async def test_a_banned_peer_is_not_dialled_again(leeching: Arena) -> None:
    async def lie(peer: ScriptedPeer, said: Said) -> None:
        index, begin, length = said.numbers
        peer.send(wire.piece(index, begin, bytes(length)))

    calls = 0

    async def script(peer: ScriptedPeer) -> None:
        nonlocal calls
        calls += 1
        await peer.greet(leeching.info_hash)
        await _serve(peer, lie)

    async with listening(script) as at:
        leeching.torrent.add_peer(at)
        live = leeching.torrent.live
        assert live is not None
        await until(leeching.victim, lambda: live.peers.known.is_banned(at))
        leeching.torrent.add_peer(at)
        await leeching.honest_transfer()
        assert calls == 1


async def test_a_liar_among_honest_peers_is_found(leeching: Arena) -> None:
    """It sends one wrong block; the honest send the rest of that piece and are not blamed."""
    wrong: list[int] = []
    is_taken = asyncio.Event()

    async def lie_once(peer: ScriptedPeer, said: Said) -> None:
        index, begin, length = said.numbers
        if not wrong:
            wrong.append(index)
            peer.send(wire.piece(index, begin, bytes(length)), wire.frame(wire.CHOKE))
            is_taken.set()

    async def tell_truth(peer: ScriptedPeer, said: Said) -> None:
        peer.send(_block(leeching.content, said))

    liar = await leeching.attacker(reserved=wire.PLAIN)  # so that its choke drops the rest
    lying = asyncio.create_task(_serve(liar, lie_once))
    await is_taken.wait()
    honest = await leeching.attacker(peer_id=b"-XX0000-anotherpeer1")
    helping = asyncio.create_task(_serve(honest, tell_truth))
    await lying  # hung up on
    await until_state(leeching.victim, leeching.torrent, State.SEEDING)
    log = [text for _, _, text in leeching.torrent.log_lines]
    assert sum(text.startswith("banned") for text in log) == 1
    assert f"piece {wrong[0]} failed its hash and is fetched again" in log
    await helping  # two seeds part
    await leeching.honest_transfer()


@pytest.mark.parametrize("reserved", [wire.PLAIN, wire.FAST], ids=["plain", "fast"])
async def test_a_choke_in_the_middle_loses_no_request(leeching: Arena, reserved: bytes) -> None:
    """Without the fast extension a choke drops what was asked; with it the peer rejects it."""
    rounds = 0

    async def moody(peer: ScriptedPeer, said: Said) -> None:
        nonlocal rounds
        rounds += 1
        if rounds % 5 == 0 and rounds < 40:
            peer.send(wire.frame(wire.CHOKE))
            if reserved == wire.FAST:
                peer.send(wire.numbers(wire.REJECT, *said.numbers))
            peer.send(wire.frame(wire.UNCHOKE))
        else:
            peer.send(_block(leeching.content, said))

    peer = await leeching.attacker(reserved=reserved)
    serving = asyncio.create_task(_serve(peer, moody))
    await until_state(leeching.victim, leeching.torrent, State.SEEDING)
    await serving
    assert not any("banned" in text for _, _, text in leeching.torrent.log_lines)
    await leeching.honest_transfer()


async def test_what_one_peer_rejects_another_is_asked_for(leeching: Arena) -> None:
    async def refuse(peer: ScriptedPeer, said: Said) -> None:
        peer.send(wire.numbers(wire.REJECT, *said.numbers))

    peer = await leeching.attacker()
    refusing = asyncio.create_task(_serve(peer, refuse))
    await leeching.honest_transfer()
    await refusing


async def test_a_peer_that_never_sends_what_it_was_asked_for_holds_nothing_up(
    leeching: Arena,
) -> None:
    """In the end game its blocks are asked of the others too."""

    async def ignore(peer: ScriptedPeer, said: Said) -> None:
        asked.set()

    asked = asyncio.Event()
    peer = await leeching.attacker()
    ignoring = asyncio.create_task(_serve(peer, ignore))
    await asked.wait()
    await leeching.honest_transfer()
    await ignoring


async def test_pieces_allowed_to_the_choked_are_fetched(leeching: Arena) -> None:
    """BEP 6: only those, while the peer chokes us."""
    peer = await leeching.attacker()
    peer.send(wire.frame(wire.HAVE_ALL), wire.numbers(wire.ALLOWED_FAST, 2))
    peer.send(wire.numbers(wire.ALLOWED_FAST, 4))
    asked = set()
    while len(asked) < 8:
        said = await peer.until(wire.REQUEST)
        asked.add(said.numbers[:2])
        peer.send(_block(leeching.content, said))
    assert {index for index, _ in asked} == {2, 4}
    await until(leeching.victim, lambda: leeching.torrent.have.count == 2)
    await leeching.honest_transfer()


# ── as a customer ───────────────────────────────────────────────────────────────────────────────


async def _unchoked(
    arena: Arena, *, reserved: bytes = wire.ALL, peer_id: bytes = b"-XX0000-scriptedpeer"
) -> ScriptedPeer:
    peer = await arena.attacker(reserved=reserved, peer_id=peer_id)
    peer.send(wire.frame(wire.INTERESTED))
    await peer.until(wire.UNCHOKE)
    return peer


def _many_requests(count: int) -> list[bytes]:
    """All different: asking twice is asking once."""
    return [wire.numbers(wire.REQUEST, n % 6, n // 6, BLOCK) for n in range(count)]


def _sent_and_rejected(said: list[Said]) -> tuple[int, int]:
    return (
        sum(each.id == wire.PIECE for each in said),
        sum(each.id == wire.REJECT for each in said),
    )


async def test_a_choked_peer_is_told_that_it_gets_nothing(serving: Arena) -> None:
    others = [await _unchoked(serving, peer_id=b"-XX0000-takesaslot%02d" % n) for n in range(8)]
    peer = await serving.attacker()
    peer.send(wire.frame(wire.INTERESTED))
    granted = {(await peer.until(wire.ALLOWED_FAST)).numbers[0] for _ in range(7)}
    assert granted == set(range(7))  # a small torrent is granted whole
    plain = await serving.attacker(reserved=wire.PLAIN, peer_id=b"-XX0000-anotherpeer1")
    plain.send(wire.numbers(wire.REQUEST, 0, 0, BLOCK))  # nothing to answer, nothing to end
    peer.send(wire.numbers(wire.REQUEST, 3, 0, BLOCK))
    assert (await peer.until(wire.PIECE)).payload[8:] == serving.content.piece(3)[:BLOCK]
    for other in others:
        await other.close()
    await serving.honest_transfer()
    plain.send(wire.frame(wire.INTERESTED))
    await plain.until(wire.UNCHOKE)


async def test_a_flood_of_requests_is_bounded_and_answered(serving: Arena) -> None:
    """Everything beyond the queue is rejected; what was queued is served."""
    serving.torrent.set_limits(up=1)  # so that the queue fills
    peer = await _unchoked(serving)
    (live,) = [serving.torrent.live]
    assert live is not None
    count = 20 * QUEUE
    peer.send(*_many_requests(count))
    said = [await peer.next() for _ in range(count - QUEUE)]
    assert {each.id for each in said} <= {wire.REJECT, wire.PIECE, wire.ALLOWED_FAST}
    (theirs,) = live.peers.connected
    assert len(theirs.uploads) <= QUEUE
    serving.torrent.set_limits(up=0)
    await serving.honest_transfer()


async def test_requests_for_what_we_lack_are_refused(leeching: Arena) -> None:
    peer = await _unchoked(leeching)
    peer.send(*(wire.numbers(wire.REQUEST, index, 0, BLOCK) for index in range(6)))
    for index in range(6):
        assert (await peer.until(wire.REJECT)).numbers == (index, 0, BLOCK)
    plain = await leeching.attacker(reserved=wire.PLAIN, peer_id=b"-XX0000-anotherpeer1")
    plain.send(wire.numbers(wire.REQUEST, 0, 0, BLOCK))
    await leeching.honest_transfer()


async def test_who_does_not_read_gets_no_more_than_a_buffer_full(serving: Arena) -> None:
    peer = await _unchoked(serving)
    peer.writer.transport.pause_reading()
    live = serving.torrent.live
    assert live is not None
    (theirs,) = live.peers.connected
    peer.send(*_many_requests(20 * QUEUE))
    await peer.writer.drain()
    await serving.honest_transfer()
    assert theirs.connection.pending_bytes < 1 << 20
    assert len(theirs.uploads) <= QUEUE


async def test_who_asks_for_ever_and_never_reads_is_dropped(
    leeching: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rejects would pile up without bound."""
    monkeypatch.setattr(peer_module, "_MAX_UNSENT_BYTES", 64 * 1024)
    peer = await leeching.attacker(receive_bytes=4096)
    peer.writer.transport.pause_reading()
    flood = wire.numbers(wire.REQUEST, 0, 0, BLOCK) * 50_000
    with pytest.raises(ConnectionError):
        while True:
            peer.send(flood)
            await peer.writer.drain()
    await leeching.honest_transfer()


async def test_what_is_cancelled_is_not_sent(serving: Arena) -> None:
    serving.torrent.set_limits(up=1)  # what is sent at once cannot be cancelled
    peer = await _unchoked(serving)
    blocks = [(index, begin, BLOCK) for index in range(6) for begin in range(0, PIECE, BLOCK)]
    peer.send(*(wire.numbers(wire.REQUEST, *block) for block in blocks))
    peer.send(*(wire.numbers(wire.CANCEL, *block) for block in blocks))
    peer.send(wire.numbers(wire.CANCEL, 0, 0, 1))  # never asked for
    said = []
    while sum(_sent_and_rejected(said)) < len(blocks):
        said.append(await peer.next())
    sent, rejected = _sent_and_rejected(said)
    assert rejected >= len(blocks) - 8  # what one batch took at most
    assert sent + rejected == len(blocks)
    serving.torrent.set_limits(up=0)
    await serving.honest_transfer()


async def test_cancels_of_what_was_never_asked_change_nothing(serving: Arena) -> None:
    """Nearly as many as a peer may say at once: what it said before and after them is heeded."""
    serving.torrent.set_limits(up=1)
    peer = await _unchoked(serving)
    asked = [(n % 6, n // 6, BLOCK) for n in range(QUEUE)]
    peer.send(*(wire.numbers(wire.REQUEST, *block) for block in asked))
    peer.send(wire.numbers(wire.CANCEL, 0, 0, 1) * 9_000, wire.numbers(wire.CANCEL, *asked[-1]))
    assert (await peer.until(wire.REJECT)).numbers == asked[-1]
    serving.torrent.set_limits(up=0)
    await serving.honest_transfer()


async def test_losing_interest_drops_what_was_asked(serving: Arena) -> None:
    serving.torrent.set_limits(up=1)
    peer = await _unchoked(serving, reserved=wire.PLAIN)
    live = serving.torrent.live
    assert live is not None
    (theirs,) = live.peers.connected
    peer.send(*(wire.numbers(wire.REQUEST, n, 0, BLOCK) for n in range(6)))
    peer.send(wire.frame(wire.NOT_INTERESTED))
    await peer.until(wire.CHOKE)
    assert not theirs.uploads
    serving.torrent.set_limits(up=0)
    await serving.honest_transfer()


async def test_large_blocks_are_served_up_to_128_kib(serving: Arena) -> None:
    peer = await _unchoked(serving)
    peer.send(wire.numbers(wire.REQUEST, 1, 0, PIECE), wire.numbers(wire.REQUEST, 6, 1, 999))
    assert (await peer.until(wire.PIECE)).payload[8:] == serving.content.piece(1)
    assert (await peer.until(wire.PIECE)).payload[8:] == serving.content.piece(6)[1:]
    await serving.honest_transfer()
