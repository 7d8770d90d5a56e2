"""What a stop keeps: verified pieces, and the blocks of pieces that were not complete yet."""

from __future__ import annotations

import os
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.metainfo import Metainfo
from engine.session.state_db import Changes
from engine.torrent.lifecycle import State
from engine.torrent.resume import COMMIT_GRACE_S
from tests.end_to_end.rig import LOOPBACK, endpoint_of, running, seeding, until, until_state
from tests.storage.torrents import sample

MIB = 1024 * 1024


async def test_the_blocks_of_an_incomplete_piece_are_not_fetched_again(tmp_path: Path) -> None:
    content = sample(2 * MIB, MIB)
    content.store(tmp_path / "source")
    metainfo = Metainfo(content.info)
    slow = replace(LOOPBACK, down_limit=512 * 1024)
    async with running() as seeder:
        await seeding(seeder, metainfo, tmp_path / "source")
        async with running(slow, state_dir=tmp_path) as leecher:
            torrent = await leecher.add(
                metainfo, save_path=tmp_path / "target", peers=[endpoint_of(seeder)]
            )
            await until(leecher, lambda: torrent.down_rate.total > 300_000)
            assert not torrent.have.count
        async with running(state_dir=tmp_path) as leecher:
            torrent = leecher.torrents[metainfo.info_hash]
            assert torrent.down_rate.total > 300_000
            await until_state(leecher, torrent, State.SEEDING)
            assert torrent.down_rate.total == 2 * MIB
    assert (tmp_path / "target" / "t").read_bytes() == content.data


async def test_a_paused_torrent_keeps_the_blocks_too(tmp_path: Path) -> None:
    content = sample(2 * MIB, 2 * MIB)
    content.store(tmp_path / "source")
    metainfo = Metainfo(content.info)
    async with running() as seeder, running(LOOPBACK, state_dir=tmp_path) as leecher:
        await seeding(seeder, metainfo, tmp_path / "source")
        leecher.set_limits(down=512 * 1024)
        torrent = await leecher.add(
            metainfo, save_path=tmp_path / "target", peers=[endpoint_of(seeder)]
        )
        await until(leecher, lambda: torrent.down_rate.total > 300_000)
        torrent.pause()
        assert torrent.live is None
        leecher.set_limits(down=0)
        torrent.start()
        await until_state(leecher, torrent, State.SEEDING)
        assert torrent.down_rate.total == 2 * MIB
        assert torrent.wasted_bytes == 0


async def test_a_file_cut_by_somebody_else_costs_the_torrent_until_it_is_resumed(
    tmp_path: Path,
) -> None:
    content = sample(2 * MIB, MIB // 4)
    content.store(tmp_path / "source")
    metainfo = Metainfo(content.info)
    target = tmp_path / "target" / "t"
    target.parent.mkdir()
    # The last piece is there already, so that no write makes the cut file long enough again.
    target.write_bytes(bytes(2 * MIB - MIB // 4) + content.piece(7))
    async with running() as seeder, running(replace(LOOPBACK, down_limit=2 * MIB)) as leecher:
        await seeding(seeder, metainfo, tmp_path / "source")
        torrent = await leecher.add(metainfo, save_path=target.parent, peers=[endpoint_of(seeder)])
        await until(leecher, lambda: torrent.have.count >= 3)
        with target.open("r+b") as file:
            file.truncate(MIB // 8)
        await until_state(leecher, torrent, State.ERROR)
        assert "cut short" in torrent.error
        torrent.start()
        await until_state(leecher, torrent, State.SEEDING)
    assert target.read_bytes() == content.data


async def test_what_could_not_be_committed_is_found_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state file had no room for longer than its last commit explains."""
    content = sample(2 * MIB, MIB // 16)
    content.store(tmp_path / "source")
    metainfo = Metainfo(content.info)
    file = tmp_path / "target" / "t"

    def full(_: Changes) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    async with running() as seeder, running(state_dir=tmp_path) as leecher:
        await seeding(seeder, metainfo, tmp_path / "source")
        leecher.set_limits(down=MIB)
        torrent = await leecher.add(metainfo, save_path=file.parent, peers=[endpoint_of(seeder)])
        await until(leecher, lambda: torrent.have.count > 4)
        await leecher.committing.commit()
        state = leecher.committing._state
        assert state is not None
        monkeypatch.setattr(state, "save", full)
        leecher.set_limits(down=0)
        await until_state(leecher, torrent, State.SEEDING)
    later = time.time() + 2 * COMMIT_GRACE_S
    os.utime(file, (later, later))
    async with running(state_dir=tmp_path) as leecher:
        await until_state(leecher, leecher.torrents[metainfo.info_hash], State.SEEDING)
