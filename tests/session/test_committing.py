"""Committing: soon, together, again after a failure, and never before the state file was read."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.core.metainfo import Metainfo
from engine.errors import StorageError
from engine.session import committing
from engine.session.session import Session
from engine.session.state_db import StateDb
from tests.end_to_end.rig import LOOPBACK, running
from tests.storage.torrents import sample

TORRENT = Metainfo(sample(50_000).info)


def _counted(session: Session, monkeypatch: pytest.MonkeyPatch) -> asyncio.Queue[int]:
    """The number of rows of each commit."""
    state = session.committing._state
    assert state is not None
    commits: asyncio.Queue[int] = asyncio.Queue()
    loop, save = asyncio.get_running_loop(), state.save

    def counted(changes: committing.Changes) -> None:
        save(changes)
        loop.call_soon_threadsafe(commits.put_nowait, len(changes.rows))

    monkeypatch.setattr(state, "save", counted)
    return commits


async def test_changes_of_a_moment_are_one_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(state_dir=tmp_path) as session:
        torrent = await session.add(TORRENT, save_path=tmp_path, paused=True)
        await session.committing.commit()
        commits = _counted(session, monkeypatch)
        for _ in range(5):
            torrent.changed()
        assert await commits.get() == 1
        assert commits.empty()


async def test_a_commit_that_failed_loses_nothing_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(committing, "_RETRY_S", 0.01)
    async with running(state_dir=tmp_path) as session:
        torrent = await session.add(TORRENT, save_path=tmp_path, paused=True)
        await session.committing.commit()
        state = session.committing._state
        assert state is not None
        run = state.run
        failures = [StorageError("writing the state: No space left on device")]

        async def failing(job: Callable[..., object], *arguments: object) -> object:
            if job == state.save and failures:
                raise failures.pop()
            return await run(job, *arguments)

        with monkeypatch.context() as patched:
            patched.setattr(state, "run", failing)
            torrent.changed()
            await session.committing.try_commit()
            assert session.committing.error == "writing the state: No space left on device"
        commits = _counted(session, monkeypatch)
        assert await commits.get() == 1
        await session.committing.commit()
        await session.committing.try_commit()
        assert not session.committing.error
        assert "No space left on device; trying again" in caplog.text


async def test_who_waits_while_a_commit_is_under_way_shares_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(state_dir=tmp_path) as session:
        torrent = await session.add(TORRENT, save_path=tmp_path, paused=True)
        await session.committing.commit()
        commits = _counted(session, monkeypatch)
        torrent.changed()
        first = asyncio.ensure_future(session.committing.kept())
        while not session.committing._running.locked():
            await asyncio.sleep(0)
        torrent.changed()
        gone, *others = [asyncio.ensure_future(session.committing.kept()) for _ in range(100)]
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(first, *others)
        assert [await commits.get(), await commits.get()] == [1, 1]
        assert commits.empty()
        assert session.committing._timer is None  # nothing is left to be written


async def test_what_cannot_be_kept_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committing, "_RETRY_S", 0.01)
    async with running(state_dir=tmp_path) as session:
        torrent = await session.add(TORRENT, save_path=tmp_path, paused=True)
        await session.committing.commit()
        state = session.committing._state
        assert state is not None
        # Of a full disk SQLite says this much.
        with monkeypatch.context() as patched:
            patched.setattr(state, "save", _full)
            torrent.set_limits(down=5)
            with pytest.raises(StorageError, match=r"done, but .*: state file: .* full"):
                await session.committing.kept()
        commits = _counted(session, monkeypatch)
        assert await commits.get() == 1
    async with running(state_dir=tmp_path) as session:
        (torrent,) = session.torrents.values()
        assert torrent.down_bucket.rate == 5


def _full(_: committing.Changes) -> None:
    raise sqlite3.OperationalError("database or disk is full")


async def test_what_is_not_kept_at_the_end_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(state_dir=tmp_path) as session:
        await session.add(TORRENT, save_path=tmp_path, paused=True)
        state = session.committing._state
        assert state is not None
        monkeypatch.setattr(state, "save", _full)
    assert "what changed last is lost: state file: database or disk is full" in caplog.text


async def test_without_a_state_file_nothing_is_waited_for(tmp_path: Path) -> None:
    async with running() as session:
        torrent = await session.add(TORRENT, save_path=tmp_path, paused=True)
        torrent.set_limits(down=5)
        await session.committing.kept()


async def test_nothing_is_written_over_a_state_that_was_not_read(tmp_path: Path) -> None:
    async with running(state_dir=tmp_path) as session:
        await session.add(TORRENT, save_path=tmp_path, paused=True)
    session = Session(LOOPBACK, StateDb(tmp_path / "state.db"))
    await session.committing.commit()
    await session.stop()
    async with running(state_dir=tmp_path) as session:
        assert list(session.torrents) == [TORRENT.info_hash]
