"""Rate limits hold: of the session and of one torrent, up and down, and when they are changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.metainfo import Metainfo
from engine.net.connection import Transport
from engine.torrent.lifecycle import State
from tests.end_to_end.rig import LOOPBACK, endpoint_of, running, seeding, until, until_state
from tests.fakes import scripted_peer as wire
from tests.fakes.scripted_peer import ScriptedPeer
from tests.storage.torrents import sample

KIB = 1024
RATE = 800 * KIB
WINDOW_BYTES = 500 * KIB


@pytest.mark.parametrize("direction", ["down", "up"])
@pytest.mark.parametrize("scope", ["session", "torrent"])
async def test_a_limit_is_kept_and_reached(direction: str, scope: str, tmp_path: Path) -> None:
    """Measured on the engine's own clock, over bytes that it counted, behind the first burst."""
    content = sample(2048 * KIB, 128 * KIB)
    content.store(tmp_path / "source")
    metainfo = Metainfo(content.info)
    async with running() as seeder, running() as leecher:
        source = await seeding(seeder, metainfo, tmp_path / "source")
        target = await leecher.add(metainfo, save_path=tmp_path / "target")
        session, torrent = (leecher, target) if direction == "down" else (seeder, source)
        limited = session if scope == "session" else torrent
        limited.set_limits(**{direction: RATE})
        target.add_peer(endpoint_of(seeder))
        clock = leecher.facilities.loop.time
        await until(leecher, lambda: target.down_rate.total > 256 * KIB)
        began, before = clock(), target.down_rate.total
        await until(leecher, lambda: target.down_rate.total - before > WINDOW_BYTES)
        measured = (target.down_rate.total - before) / (clock() - began)
        assert measured < 1.3 * RATE
        assert measured > 0.5 * RATE
        limited.set_limits(**{direction: 0})
        await until_state(leecher, target, State.SEEDING)
    assert (tmp_path / "target" / "t").read_bytes() == content.data


async def test_a_limit_that_is_lifted_lets_those_go_who_waited_for_it(tmp_path: Path) -> None:
    """Not after the debt is paid at the old rate, which would take a quarter of an hour."""
    content = sample(600 * KIB, 64 * KIB)
    content.store(tmp_path / "source")
    metainfo = Metainfo(content.info)
    async with running() as seeder, running() as leecher:
        await seeding(seeder, metainfo, tmp_path / "source")
        seeder.set_limits(up=1 * KIB)
        torrent = await leecher.add(
            metainfo, save_path=tmp_path / "target", peers=[endpoint_of(seeder)]
        )
        await until(leecher, lambda: torrent.down_rate.total > 0)
        assert torrent.state is State.DOWNLOADING
        seeder.set_limits(up=0)
        await until_state(leecher, torrent, State.SEEDING)


async def test_two_torrents_share_the_limit_of_the_session(tmp_path: Path) -> None:
    one, other = sample(600 * KIB, 64 * KIB, name="a"), sample(600 * KIB, 64 * KIB, name="b")
    async with running() as seeder, running() as leecher:
        leecher.set_limits(down=RATE)
        torrents = []
        for content in (one, other):
            content.store(tmp_path / "source")
            await seeding(seeder, Metainfo(content.info), tmp_path / "source")
            torrents.append(
                await leecher.add(
                    Metainfo(content.info),
                    save_path=tmp_path / "target",
                    peers=[endpoint_of(seeder)],
                )
            )
        await until(leecher, lambda: leecher.down_rate.total > 600 * KIB)
        assert all(torrent.down_rate.total > 150 * KIB for torrent in torrents)
        leecher.set_limits(down=0)
        for torrent in torrents:
            await until_state(leecher, torrent, State.SEEDING)


async def test_messages_of_others_do_not_wait_behind_a_fast_seed(tmp_path: Path) -> None:
    """One seed fills the limit over uTP; what ten others say by TCP is heard at once."""
    content = sample(8192 * KIB, 256 * KIB)
    content.store(tmp_path / "source")
    metainfo = Metainfo(content.info)
    utp = replace(LOOPBACK, transports=frozenset({Transport.UTP}))
    async with running(utp) as seeder, running() as leecher:
        await seeding(seeder, metainfo, tmp_path / "source")
        leecher.set_limits(down=100 * KIB)
        torrent = await leecher.add(
            metainfo, save_path=tmp_path / "target", peers=[endpoint_of(seeder)]
        )
        await until(leecher, lambda: torrent.down_rate.total > 100 * KIB)
        visitors = []
        for number in range(10):
            visitor = await ScriptedPeer.meet(
                endpoint_of(leecher), bytes(torrent.info_hash), peer_id=b"-XX0000-%012d" % number
            )
            visitor.send(wire.frame(wire.HAVE_NONE), wire.frame(wire.INTERESTED))
            visitors.append(visitor)
        clock = leecher.facilities.loop.time
        began, before = clock(), torrent.down_rate.total
        live = torrent.wake()
        await until(leecher, lambda: sum(peer.is_interested for peer in live.peers.connected) == 10)
        assert clock() - began < 3
        await until(leecher, lambda: torrent.down_rate.total - before > 200 * KIB)
        assert clock() - began < 8, "and the seed still fills the limit"
        for visitor in visitors:
            await visitor.close()
