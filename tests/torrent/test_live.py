"""The live part of a torrent: there while it is needed, gone without a trace when it is not."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import pytest

from engine.torrent.lifecycle import State
from engine.torrent.upload import Upload
from tests.fakes import scripted_peer as wire
from tests.torrent.one_torrent import ALL, BLOCK, PIECES, one_torrent


async def test_a_seed_without_visitors_has_none_until_one_comes(tmp_path: Path) -> None:
    async with one_torrent(tmp_path, has=True) as one:
        assert one.torrent.live is None
        visitor = await one.visitor()
        assert one.torrent.live is not None
        assert one.live.idle_since is None
        await visitor.close()
        await one.until(lambda: not one.live.peers.connected)
        now = one.session.facilities.loop.time()
        assert one.torrent.tick(now, 1.0)
        assert one.torrent.live is not None
        one.live.idle_since = now - 60.0
        one.torrent.tick(now, 1.0)
        assert one.torrent.live is None


async def test_a_download_stays_in_its_swarm(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        assert one.torrent.tick(one.session.facilities.loop.time() + 1e6, 1.0)
        assert one.torrent.live is not None


async def test_closing_gives_everything_back(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        visitor = await one.visitor(has=ALL)
        visitor.send(wire.frame(wire.UNCHOKE))
        visitor.send(one.block(*(await visitor.until(wire.REQUEST)).numbers))
        await visitor.until(wire.REQUEST)
        facilities = one.session.facilities
        await one.until(lambda: one.torrent.down_rate.total > 0)
        assert facilities.buffers.count
        live = weakref.ref(one.live)
        assert one.live.is_running
        assert one.live.is_downloading
        one.torrent.pause()
        await facilities.disk.settle()
        await visitor.hangup()
        assert (facilities.buffers.count, facilities.connections.open) == (0, 0)
        gc.collect()
        still = live()
        assert still is None or still.is_closed


async def test_rounds_of_choking_come_every_ten_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[Upload] = []
    monkeypatch.setattr(Upload, "rechoke", lambda each: rounds.append(each))  # noqa: PLW0108 - a method
    async with one_torrent(tmp_path) as one:
        now = one.session.facilities.loop.time()
        for second in range(1, 62):
            one.live.tick(now + second)
        assert 5 <= len(rounds) <= 7


async def test_wasted_bytes_outlive_it(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        one.live.download.picker.duplicate_bytes += 500
        assert one.torrent.wasted_bytes == 500
        one.torrent.pause()
        assert one.torrent.wasted_bytes == 500
        one.torrent.start()
        await one.until(lambda: one.torrent.state is State.DOWNLOADING)
        assert one.torrent.wasted_bytes == 500


async def test_no_rate_outlives_the_download(tmp_path: Path) -> None:
    """Neither that of the torrent nor its part of the session's, nor what late blocks make."""
    async with one_torrent(tmp_path) as one:
        giver = await one.visitor(has=ALL)
        giver.send(wire.frame(wire.UNCHOKE))
        rates = one.torrent.down_rate, one.session.down_rate, one.known().down
        left = 2 * PIECES - 1
        async for said in giver.messages():
            if said.id != wire.REQUEST:
                continue
            left -= 1
            if left == 1:
                await one.until(lambda: one.torrent.have.count > 0)
                for rate in rates:
                    assert rate.update(one.live.now() + 1) > 0
            giver.send(one.block(*said.numbers))
        await one.until(lambda: one.torrent.state is State.SEEDING)
        assert [rate.rate for rate in rates[:2]] == [0, 0]
        for rate in rates[:2]:
            rate.add(BLOCK)
        one.torrent.tick(one.session.facilities.loop.time() + 5, 1.0)
        one.session.down_rate.update(one.session.facilities.loop.time() + 5)
        assert [rate.rate for rate in rates[:2]] == [0, 0]
