"""Who asks for too much, or never reads, gets no more than there is for everybody."""

from __future__ import annotations

import pytest

from engine.torrent import peer as peer_module
from tests.end_to_end.hostile.arena import BLOCK, PIECE, QUEUE, Arena
from tests.fakes import scripted_peer as wire
from tests.fakes.scripted_peer import Said, ScriptedPeer


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


@pytest.mark.parametrize(
    "flood",
    [
        b"".join(wire.numbers(wire.REQUEST, n % 6, n, 1) for n in range(40_000)),
        wire.numbers(wire.REQUEST, 0, 0, BLOCK) * 40_000,
        b"".join(_many_requests(24)) * 1_500,
    ],
    ids=["a byte each", "one block for ever", "the same runs for ever"],
)
async def test_requests_of_which_nothing_comes_end_the_connection(
    serving: Arena, flood: bytes
) -> None:
    """One after the other, each costs as much as a block."""
    serving.torrent.set_limits(up=1)
    peer = await _unchoked(serving)
    peer.send(flood)
    await peer.hangup()
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
