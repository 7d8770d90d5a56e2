"""A session: what it keeps over a restart; what goes wrong costs no more than itself."""

from __future__ import annotations

import asyncio
import logging
import socket
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.metainfo import Metainfo
from engine.errors import DuplicateTorrentError, InputError, StorageError
from engine.session.session import Session
from engine.session.state_db import StateDb
from engine.torrent.lifecycle import State
from tests.end_to_end.rig import LOOPBACK, endpoint_of, running, seeding, until, until_state
from tests.storage.torrents import sample

PIECE = 16384


async def test_everything_the_user_said_comes_back(tmp_path: Path) -> None:
    one, other = sample(PIECE * 2, name="one"), sample(PIECE, name="other")
    one.store(tmp_path)
    async with running(state_dir=tmp_path / "state") as session:
        torrent = await seeding(session, Metainfo(one.info), tmp_path)
        torrent.set_limits(down=1000, up=2000)
        torrent.add_peer(endpoint_of(session))
        paused = await session.add(
            Metainfo(other.info), save_path=tmp_path / "b", paused=True, preallocate=True
        )
        added_at = torrent.added_at, paused.added_at
    async with running(state_dir=tmp_path / "state") as session:
        torrent, paused = session.torrents.values()
        assert (torrent.name, paused.name) == ("one", "other")
        assert (torrent.added_at, paused.added_at) == added_at
        assert (torrent.down_bucket.rate, torrent.up_bucket.rate) == (1000, 2000)
        assert [peer.host for peer in torrent.explicit_peers] == ["127.0.0.1"]
        assert torrent.completed_at is not None
        assert paused.save_path == tmp_path / "b"
        assert paused.preallocate
        assert paused.state is State.PAUSED
        assert not paused.wants_to_run
        await until_state(session, torrent, State.SEEDING)
        assert torrent.info == one.info


async def test_totals_are_counted_on(tmp_path: Path) -> None:
    content = sample(PIECE * 10)
    content.store(tmp_path / "source")
    async with running(state_dir=tmp_path / "a") as seeder:
        await seeding(seeder, Metainfo(content.info), tmp_path / "source")
        async with running(state_dir=tmp_path / "b") as leecher:
            torrent = await leecher.add(
                Metainfo(content.info), save_path=tmp_path / "t", peers=[endpoint_of(seeder)]
            )
            await until_state(leecher, torrent, State.SEEDING)
        await until(seeder, lambda: seeder.uploaded >= PIECE * 10)
    for name, counts in (("a", (0, PIECE * 10)), ("b", (PIECE * 10, 0))):
        async with running(state_dir=tmp_path / name) as session:
            assert (session.downloaded, session.uploaded) == counts
            (torrent,) = session.torrents.values()
            assert (torrent.down_rate.total, torrent.up_rate.total) == counts


async def test_a_start_that_fails_loses_nothing(tmp_path: Path) -> None:
    """A taken port: what was kept is untouched, the totals above all."""
    content = sample(PIECE)
    content.store(tmp_path)
    async with running(state_dir=tmp_path / "state") as session:
        await seeding(session, Metainfo(content.info), tmp_path)
        session.down_rate.add(12345)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        options = replace(LOOPBACK, listen_port=taken.getsockname()[1])
        with pytest.raises(InputError, match="in use"):
            async with running(options, state_dir=tmp_path / "state"):
                raise AssertionError("it started")
    async with running(state_dir=tmp_path / "state") as session:
        assert session.downloaded == 12345
        assert len(session.torrents) == 1


async def test_a_damaged_row_costs_its_torrent_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(state_dir=tmp_path) as session:
        for name in "abc":
            await session.add(Metainfo(sample(10, name=name).info), save_path=tmp_path, paused=True)
    raw = sqlite3.connect(tmp_path / "state.db")
    raw.execute("UPDATE torrents SET trackers = '{' WHERE name = 'b'")
    raw.commit()
    raw.close()
    async with running(state_dir=tmp_path) as session:
        assert [torrent.name for torrent in session.torrents.values()] == ["a", "c"]
    assert "b is left alone" in caplog.text
    state = StateDb(tmp_path / "state.db")
    assert len(state.load()) == 3
    state.close()


async def test_a_torrent_is_there_once(tmp_path: Path) -> None:
    async with running() as session:
        metainfo = Metainfo(sample(10).info)
        await session.add(metainfo, save_path=tmp_path, paused=True)
        with pytest.raises(DuplicateTorrentError, match="t is here already"):
            await session.add(metainfo, save_path=tmp_path / "elsewhere")
        assert len(session.torrents) == 1


async def test_a_path_that_is_no_text_is_refused(tmp_path: Path) -> None:
    async with running(state_dir=tmp_path) as session:
        with pytest.raises(InputError, match="not UTF-8"):
            await session.add(Metainfo(sample(10).info), save_path=Path("/srv/\udcff"))
        assert not session.torrents


class _Flaky(StateDb):
    """A state file whose disk is full while told so."""

    is_full = False

    async def run(self, function, *args):  # type: ignore[no-untyped-def]
        if self.is_full and function in (self.add, self.save):
            raise StorageError("state file: disk full")
        return await super().run(function, *args)


async def test_what_could_not_be_committed_is_committed_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = _Flaky(tmp_path / "state.db")
    session = Session(LOOPBACK, state)
    await session.start()
    torrent = await session.add(Metainfo(sample(10).info), save_path=tmp_path, paused=True)
    state.is_full = True
    torrent.set_limits(up=7)
    with pytest.raises(StorageError):
        await session.committing.commit()
    with pytest.raises(StorageError):
        await session.add(Metainfo(sample(10, name="other").info), save_path=tmp_path)
    assert list(session.torrents.values()) == [torrent]
    state.is_full = False
    await session.committing.commit()
    assert (await state.run(state.load))[0].up_limit == 7
    await session.stop()


async def test_stopping_commits_before_it_says_good_bye(tmp_path: Path) -> None:
    """While trackers are told, a kill finds the torrents as the user wanted them: running."""
    async with running(state_dir=tmp_path) as session:
        await session.add(Metainfo(sample(10).info), save_path=tmp_path)
        drain = session.announcing.drain
        found = []

        async def look(timeout_s: float) -> None:
            found.extend(await session._state.run(session._state.load))
            await drain(timeout_s)

        session.announcing.drain = look  # type: ignore[method-assign]
    assert [row.wants_to_run for row in found] == [True]


async def test_stop_twice_is_stop_once(tmp_path: Path) -> None:
    async with running(state_dir=tmp_path) as session:
        await session.stop()
        await session.stop()


async def test_a_removed_torrent_is_not_written_over_its_successor(tmp_path: Path) -> None:
    metainfo = Metainfo(sample(10).info)
    async with running(state_dir=tmp_path) as session:
        old = await session.add(metainfo, save_path=tmp_path / "old", paused=True)
        await session.remove(old)
        new = await session.add(metainfo, save_path=tmp_path / "new", paused=True)
        told: list[object] = []
        session.on_change.append(told.append)
        old.changed()  # its last announce, say
        assert told == []
        await session.committing.commit()
        new.changed()
        assert told == [new]
    async with running(state_dir=tmp_path) as session:
        (torrent,) = session.torrents.values()
        assert torrent.save_path == tmp_path / "new"


async def test_a_task_that_fails_is_reported_and_costs_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail() -> None:
        raise ZeroDivisionError("ours")

    async with running() as session:
        task = session.spawn(fail())
        await asyncio.wait([task])
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None


async def test_an_idle_torrent_is_a_record_only(tmp_path: Path) -> None:
    """No task, no timer, no open file, no metainfo in memory."""
    content = sample(PIECE)
    content.store(tmp_path)
    async with running(state_dir=tmp_path / "state") as session:
        torrent = await seeding(session, Metainfo(content.info), tmp_path)
        await until(session, lambda: torrent not in session._active)
        await until(session, lambda: session._tick_timer is None)
        await until(session, lambda: not session._tasks)
        assert torrent.live is None
        assert torrent._info is None
        assert torrent.info == content.info  # read back when it is asked for
