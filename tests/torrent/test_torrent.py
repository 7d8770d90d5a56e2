"""One torrent's record and lifecycle, where the disk and its user have their say at odd moments."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.core.metainfo import Metainfo
from engine.errors import StorageError
from engine.torrent.lifecycle import State
from engine.torrent.torrent import Torrent
from tests.end_to_end.rig import running, until, until_state
from tests.fakes import scripted_peer as wire
from tests.storage.torrents import sample
from tests.torrent.one_torrent import ALL, CONTENT, PIECE, bits, one_torrent


def _log(torrent: Torrent) -> list[str]:
    return [text for _, _, text in torrent.log_lines]


async def test_a_last_piece_that_is_written_after_a_pause_counts(tmp_path: Path) -> None:
    content = sample(PIECE, PIECE)
    async with one_torrent(tmp_path, content=content) as one:
        visitor = await one.visitor(has=b"\x80")
        visitor.send(wire.frame(wire.UNCHOKE))
        asked = [(await visitor.until(wire.REQUEST)).numbers for _ in range(2)]
        # The disk is busy until the torrent is paused.
        gate = asyncio.Event()
        loop = asyncio.get_running_loop()
        disk = one.session.facilities.disk
        for _ in range(disk.threads):
            disk.submit(
                lambda: asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(20),
                lambda _: None,
            )
        visitor.send(*(one.block(*each) for each in asked))
        await one.until(lambda: one.live.download.picker.completed_count == 1)
        one.torrent.pause()
        gate.set()
        await disk.settle()
        assert one.torrent.state is State.PAUSED
        assert one.torrent.is_complete
        assert one.torrent.left == 0
        assert one.torrent.completed_at is not None
        one.torrent.start()
        await until_state(one.session, one.torrent, State.SEEDING)
        assert (tmp_path / "t").read_bytes() == content.data


async def test_a_pause_makes_its_record_clean(tmp_path: Path) -> None:
    """So that it does not matter when it is resumed, and nothing is checked then."""
    async with one_torrent(tmp_path) as one:
        visitor = await one.visitor(has=bits(4))
        visitor.send(wire.frame(wire.UNCHOKE))
        for _ in range(2):
            visitor.send(one.block(*(await visitor.until(wire.REQUEST)).numbers))
        await one.until(lambda: one.torrent.have.count == 1)
        before = one.torrent.record
        assert before is not None
        assert not before.is_clean
        one.torrent.pause()
        await one.until(lambda: one.torrent.record is not None and one.torrent.record.is_clean)
        assert one.torrent.record is not None
        assert one.torrent.record.stamps != before.stamps
        one.torrent.start()
        await until_state(one.session, one.torrent, State.DOWNLOADING)
        assert not one.torrent.record.is_clean
        assert list(one.torrent.have) == [4]
        assert not any("look" in text for text in _log(one.torrent))


async def test_an_error_goes_away_with_a_pause_a_start_or_a_recheck(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        torrent = one.torrent
        for way_out, state in (
            (torrent.pause, State.PAUSED),
            (torrent.start, State.CHECKING),
            (torrent.recheck, State.CHECKING),
        ):
            torrent.start()
            await until_state(one.session, torrent, State.DOWNLOADING)
            torrent.fail(StorageError("the disk is gone"))
            assert torrent.state is State.ERROR
            assert torrent.error == "the disk is gone"
            assert torrent.live is None
            way_out()
            assert (torrent.state, torrent.error) == (state, "")


async def test_a_bug_in_a_check_is_an_error_of_the_torrent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not a torrent that checks for ever."""

    def broken(torrent: Torrent, info: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(Torrent, "files", broken)
    async with running() as session:
        torrent = await session.add(Metainfo(CONTENT.info), save_path=tmp_path)
        await until_state(session, torrent, State.ERROR)
        assert torrent.error == "ZeroDivisionError: ours"
    assert any(record.exc_info for record in caplog.records)


async def test_starting_twice_is_starting_once(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        live = one.live
        one.torrent.start()
        assert one.live is live
        one.torrent.recheck()
        one.torrent.start()
        assert one.torrent.state is State.CHECKING
        await until_state(one.session, one.torrent, State.DOWNLOADING)


async def test_a_paused_torrent_that_is_checked_stays_paused_unless_started(tmp_path: Path) -> None:
    CONTENT.store(tmp_path)
    async with running() as session:
        torrent = await session.add(Metainfo(CONTENT.info), save_path=tmp_path, paused=True)
        torrent.recheck()
        await until(session, lambda: torrent.state is State.PAUSED)
        assert torrent.is_complete
        torrent.recheck()
        torrent.start()
        await until_state(session, torrent, State.SEEDING)


async def test_what_the_user_vouches_for_seeds_at_once_and_is_repaired(tmp_path: Path) -> None:
    CONTENT.store(tmp_path)
    async with running() as session:
        torrent = await session.add(
            Metainfo(CONTENT.info), save_path=tmp_path, assume_complete=True
        )
        await until_state(session, torrent, State.SEEDING)
        assert torrent.have_bytes == torrent.size
        assert torrent.progress == 1.0


async def test_the_log_keeps_the_latest_lines(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        for number in range(500):
            one.torrent.note("info", f"line {number}")
        lines = _log(one.torrent)
        assert len(lines) == 200
        assert lines[-1] == "line 499"
        assert all(at > 1e9 for at, _, _ in one.torrent.log_lines)


async def test_progress_is_the_share_of_verified_bytes(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        visitor = await one.visitor(has=ALL)
        visitor.send(wire.frame(wire.UNCHOKE))
        seen = []
        one.session.on_change.append(
            lambda torrent: seen.append((torrent.progress, torrent.have_bytes, torrent.left))
        )
        async for said in visitor.messages():
            if said.id == wire.REQUEST:
                visitor.send(one.block(*said.numbers))
        assert one.torrent.progress == 1.0
        size = one.torrent.size
        assert all(progress == have / size and left == size - have for progress, have, left in seen)
        assert seen == sorted(seen, key=lambda each: each[0])
