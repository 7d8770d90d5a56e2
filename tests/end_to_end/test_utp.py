"""Engines that speak uTP with each other: alone, beside TCP, under a limit, under fire."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.compact import Endpoint
from engine.core.metainfo import Metainfo
from engine.net.connection import Encryption, Transport
from engine.swarm import uptake
from engine.torrent import live
from engine.torrent.facilities import Limits
from engine.torrent.lifecycle import State
from engine.torrent.peer_flags import peer_flags
from engine.wire.encryption_policy import Wish
from tests.end_to_end.encrypted_rig import watch, wishing
from tests.end_to_end.rig import LOOPBACK, endpoint_of, running, seeding, until, until_state
from tests.fakes import scripted_peer as wire
from tests.net.utp_rig import Handler, Port, ports
from tests.storage.torrents import sample

UTP_ONLY = replace(LOOPBACK, transports=frozenset({Transport.UTP}))
TCP_ONLY = replace(LOOPBACK, transports=frozenset({Transport.TCP}))


async def test_a_download_over_utp_alone(tmp_path: Path) -> None:
    content = sample(20_000_000, 262_144)
    content.store(tmp_path / "seed")
    metainfo = Metainfo(content.info)
    async with running(UTP_ONLY) as seed, running(UTP_ONLY) as leech:
        await seeding(seed, metainfo, tmp_path / "seed")
        torrent = await leech.add(metainfo, save_path=tmp_path / "leech", peers=[endpoint_of(seed)])
        await until(leech, lambda: bool(torrent.live and torrent.live.peers.connected))
        peer = next(iter(torrent.live.peers.connected))
        assert peer.connection.transport is Transport.UTP
        assert "P" in peer_flags(peer)
        assert not seed.incoming.listener.endpoints, "nothing listens for TCP"
        await until_state(leech, torrent, State.SEEDING)
    assert (tmp_path / "leech" / "t").read_bytes() == content.data


async def test_an_encrypted_download_over_utp(tmp_path: Path) -> None:
    content = sample(3_000_000, 65_536)
    content.store(tmp_path / "seed")
    metainfo = Metainfo(content.info)
    options = wishing(Wish.REQUIRED, options=UTP_ONLY)
    async with running(options) as seed, running(options) as leech:
        seen = watch(leech)
        await seeding(seed, metainfo, tmp_path / "seed")
        torrent = await leech.add(metainfo, save_path=tmp_path / "leech", peers=[endpoint_of(seed)])
        await until_state(leech, torrent, State.SEEDING)
        assert seen == {(Encryption.ALL, False)}
    assert (tmp_path / "leech" / "t").read_bytes() == content.data


async def test_who_speaks_both_is_reached_by_those_who_speak_one(tmp_path: Path) -> None:
    content = sample(3_000_000, 65_536)
    content.store(tmp_path / "seed")
    metainfo = Metainfo(content.info)
    async with (
        running() as seed,
        running(UTP_ONLY) as by_utp,
        running(TCP_ONLY) as by_tcp,
        running() as by_both,
    ):
        await seeding(seed, metainfo, tmp_path / "seed")
        for n, leech in enumerate((by_utp, by_tcp, by_both)):
            torrent = await leech.add(
                metainfo, save_path=tmp_path / str(n), peers=[endpoint_of(seed)]
            )
            await until_state(leech, torrent, State.SEEDING)


async def test_a_seed_that_only_utp_reaches_is_found_by_it(tmp_path: Path) -> None:
    content = sample(500_000, 65_536)
    content.store(tmp_path / "seed")
    metainfo = Metainfo(content.info)
    async with running(UTP_ONLY) as seed, running() as leech:
        await seeding(seed, metainfo, tmp_path / "seed")
        torrent = await leech.add(metainfo, save_path=tmp_path / "leech", peers=[endpoint_of(seed)])
        await until_state(leech, torrent, State.SEEDING)


async def test_under_an_upload_limit_tcp_and_utp_both_get_their_share(tmp_path: Path) -> None:
    content = sample(40_000_000, 65_536)
    content.store(tmp_path / "seed")
    metainfo = Metainfo(content.info)
    limited = replace(LOOPBACK, up_limit=4_000_000)
    async with (
        running(limited) as seed,
        running(UTP_ONLY) as by_utp,
        running(TCP_ONLY) as by_tcp,
    ):
        await seeding(seed, metainfo, tmp_path / "seed")
        rows = []
        for n, leech in enumerate((by_utp, by_tcp)):
            rows.append(
                await leech.add(metainfo, save_path=tmp_path / str(n), peers=[endpoint_of(seed)])
            )
        await until(seed, lambda: seed.uploaded > 10_000_000, "10 MB went out")
        got = [row.down_rate.total for row in rows]
        assert min(got) > 0.25 * sum(got), got


_UNCHOKED = wire.frame(wire.UNCHOKE)


async def _customer(port: Port, at: Endpoint, info_hash: bytes, name: bytes) -> Handler:
    """Greet over uTP and show interest."""
    customer = Handler(await port.utp.dial(at, 5))
    customer.stream.write(wire.PROTOCOL + wire.PLAIN + info_hash + b"-XX0000-" + name * 12)
    customer.stream.write(wire.frame(wire.INTERESTED))
    return customer


async def _is_unchoked(customer: Handler) -> None:
    async with asyncio.timeout(20):
        while _UNCHOKED not in customer.data:
            await customer.has(len(customer.data) + 1)


async def test_who_closes_its_window_keeps_no_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks, and takes nothing; it loses its turn after one round of the choker."""
    monkeypatch.setattr(live, "CHOKE_ROUND_S", 1.0)
    monkeypatch.setattr(uptake, "PATIENCE_S", 0.9)
    content = sample(2_000_000, 262_144)
    content.store(tmp_path / "seed")
    metainfo = Metainfo(content.info)
    options = replace(UTP_ONLY, limits=Limits(upload_slots=1))
    async with running(options) as seed, ports() as (here, there):
        torrent = await seeding(seed, metainfo, tmp_path / "seed")
        at, info_hash = endpoint_of(seed), bytes(torrent.info_hash)
        deaf = await _customer(here, at, info_hash, b"D")
        await _is_unchoked(deaf)
        deaf.quota = 0
        (peer,) = torrent.live.peers.connected
        blocks = [(n // 16, n % 16 * 16384, 16384) for n in range(100)]
        deaf.stream.write(b"".join(wire.numbers(wire.REQUEST, *block) for block in blocks))
        await until(seed, lambda: peer.connection.pending_bytes > 0)
        honest = await _customer(there, at, info_hash, b"H")
        await _is_unchoked(honest)
        assert peer.is_choked
        assert peer.comes_last
        assert not peer.uploads


def _noise(rng: random.Random) -> bytes:
    return bytes((rng.choice((0x01, 0x11, 0x21, 0x31, 0x41)),)) + rng.randbytes(rng.randrange(80))


async def test_a_port_under_fire_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = sample(5_000_000, 65_536)
    content.store(tmp_path / "seed")
    metainfo = Metainfo(content.info)
    rng = random.Random(9)
    with caplog.at_level(logging.WARNING), socket.socket(type=socket.SOCK_DGRAM) as stranger:
        async with running(UTP_ONLY) as seed, running(UTP_ONLY) as leech:
            await seeding(seed, metainfo, tmp_path / "seed")
            torrent = await leech.add(
                metainfo, save_path=tmp_path / "leech", peers=[endpoint_of(seed)]
            )
            done = asyncio.ensure_future(until_state(leech, torrent, State.SEEDING))
            while not done.done():
                for session in (seed, leech):
                    for _ in range(50):
                        stranger.sendto(_noise(rng), endpoint_of(session))
                    # Forged: from the very address that the other one knows.
                    other = leech if session is seed else seed
                    other.udp.send(_noise(rng)[:19], endpoint_of(session))
                await asyncio.sleep(0.01)
            await done
            assert seed.utp is not None
            assert seed.utp.counters.malformed or seed.utp.counters.unknown
    assert not caplog.records
    assert (tmp_path / "leech" / "t").read_bytes() == content.data
