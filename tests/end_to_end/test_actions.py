"""What a user does to a torrent, done to a whole engine: pause, resume, recheck, remove."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.core.metainfo import Metainfo
from engine.errors import DuplicateTorrentError
from engine.torrent.lifecycle import State
from tests.end_to_end.rig import endpoint_of, running, seeding, until, until_state
from tests.storage.torrents import Layout, sample

PIECE = 32 * 1024
RATE = 1024 * 1024


async def test_a_peer_named_later_is_dialled_at_once(tmp_path: Path) -> None:
    content = sample(300_000, PIECE)
    content.store(tmp_path / "source")
    metainfo = Metainfo(content.info)
    async with running() as seeder, running() as leecher:
        await seeding(seeder, metainfo, tmp_path / "source")
        torrent = await leecher.add(metainfo, save_path=tmp_path / "target", paused=True)
        torrent.add_peer(endpoint_of(seeder))
        assert torrent.state is State.PAUSED
        assert leecher.facilities.connections.dialling == 0
        torrent.start()
        await until_state(leecher, torrent, State.SEEDING)


async def test_pause_leaves_the_swarm_and_resume_goes_on_where_it_was(tmp_path: Path) -> None:
    content = sample(PIECE * 32, PIECE)
    content.store(tmp_path / "source")
    metainfo = Metainfo(content.info)
    async with running() as seeder, running() as leecher:
        await seeding(seeder, metainfo, tmp_path / "source")
        leecher.set_limits(down=RATE)
        torrent = await leecher.add(
            metainfo, save_path=tmp_path / "target", peers=[endpoint_of(seeder)]
        )
        for pieces in (5, 10, 15):
            await until(leecher, lambda: torrent.have.count >= pieces)  # noqa: B023
            torrent.pause()
            await until(seeder, lambda: seeder.facilities.connections.open == 0)
            await leecher.facilities.disk.settle()
            kept = torrent.have.count
            torrent.start()
            await until_state(leecher, torrent, State.DOWNLOADING)
            assert torrent.have.count == kept
        leecher.set_limits(down=0)
        await until_state(leecher, torrent, State.SEEDING)
        assert torrent.down_rate.total == content.info.total_length
        assert not any("checking" in text for _, _, text in torrent.log_lines)
    assert (tmp_path / "target" / "t").read_bytes() == content.data


async def test_pause_at_any_moment(tmp_path: Path) -> None:
    """While it is checked, dialled, greeted, and while its last piece is written."""
    content = sample(PIECE * 16, PIECE)
    content.store(tmp_path / "source")
    metainfo = Metainfo(content.info)
    async with running() as seeder, running() as leecher:
        await seeding(seeder, metainfo, tmp_path / "source")
        torrent = await leecher.add(
            metainfo, save_path=tmp_path / "target", peers=[endpoint_of(seeder)]
        )
        turns = 0
        while not torrent.is_complete:
            for _ in range(turns):
                await leecher.facilities.disk.run(lambda: None)  # some turns of the loop
            torrent.pause()
            torrent.start()
            turns += 1
        torrent.pause()
        await leecher.facilities.disk.settle()
        torrent.start()
        await until_state(leecher, torrent, State.SEEDING)
        assert torrent.completed_at is not None
        assert torrent.left == 0
    assert (tmp_path / "target" / "t").read_bytes() == content.data


async def test_recheck_finds_damage_and_the_download_repairs_it(tmp_path: Path) -> None:
    content = sample(PIECE * 16 + 5, PIECE)
    content.store(tmp_path / "source")
    content.store(tmp_path / "target")
    metainfo = Metainfo(content.info)
    damaged = bytearray(content.data)
    damaged[PIECE * 3] ^= 1
    damaged[-1] ^= 1
    async with running() as seeder, running() as leecher:
        await seeding(seeder, metainfo, tmp_path / "source")
        torrent = await seeding(leecher, metainfo, tmp_path / "target")
        (tmp_path / "target" / "t").write_bytes(damaged)
        torrent.recheck()
        assert torrent.state is State.CHECKING
        await until_state(leecher, torrent, State.DOWNLOADING)
        assert list(torrent.have.missing()) == [3, 16]
        assert torrent.left == PIECE + 5
        torrent.add_peer(endpoint_of(seeder))
        await until_state(leecher, torrent, State.SEEDING)
        assert torrent.down_rate.total == PIECE + 5
        assert (tmp_path / "target" / "t").read_bytes() == content.data
        torrent.pause()
        torrent.recheck()  # of a paused torrent leaves it paused
        await until(leecher, lambda: torrent.state is State.PAUSED)
        assert torrent.is_complete


async def test_a_recheck_while_pieces_are_written_counts_them(tmp_path: Path) -> None:
    content = sample(PIECE * 32, PIECE)
    content.store(tmp_path / "source")
    metainfo = Metainfo(content.info)
    async with running() as seeder, running() as leecher:
        await seeding(seeder, metainfo, tmp_path / "source")
        torrent = await leecher.add(
            metainfo, save_path=tmp_path / "target", peers=[endpoint_of(seeder)]
        )
        await until(leecher, lambda: torrent.have.count >= 3)
        while not torrent.is_complete:
            torrent.recheck()
            await until(leecher, lambda: torrent.state.is_running)
            assert torrent.have_bytes == torrent.have.count * PIECE
            have = torrent.have.count
            await until(leecher, lambda: torrent.is_complete or torrent.have.count > have)  # noqa: B023
        await until_state(leecher, torrent, State.SEEDING)
        assert torrent.have_bytes == content.info.total_length


@pytest.mark.parametrize("while_downloading", [False, True])
async def test_removal_with_data_takes_only_its_own_files(
    while_downloading: bool, tmp_path: Path
) -> None:
    content = sample([Layout("a", 400_000), Layout("b/c", 400_000)], PIECE)
    content.store(tmp_path / "source")
    metainfo = Metainfo(content.info)
    target = tmp_path / "target"
    (target / "t" / "b").mkdir(parents=True)
    (target / "t" / "b" / "mine").write_bytes(b"keep")
    (target / "other").write_bytes(b"keep")
    async with running() as seeder, running(state_dir=tmp_path) as leecher:
        await seeding(seeder, metainfo, tmp_path / "source")
        torrent = await leecher.add(metainfo, save_path=target, peers=[endpoint_of(seeder)])
        if while_downloading:
            await until(leecher, lambda: torrent.have.count > 2)
        else:
            await until_state(leecher, torrent, State.SEEDING)
        with pytest.raises(DuplicateTorrentError):
            await leecher.add(metainfo, save_path=target)
        await leecher.remove(torrent, delete_data=True)
        left = sorted(
            str(Path(folder, name).relative_to(target))
            for folder, _, names in os.walk(target)
            for name in names
        )
        assert left == ["other", "t/b/mine"]
        assert not leecher.torrents
        again = await leecher.add(metainfo, save_path=target, peers=[endpoint_of(seeder)])
        await until_state(leecher, again, State.SEEDING)
    async with running(state_dir=tmp_path) as leecher:
        (again,) = leecher.torrents.values()
        await until_state(leecher, again, State.SEEDING)
        assert not again.down_rate.rate


async def test_removal_without_data_keeps_the_files(tmp_path: Path) -> None:
    content = sample(PIECE * 3, PIECE)
    content.store(tmp_path)
    async with running(state_dir=tmp_path / "state") as session:
        torrent = await seeding(session, Metainfo(content.info), tmp_path)
        await session.remove(torrent)
    assert (tmp_path / "t").read_bytes() == content.data
    async with running(state_dir=tmp_path / "state") as session:
        assert not session.torrents
