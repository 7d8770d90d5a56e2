"""Encrypted connections between engines, and peers that misuse the handshake: over real sockets."""

from __future__ import annotations

import asyncio
import logging
import random
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.magnet import Magnet
from engine.core.metainfo import Metainfo
from engine.net import encrypted_start
from engine.net.connection import Encryption
from engine.session.session import Session
from engine.torrent.lifecycle import State
from engine.torrent.peer_flags import peer_flags
from engine.torrent.torrent import Torrent
from engine.wire.encryption_policy import Level, Wish
from tests.end_to_end.encrypted_rig import watch, wishing
from tests.end_to_end.rig import endpoint_of, running, seeding, until, until_state
from tests.fakes import scripted_peer as wire
from tests.fakes.mse_by_hand import Mse
from tests.fakes.scripted_peer import HungUpError, ScriptedPeer, listening
from tests.storage.torrents import Sample, sample

PIECE = 65536
NONE, HANDSHAKE, ALL = Encryption.NONE, Encryption.HANDSHAKE, Encryption.ALL

MEETINGS: dict[tuple[Wish, Wish], Encryption | None] = {
    (Wish.DISABLED, Wish.DISABLED): NONE,
    (Wish.DISABLED, Wish.ALLOWED): NONE,
    (Wish.DISABLED, Wish.PREFERRED): NONE,
    (Wish.DISABLED, Wish.REQUIRED): None,
    (Wish.ALLOWED, Wish.DISABLED): NONE,
    (Wish.ALLOWED, Wish.ALLOWED): NONE,
    (Wish.ALLOWED, Wish.PREFERRED): NONE,
    (Wish.ALLOWED, Wish.REQUIRED): ALL,  # hung up on at first
    (Wish.PREFERRED, Wish.DISABLED): NONE,  # likewise
    (Wish.PREFERRED, Wish.ALLOWED): HANDSHAKE,  # who is called selects
    (Wish.PREFERRED, Wish.PREFERRED): ALL,
    (Wish.PREFERRED, Wish.REQUIRED): ALL,
    (Wish.REQUIRED, Wish.DISABLED): None,
    (Wish.REQUIRED, Wish.ALLOWED): ALL,
    (Wish.REQUIRED, Wish.PREFERRED): ALL,
    (Wish.REQUIRED, Wish.REQUIRED): ALL,
}
"""(who calls, who is called) → how they are connected, None: not at all."""


@pytest.fixture(autouse=True)
def nothing_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever peers do, it is worth a debug line; torrents say how they get on."""
    caplog.set_level(logging.DEBUG)
    yield
    loud = [
        record.getMessage()
        for when in ("setup", "call")
        for record in caplog.get_records(when)
        if record.levelno > logging.INFO
        or (record.levelno == logging.INFO and record.name != "engine.torrent.torrent")
    ]
    assert not loud


def content_of(folder: Path, size: int = PIECE * 6 + 1000) -> Sample:
    content = sample(size, PIECE)
    content.store(folder)
    return content


def has_failed(torrent: Torrent) -> bool:
    """All addresses were tried and did not answer."""
    known = torrent.live.peers.known if torrent.live else None
    return known is not None and len(known) > 0 and not known.endpoints()


# ── engines among themselves ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("calls", "called"), MEETINGS, ids=[" calls ".join(pair) for pair in MEETINGS]
)
async def test_who_meets_whom(tmp_path: Path, calls: Wish, called: Wish) -> None:
    content = content_of(tmp_path / "source")
    metainfo = Metainfo(content.info)
    async with running(wishing(called)) as seeder, running(wishing(calls)) as leecher:
        seen = watch(leecher)
        await seeding(seeder, metainfo, tmp_path / "source")
        torrent = await leecher.add(
            metainfo, save_path=tmp_path / "target", peers=[endpoint_of(seeder)]
        )
        expected = MEETINGS[calls, called]
        if expected is None:
            await until(leecher, lambda: has_failed(torrent))
            assert not seen
            return
        await until_state(leecher, torrent, State.SEEDING)
        assert seen == {(expected, False)}
        assert (tmp_path / "target" / "t").read_bytes() == content.data
        await until(seeder, lambda: not seeder.facilities.connections.open)
        await until(leecher, lambda: not leecher.facilities.connections.open)


@pytest.mark.parametrize(
    ("calls", "called", "expected"),
    [
        (Level.RC4, Level.PLAINTEXT, ALL),
        (Level.PLAINTEXT, Level.RC4, ALL),
        (Level.PLAINTEXT, Level.PLAINTEXT, HANDSHAKE),
    ],
)
async def test_levels_where_encryption_is_required(
    tmp_path: Path, calls: Level, called: Level, expected: Encryption
) -> None:
    content = content_of(tmp_path / "source")
    metainfo = Metainfo(content.info)
    async with (
        running(wishing(Wish.REQUIRED, called)) as seeder,
        running(wishing(Wish.REQUIRED, calls)) as leecher,
    ):
        seen = watch(leecher)
        await seeding(seeder, metainfo, tmp_path / "source")
        torrent = await leecher.add(
            metainfo, save_path=tmp_path / "target", peers=[endpoint_of(seeder)]
        )
        await until_state(leecher, torrent, State.SEEDING)
        assert seen == {(expected, False)}
        assert (tmp_path / "target" / "t").read_bytes() == content.data


async def test_what_worked_is_remembered_and_shown(tmp_path: Path) -> None:
    content = content_of(tmp_path / "source")
    metainfo = Metainfo(content.info)
    async with running(wishing(Wish.REQUIRED)) as seeder, running() as leecher:
        await seeding(seeder, metainfo, tmp_path / "source")
        leecher.set_limits(down=1)  # it stays a leecher
        torrent = await leecher.add(
            metainfo, save_path=tmp_path / "target", peers=[endpoint_of(seeder)]
        )
        await until(leecher, lambda: bool(torrent.live and torrent.live.peers.connected))
        assert torrent.live is not None
        known = torrent.live.peers.known
        assert known.encrypts(endpoint_of(seeder)) is True
        (peer,) = torrent.live.peers.connected
        assert "E" in peer_flags(peer)
        assert leecher.facilities.connections.open == 1


async def test_metadata_comes_over_encrypted_connections(tmp_path: Path) -> None:
    content = content_of(tmp_path / "source")
    metainfo = Metainfo(content.info)
    options = wishing(Wish.REQUIRED)
    async with running(options) as seeder, running(options) as leecher:
        seen = watch(leecher)
        await seeding(seeder, metainfo, tmp_path / "source")
        link = Magnet(content.info.info_hash, peers=(endpoint_of(seeder),))
        torrent = await leecher.add(link, save_path=tmp_path / "target")
        await until_state(leecher, torrent, State.SEEDING)
        assert {encryption for encryption, _ in seen} == {ALL}
        assert (tmp_path / "target" / "t").read_bytes() == content.data


async def test_uploads_from_cold_files_and_warm_ones_keep_their_order(tmp_path: Path) -> None:
    """Four leechers of one seeder, who serve each other too: all slabs are used many times."""
    content = content_of(tmp_path / "source", PIECE * 300 + 77)
    metainfo = Metainfo(content.info)
    options = wishing(Wish.REQUIRED)
    async with (
        running(options) as seeder,
        running(options) as one,
        running(options) as two,
        running(options) as three,
    ):
        await seeding(seeder, metainfo, tmp_path / "source")
        torrents = []
        peers = [endpoint_of(seeder)]
        for number, leecher in enumerate((one, two, three)):
            torrent = await leecher.add(
                metainfo, save_path=tmp_path / str(number), peers=list(peers)
            )
            peers.append(endpoint_of(leecher))
            torrents.append((leecher, torrent))
        for number, (leecher, torrent) in enumerate(torrents):
            await until_state(leecher, torrent, State.SEEDING)
            assert (tmp_path / str(number) / "t").read_bytes() == content.data
        assert seeder.facilities.slabs.in_use == 0


# ── who misuses it ──────────────────────────────────────────────────────────────────────────────


async def serving(session: Session, folder: Path) -> Sample:
    content = content_of(folder)
    await seeding(session, Metainfo(content.info), folder)
    return content


async def met(session: Session, skey: bytes) -> tuple[ScriptedPeer, Mse]:
    """A caller by hand that has heard the engine's public key."""
    peer = await ScriptedPeer.dial(endpoint_of(session))
    caller = Mse(skey, calls=True)
    peer.send(caller.public)
    caller.agree(await peer.read(96))
    return peer, caller


async def test_a_client_by_hand_is_served(tmp_path: Path) -> None:
    """In small parts, with much padding, and with its handshake as initial payload."""
    async with running() as session:
        content = await serving(session, tmp_path)
        info_hash = bytes(content.info.info_hash)
        peer, caller = await met(session, info_hash)
        hello = wire.PROTOCOL + wire.ALL + info_hash + b"-XX0000-scriptedpeer"
        request = bytes(512) + caller.request(provide=2, padding=bytes(512), initial=hello)
        for at in range(0, len(request), 100):
            peer.send(request[at : at + 100])
            await peer.writer.drain()
        said = await peer.read(8)
        answer = caller.decipher(bytes(8))
        while not said.endswith(answer):
            said += await peer.read(1)
        head = caller.decipher(await peer.read(6))
        method, padding = struct.unpack(">IH", head)
        assert method == 2
        caller.decipher(await peer.read(padding))
        theirs = caller.decipher(await peer.read(68))
        assert theirs[:20] == wire.PROTOCOL
        assert theirs[28:48] == info_hash
        await peer.close()
        await until(session, lambda: not session.facilities.connections.open)


@pytest.mark.parametrize("what", ["constant", "padding", "method", "torrent", "payload"])
async def test_a_wrong_handshake_ends_the_connection(tmp_path: Path, what: str) -> None:
    async with running() as session:
        content = await serving(session, tmp_path)
        skey = bytes(20) if what == "torrent" else bytes(content.info.info_hash)
        peer, caller = await met(session, skey)
        said = {
            "constant": lambda: caller.request(vc=b"12345678"),
            "padding": lambda: caller.request(padding_length=60_000),
            "method": lambda: caller.request(provide=4),
            "torrent": caller.request,
            "payload": lambda: caller.request(initial=b"GET / HTTP/1.1\r\n\r\n"),
        }[what]()
        peer.send(said)
        await peer.hangup()
        await peer.close()
        await until(session, lambda: not session.facilities.connections.open)
        assert not session.incoming._greeting


async def test_a_flood_of_junk_costs_its_connections(tmp_path: Path) -> None:
    rng = random.Random(3)
    async with running() as session:
        content = await serving(session, tmp_path / "source")

        async def flood(_: int) -> None:
            peer = await ScriptedPeer.dial(endpoint_of(session))
            try:
                for _ in range(40):
                    peer.send(rng.randbytes(rng.choice((1, 95, 97, 4000))))
                    await peer.writer.drain()
                await peer.hangup()
            except (ConnectionError, HungUpError):
                pass
            await peer.close()

        await asyncio.gather(*(flood(number) for number in range(100)))
        await until(session, lambda: not session.facilities.connections.open)
        async with running(wishing(Wish.REQUIRED)) as leecher:
            torrent = await leecher.add(
                Metainfo(content.info), save_path=tmp_path / "t", peers=[endpoint_of(session)]
            )
            await until_state(leecher, torrent, State.SEEDING)


async def test_who_stalls_is_dropped_and_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encrypted_start, "START_TIMEOUT_S", 0.5)
    async with running() as session:
        content = await serving(session, tmp_path)
        info_hash = bytes(content.info.info_hash)
        stalled = []
        for said in (b"", b"\x13", b"\xff" * 95):
            peer = await ScriptedPeer.dial(endpoint_of(session))
            peer.send(said)
            stalled.append(peer)
        for cut in (0, 20, 45):
            peer, caller = await met(session, info_hash)
            peer.send(caller.request()[:cut])
            stalled.append(peer)
        for peer in stalled:
            await peer.hangup()
            await peer.close()
        await until(session, lambda: not session.facilities.connections.open)


async def test_who_is_called_may_misbehave(tmp_path: Path) -> None:
    """Junk, silence up to the end, and a method that was not offered: the call has failed."""
    content = sample(1000)
    skey = bytes(content.info.info_hash)

    async def junk(peer: ScriptedPeer) -> None:
        await peer.read(96)
        peer.send(b"\x99" * 5000)
        await peer.hangup()

    async def unoffered(peer: ScriptedPeer) -> None:
        called = Mse(skey, calls=False)
        called.agree(await peer.read(96))
        peer.send(called.public + called.answer(select=1))
        await peer.hangup()

    async def gone(peer: ScriptedPeer) -> None:
        await peer.read(96)

    async with (
        listening(junk) as one,
        listening(unoffered) as two,
        listening(gone) as three,
        running(replace(wishing(Wish.REQUIRED))) as session,
    ):
        torrent = await session.add(
            Metainfo(content.info), save_path=tmp_path, peers=[one, two, three]
        )
        await until(session, lambda: has_failed(torrent))
        await until(session, lambda: not session.facilities.connections.open)
