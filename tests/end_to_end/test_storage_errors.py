"""Disks that fail cost their torrent: it stops, says why, keeps what it had and can be resumed."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.core.file_wishes import FileWishes
from engine.core.metainfo import Info, Metainfo
from engine.storage.file_map import FileMap
from engine.storage.filesystem import TorrentFiles
from engine.storage.middleware import Failing, Full, Middleware
from engine.torrent.lifecycle import State
from engine.torrent.torrent import Torrent
from tests.end_to_end.rig import endpoint_of, running, seeding, until, until_state
from tests.storage.torrents import Layout, sample

PIECE = 64 * 1024


class Wrapped(Middleware):
    """What a torrent uses of its files beyond the backend."""

    def __init__(self, files: TorrentFiles, spoiled: Middleware) -> None:
        super().__init__(spoiled)
        self._files = files

    @property
    def file_map(self) -> FileMap:
        return self._files.file_map

    def gather(self) -> list[int]:
        return self._files.gather()


Spoil = Callable[[TorrentFiles], Middleware]


@pytest.fixture
def spoil(monkeypatch: pytest.MonkeyPatch) -> Callable[[Torrent, Spoil], None]:
    """Make the disk of one torrent bad."""
    spoilt: dict[Torrent, Spoil] = {}
    good = Torrent.files

    def files(torrent: Torrent, info: Info) -> Any:
        real = good(torrent, info)
        return Wrapped(real, spoilt[torrent](real)) if torrent in spoilt else real

    monkeypatch.setattr(Torrent, "files", files)
    return spoilt.__setitem__


async def test_a_full_disk_stops_the_download_until_there_is_room(
    tmp_path: Path,
    spoil: Callable[[Torrent, Spoil], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    content = sample(PIECE * 20, PIECE)
    content.store(tmp_path / "source")
    metainfo = Metainfo(content.info)
    room = 8 * PIECE
    disks: list[Full] = []

    def full(files: TorrentFiles) -> Full:
        disks.append(Full(files, room))
        return disks[-1]

    async with running() as seeder, running() as leecher:
        await seeding(seeder, metainfo, tmp_path / "source")
        torrent = await leecher.add(metainfo, save_path=tmp_path / "target", paused=True)
        spoil(torrent, full)
        torrent.start()
        torrent.add_peer(endpoint_of(seeder))
        await until_state(leecher, torrent, State.ERROR)
        assert os.strerror(errno.ENOSPC) in torrent.error
        assert torrent.wants_to_run
        await leecher.facilities.disk.settle()
        assert 0 < torrent.have.count <= 8
        assert leecher.facilities.connections.open == 0
        assert leecher.facilities.buffers.count == 0
        kept, before = torrent.have.count, torrent.down_rate.total
        room = 1 << 30
        torrent.start()
        await until_state(leecher, torrent, State.SEEDING)
        assert torrent.error == ""
        assert torrent.down_rate.total - before <= (20 - kept) * PIECE
    assert (tmp_path / "target" / "t").read_bytes() == content.data
    assert not [r for r in caplog.records if r.exc_info and r.name.startswith("engine")]


async def test_a_folder_that_may_not_be_written_is_named(
    tmp_path: Path, spoil: Callable[[Torrent, Spoil], None]
) -> None:
    content = sample(PIECE * 4, PIECE)
    content.store(tmp_path / "source")
    metainfo = Metainfo(content.info)
    async with running() as seeder, running() as leecher:
        await seeding(seeder, metainfo, tmp_path / "source")
        torrent = await leecher.add(metainfo, save_path=tmp_path / "target", paused=True)
        is_writable = False

        def denied(files: TorrentFiles) -> Failing:
            pieces = () if is_writable else range(4)
            return Failing(files, PIECE, pieces, errno_=errno.EACCES, reads=False)

        spoil(torrent, denied)
        torrent.start()
        torrent.add_peer(endpoint_of(seeder))
        await until_state(leecher, torrent, State.ERROR)
        assert os.strerror(errno.EACCES) in torrent.error
        is_writable = True
        torrent.start()
        await until_state(leecher, torrent, State.SEEDING)


async def test_a_save_path_that_is_no_folder_is_an_error_at_once(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_bytes(b"a file")
    content = sample([Layout("a", 100), Layout("b", 100)], PIECE)
    async with running() as session:
        torrent = await session.add(Metainfo(content.info), save_path=blocked)
        await until_state(session, torrent, State.ERROR)
        assert str(blocked) in torrent.error
        blocked.unlink()
        torrent.start()
        await until_state(session, torrent, State.DOWNLOADING)


async def test_a_folder_in_the_place_of_a_file_is_an_error_at_once(tmp_path: Path) -> None:
    content = sample([Layout(name, 3 * PIECE) for name in "abc"], PIECE)
    content.store(tmp_path)
    place = tmp_path / "t" / "b"
    place.unlink()
    place.mkdir()
    async with running() as session:
        torrent = await session.add(Metainfo(content.info), save_path=tmp_path)
        await until_state(session, torrent, State.ERROR)
        assert f"{place}: a folder stands where a file should be" in torrent.error
        assert not torrent.have.count, "it says so before it reads what else is there"
        await session.remove(torrent)
        torrent = await session.add(
            Metainfo(content.info), save_path=tmp_path, wishes=FileWishes(skip=("b",))
        )
        await until_state(session, torrent, State.SEEDING)
        assert torrent.have.count == 6, "where it is skipped nothing is in the way"
        await session.remove(torrent)
        place.rmdir()
        torrent = await session.add(Metainfo(content.info), save_path=tmp_path)
        await until_state(session, torrent, State.DOWNLOADING)


async def test_files_that_vanish_from_under_a_seed(tmp_path: Path) -> None:
    """Found when somebody asks for them; once they are back it seeds again."""
    content = sample([Layout("a", 300_000), Layout("b", 300_000)], PIECE)
    source = tmp_path / "source"
    content.store(source)
    metainfo = Metainfo(content.info)
    async with running() as seeder, running() as leecher:
        seed = await seeding(seeder, metainfo, source)
        (source / "t" / "b").unlink()
        torrent = await leecher.add(
            metainfo, save_path=tmp_path / "target", peers=[endpoint_of(seeder)]
        )
        await until_state(seeder, seed, State.ERROR)
        assert str(source / "t" / "b") in seed.error
        content.store(source)
        seed.start()
        await until_state(seeder, seed, State.SEEDING)
        torrent.pause()
        torrent.start()  # dials at once
        await until_state(leecher, torrent, State.SEEDING)
        assert (tmp_path / "target" / "t" / "b").read_bytes() == content.content_of(1)


async def test_a_file_cut_short_under_a_seed(tmp_path: Path) -> None:
    content = sample(PIECE * 4, PIECE)
    source = tmp_path / "source"
    content.store(source)
    metainfo = Metainfo(content.info)
    async with running() as seeder, running() as leecher:
        seed = await seeding(seeder, metainfo, source)
        os.truncate(source / "t", PIECE + 1)
        torrent = await leecher.add(
            metainfo, save_path=tmp_path / "target", peers=[endpoint_of(seeder)]
        )
        await until_state(seeder, seed, State.ERROR)
        assert str(source / "t") in seed.error
        seed.start()  # what is left is found, the rest is wanted
        await until_state(seeder, seed, State.DOWNLOADING)
        assert list(seed.have) == [0]
        torrent.pause()


async def test_all_files_gone_at_a_start_keep_the_progress(tmp_path: Path) -> None:
    """An unmounted disk must not mean that everything is fetched again."""
    content = sample(PIECE * 4, PIECE)
    source = tmp_path / "source"
    content.store(source)
    async with running(state_dir=tmp_path) as session:
        torrent = await seeding(session, Metainfo(content.info), source)
    source.rename(tmp_path / "unmounted")
    async with running(state_dir=tmp_path) as session:
        torrent = session.torrents[content.info.info_hash]
        await until_state(session, torrent, State.ERROR)
        assert str(source) in torrent.error
        assert torrent.have.is_full
        (tmp_path / "unmounted").rename(source)
        torrent.start()
        await until_state(session, torrent, State.SEEDING)
        (source / "t").unlink()
        torrent.recheck()  # the user says that they will not come back
        await until_state(session, torrent, State.DOWNLOADING)
        assert not torrent.have.count


@pytest.mark.parametrize("pauses", [True, False])
async def test_the_file_of_a_download_that_vanishes_is_not_taken_for_had(
    pauses: bool, tmp_path: Path
) -> None:
    content = sample(PIECE * 64, PIECE)
    content.store(tmp_path / "source")
    file = tmp_path / "target" / "t"
    async with running() as seeder, running(state_dir=tmp_path) as session:
        await seeding(seeder, Metainfo(content.info), tmp_path / "source")
        session.set_limits(down=PIECE * 32)
        torrent = await session.add(
            Metainfo(content.info), save_path=file.parent, peers=[endpoint_of(seeder)]
        )
        await until(session, lambda: torrent.have.count > 8)
        file.unlink()
        session.set_limits(down=0)
        if pauses:
            torrent.pause()
            await session.facilities.disk.settle()
        else:
            await until_state(session, torrent, State.ERROR)
        torrent.start()
        await until_state(session, torrent, State.ERROR)
        assert "bring them back" in torrent.error
        torrent.recheck()
        torrent.add_peer(endpoint_of(seeder))
        await until_state(session, torrent, State.SEEDING)
    assert file.read_bytes() == content.data
