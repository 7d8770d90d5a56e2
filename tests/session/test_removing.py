"""Removing, and adding again at once."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from engine.core.file_wishes import FileWishes
from engine.core.metainfo import Metainfo
from engine.errors import StorageError
from engine.session.session import Session
from engine.session.state_db import StateDb
from engine.storage.chosen_files import ChosenFiles
from engine.torrent.lifecycle import State
from tests.end_to_end.rig import running, seeding, until_state
from tests.storage.torrents import Layout, sample

ROOT = Path(__file__).parents[2]
CONTENT = sample([Layout(name, 20_000) for name in ("a", "b", "sub/c")])
METAINFO = Metainfo(CONTENT.info)


async def test_who_waits_goes_on_when_it_is_over() -> None:
    info_hash, other = sample(1).info.info_hash, sample(2).info.info_hash
    async with running() as session:
        removals = session._removals
        await removals.over(info_hash)
        with pytest.raises(OSError, match="full"), removals.of(info_hash):
            waiting = asyncio.create_task(removals.over(info_hash))
            await removals.over(other)
            assert not waiting.done()
            raise OSError("full")
        await waiting
        await removals.over(info_hash)


async def test_what_is_added_while_its_data_are_deleted_finds_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = sample([Layout(name, 20_000) for name in "ab"])
    content.store(tmp_path)
    metainfo = Metainfo(content.info)
    may_delete = threading.Event()
    delete = ChosenFiles.delete

    def late(files: ChosenFiles) -> None:
        may_delete.wait(60)
        delete(files)

    monkeypatch.setattr(ChosenFiles, "delete", late)
    async with running() as session:
        try:
            torrent = await seeding(session, metainfo, tmp_path)
            removing = asyncio.create_task(session.remove(torrent, delete_data=True))
            while session.torrents:
                await asyncio.sleep(0)
            adding = asyncio.create_task(session.add(metainfo, save_path=tmp_path))
            await session.facilities.disk.run(lambda: None)
            assert not session.torrents
        finally:
            may_delete.set()
        await removing
        torrent = await adding
        await until_state(session, torrent, State.DOWNLOADING)
        assert not torrent.have.count


@pytest.mark.parametrize(("deletes", "said"), [(False, "removed"), (True, "removed with its data")])
async def test_the_log_tells_of_a_removal(
    deletes: bool, said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "engine")
    CONTENT.store(tmp_path)
    async with running() as session:
        torrent = await seeding(session, METAINFO, tmp_path)
        await session.remove(torrent, delete_data=deletes)
        assert caplog.messages[-1] == f"{torrent.name}: {said}"


# ── a kill in the middle ────────────────────────────────────────────────────────────────────────

KILLED = """
import asyncio, os, sys
from pathlib import Path
from tests.end_to_end.rig import running, seeding
from tests.session.test_removing import METAINFO
from engine.session.state_db import StateDb
from engine.storage.chosen_files import ChosenFiles
from engine.storage.save_folder import SaveFolder

folder, where, name, passes = sys.argv[1:]
kind = {"ChosenFiles": ChosenFiles, "SaveFolder": SaveFolder, "StateDb": StateDb}[where]
left, real = int(passes), getattr(kind, name)

def killing(*args, **more):
    global left
    if not left:
        os.kill(os.getpid(), 9)
    left -= 1
    return real(*args, **more)

async def main():
    async with running(state_dir=Path(folder)) as session:
        torrent = await seeding(session, METAINFO, Path(folder, "save"))
        setattr(kind, name, killing)
        await session.remove(torrent, delete_data=True)

asyncio.run(main())
"""


def _stored(folder: Path) -> Path:
    """Content, and beside it what is not of the torrent."""
    CONTENT.store(folder / "save")
    (folder / "save" / "t" / "sub" / "foreign").write_bytes(b"mine")
    return folder / "save"


def _left(save: Path) -> list[str]:
    return sorted(str(path.relative_to(save)) for path in save.rglob("*") if path.is_file())


def _notes(folder: Path) -> int:
    state = StateDb(folder / "state.db")
    try:
        assert state.load() == []
        return len(state.removals())
    finally:
        state.close()


async def _killed(folder: Path, where: str, passes: int = 0) -> None:
    arguments = [str(folder), *where.split("."), str(passes)]
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", KILLED, *arguments],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert ended.returncode == -9, ended.stderr.decode()


@pytest.mark.parametrize(
    ("where", "passes", "left"),
    [("ChosenFiles.delete", 0, 4), ("SaveFolder.remove_file", 2, 3), ("StateDb.remove", 0, 1)],
)
async def test_a_kill_does_not_leave_data_behind_for_ever(
    tmp_path: Path, where: str, passes: int, left: int
) -> None:
    """Killed before anything is deleted, in the middle (the part file is the first), at the end."""
    save = _stored(tmp_path)
    await _killed(tmp_path, where, passes)
    assert len(_left(save)) == left
    async with running(state_dir=tmp_path) as session:
        assert not session.torrents
        await session._removals.over(METAINFO.info_hash)
    assert _left(save) == ["t/sub/foreign"]
    assert not _notes(tmp_path)


async def test_what_is_added_after_a_kill_begins_when_its_old_data_are_gone(tmp_path: Path) -> None:
    save = _stored(tmp_path)
    await _killed(tmp_path, "ChosenFiles.delete")
    async with running(state_dir=tmp_path) as session:
        torrent = await session.add(METAINFO, save_path=save)
        await until_state(session, torrent, State.DOWNLOADING)
        assert not torrent.have.count
        CONTENT.store(save)
        torrent.recheck()
        await until_state(session, torrent, State.SEEDING)
    async with running(state_dir=tmp_path) as session:
        await until_state(session, session.torrents[METAINFO.info_hash], State.SEEDING)


async def test_what_somebody_wrote_after_a_kill_is_not_deleted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save = _stored(tmp_path)
    await _killed(tmp_path, "ChosenFiles.delete")
    next_day = time.time() + 86_400
    os.utime(save / "t" / "b", (next_day, next_day))
    async with running(state_dir=tmp_path) as session:
        await session._removals.over(METAINFO.info_hash)
    assert len(_left(save)) == 4
    assert "changed since" in caplog.text
    assert not _notes(tmp_path)


async def test_a_removal_that_fails_after_a_kill_is_tried_again_with_each_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    save = _stored(tmp_path)
    await _killed(tmp_path, "ChosenFiles.delete")

    def denied(_: ChosenFiles) -> None:
        raise StorageError("no way")

    with monkeypatch.context() as patched:
        patched.setattr(ChosenFiles, "delete", denied)
        async with running(state_dir=tmp_path) as session:
            await session._removals.over(METAINFO.info_hash)
    assert "no way" in caplog.text
    assert _notes(tmp_path) == 1
    async with running(state_dir=tmp_path) as session:
        await session._removals.over(METAINFO.info_hash)
    assert _left(save) == ["t/sub/foreign"]


async def test_a_removal_waits_for_a_disk_that_is_not_mounted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save = _stored(tmp_path)
    await _killed(tmp_path, "ChosenFiles.delete")
    elsewhere = save.rename(tmp_path / "elsewhere")
    for _ in range(2):
        caplog.clear()
        async with running(state_dir=tmp_path) as session:
            await session._removals.over(METAINFO.info_hash)
        assert f"{save} is not there" in caplog.text
        assert _notes(tmp_path) == 1
    elsewhere.rename(save)
    async with running(state_dir=tmp_path) as session:
        await session._removals.over(METAINFO.info_hash)
    assert _left(save) == ["t/sub/foreign"]
    assert not _notes(tmp_path)


async def test_a_disk_that_never_comes_back_is_not_waited_for_for_ever(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save = _stored(tmp_path)
    await _killed(tmp_path, "ChosenFiles.delete")
    save.rename(tmp_path / "elsewhere")
    state = StateDb(tmp_path / "state.db")
    state._db.execute("UPDATE removals SET noted_at = noted_at - 100 * 86400")
    state.close()
    async with running(state_dir=tmp_path) as session:
        await session._removals.over(METAINFO.info_hash)
    assert not _notes(tmp_path)
    assert len(_left(tmp_path / "elsewhere")) == 4
    assert "did not come back" in caplog.text


async def test_who_was_told_that_data_could_not_be_deleted_does_not_lose_them_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = _stored(tmp_path)

    def denied(_: ChosenFiles) -> None:
        raise StorageError("no way")

    async with running(state_dir=tmp_path) as session:
        torrent = await seeding(session, METAINFO, save)
        with monkeypatch.context() as patched:
            patched.setattr(ChosenFiles, "delete", denied)
            with pytest.raises(StorageError, match="no way"):
                await session.remove(torrent, delete_data=True)
        assert not session.torrents
    assert not _notes(tmp_path)
    assert len(_left(save)) == 4


@pytest.mark.parametrize("metainfo", [None, b"torn"])
async def test_a_note_without_metainfo_costs_the_part_file_only(
    tmp_path: Path, metainfo: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    """NULL is of a torrent whose files stay; a torn one says nothing of its files."""
    caplog.set_level(logging.ERROR)
    save = _stored(tmp_path)
    async with running(state_dir=tmp_path) as session:
        wishes = FileWishes(skip=("b",))
        torrent = await session.add(METAINFO, save_path=save, paused=True, wishes=wishes)
    state = StateDb(tmp_path / "state.db")
    state.begin_removal(METAINFO.info_hash, metainfo is not None, time.time())
    state._db.execute("UPDATE removals SET metainfo = ?", (metainfo,))
    state.close()
    part_file = save / f".{torrent.info_hash.hex()}.parts"
    part_file.write_bytes(b"rest")
    async with running(state_dir=tmp_path) as session:
        await session._removals.over(METAINFO.info_hash)
    assert part_file.exists() == (metainfo is not None)
    assert len(_left(save)) - part_file.exists() == 4
    assert ("not known" in caplog.text) == (metainfo is not None)
    assert not _notes(tmp_path)


def _without_room(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be written into the state file. Of a full disk SQLite says this much."""
    state = session.committing._state
    assert state is not None

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(state, "_transaction", full)


async def test_data_can_be_deleted_to_make_room_on_the_disk_of_the_state_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = _stored(tmp_path)
    async with running(state_dir=tmp_path) as session:
        torrent = await seeding(session, METAINFO, save)
        await session.committing.commit()
        delete = ChosenFiles.delete

        def making_room(files: ChosenFiles) -> None:
            delete(files)
            monkeypatch.undo()

        _without_room(session, monkeypatch)
        monkeypatch.setattr(ChosenFiles, "delete", making_room)
        await session.remove(torrent, delete_data=True)
        assert _left(save) == ["t/sub/foreign"]
    async with running(state_dir=tmp_path) as session:
        assert not session.torrents


@pytest.mark.parametrize("deletes", [False, True])
async def test_what_cannot_be_forgotten_stays_in_the_list(
    deletes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be back with the next start, and could not be removed again until then."""
    save = _stored(tmp_path)
    async with running(state_dir=tmp_path) as session:
        torrent = await seeding(session, METAINFO, save)
        await session.committing.commit()
        with monkeypatch.context() as patched:
            _without_room(session, patched)
            with pytest.raises(StorageError, match="full"):
                await session.remove(torrent, delete_data=deletes)
        assert list(session.torrents.values()) == [torrent]
        assert torrent.state is State.PAUSED
        await session.remove(torrent, delete_data=deletes)
        assert not session.torrents
    async with running(state_dir=tmp_path) as session:
        assert not session.torrents
