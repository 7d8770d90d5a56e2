"""A restart: seeds whose files look as recorded seed at once, the others are looked at closely."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.core.metainfo import Metainfo
from engine.errors import StorageError
from engine.session.state_db import StateDb
from engine.torrent.lifecycle import State
from tests.end_to_end.rig import LOOPBACK, endpoint_of, running, seeding, until_state
from tests.storage.torrents import Sample, sample

COUNT = 300
"""More than are looked at in one job."""


def stored(folder: Path, count: int) -> list[Sample]:
    samples = [sample(20_000 + n, seed=n, name=f"t{n}") for n in range(count)]
    for one in samples:
        one.store(folder)
    return samples


async def test_many_seeds_are_back_and_serve(tmp_path: Path) -> None:
    samples = stored(tmp_path / "data", COUNT)
    async with running(state_dir=tmp_path) as session:
        for one in samples:
            await seeding(session, Metainfo(one.info), tmp_path / "data")
    async with running(state_dir=tmp_path) as session, running() as leecher:
        assert len(session.torrents) == COUNT
        for torrent in session.torrents.values():
            await until_state(session, torrent, State.SEEDING)
            assert not any("check" in text for _, _, text in torrent.log_lines)
            assert torrent.live is None
        last = Metainfo(samples[-1].info)
        got = await leecher.add(last, save_path=tmp_path / "copy", peers=[endpoint_of(session)])
        await until_state(leecher, got, State.SEEDING)
    assert (tmp_path / "copy" / samples[-1].info.name).read_bytes() == samples[-1].data


async def test_only_what_was_touched_is_checked_and_a_pause_is_kept(tmp_path: Path) -> None:
    samples = stored(tmp_path / "data", 4)
    hashes = [one.info.info_hash for one in samples]
    async with running(state_dir=tmp_path) as session:
        torrents = [
            await seeding(session, Metainfo(one.info), tmp_path / "data") for one in samples
        ]
        torrents[3].pause()
    damaged = tmp_path / "data" / "t1"
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    os.utime(tmp_path / "data" / "t2")
    async with running(LOOPBACK, state_dir=tmp_path) as session:
        wanted = [State.SEEDING, State.DOWNLOADING, State.SEEDING]
        for info_hash, state in zip(hashes, wanted, strict=False):
            await until_state(session, session.torrents[info_hash], state)
        logs = [[text for _, _, text in session.torrents[each].log_lines] for each in hashes]
        assert not any("look as recorded" in text for text in logs[0])
        assert any("look as recorded" in text for text in logs[1])
        assert any("look as recorded" in text for text in logs[2])
        assert session.torrents[hashes[1]].have.count == 0
        assert session.torrents[hashes[3]].state is State.PAUSED


async def test_seeds_whose_records_cannot_be_read_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    samples = stored(tmp_path / "data", 3)
    async with running(state_dir=tmp_path) as session:
        for one in samples:
            await seeding(session, Metainfo(one.info), tmp_path / "data")

    def unreadable(self: StateDb, info_hashes: object) -> dict[bytes, bytes]:
        raise StorageError("reading the state file: Input/output error")

    monkeypatch.setattr(StateDb, "metainfos", unreadable)
    async with running(state_dir=tmp_path) as session:
        for torrent in session.torrents.values():
            await until_state(session, torrent, State.SEEDING)
    assert "Input/output error" in caplog.text
    assert "a task failed" not in caplog.text
