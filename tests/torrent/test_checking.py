"""What is checked before a torrent runs: all, some files or nothing; what is known afterwards."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.metainfo import Metainfo
from engine.errors import StorageMissingError
from engine.torrent.checking import check, find_suspects, make_ready, take_stamps
from engine.torrent.lifecycle import State
from engine.torrent.torrent import Torrent
from tests.end_to_end.rig import running, until_state
from tests.storage.torrents import Layout, Sample, sample

PIECE = 16384
CONTENT = sample([Layout(name, 3 * PIECE - 100) for name in "abc"], PIECE)


async def _torrent(session, folder: Path, content: Sample = CONTENT) -> Torrent:  # type: ignore[no-untyped-def]
    return await session.add(Metainfo(content.info), save_path=folder, paused=True)


async def test_nothing_on_disk_is_nothing_to_check(tmp_path: Path) -> None:
    async with running() as session:
        torrent = await _torrent(session, tmp_path)
        assert find_suspects(torrent, [None, None, None]) == []


async def test_unknown_files_are_checked_whole(tmp_path: Path) -> None:
    CONTENT.store(tmp_path)
    (tmp_path / "t" / "b").unlink()
    async with running() as session:
        torrent = await _torrent(session, tmp_path)
        await make_ready(torrent, session.facilities.disk)
        missing = {2, 3, 4, 5}  # all that have a byte of b
        assert set(torrent.have.missing()) == missing
        assert torrent.record is not None
        assert torrent.record.stamps[0] is not None
        assert torrent.have_bytes == sum(
            torrent.geometry.piece_size(i) for i in range(9) if i not in missing
        )


async def test_progress_is_told_and_ends_at_one(tmp_path: Path) -> None:
    CONTENT.store(tmp_path)
    async with running() as session:
        torrent = await _torrent(session, tmp_path)
        told: list[float] = []
        session.on_change.append(lambda torrent: told.append(torrent.check_progress))
        files = torrent.files(CONTENT.info)
        await check(torrent, session.facilities.disk, files, None)
        files.close()
    assert told
    assert told == sorted(told)
    assert told[-1] == 1.0


async def test_of_suspicious_files_only_what_was_had_is_read(tmp_path: Path) -> None:
    """And pieces of other files stay as they are, without a look."""
    async with running() as session:
        torrent = await _torrent(session, tmp_path)
        CONTENT.store(tmp_path)
        torrent.assume_complete()
        for index in (3, 8):
            torrent.have.discard(index)
        (tmp_path / "t" / "a").write_bytes(b"damaged, and not looked at")
        (tmp_path / "t" / "b").write_bytes(bytes(3 * PIECE - 100))
        files = torrent.files(CONTENT.info)
        await check(torrent, session.facilities.disk, files, [1])
        files.close()
        assert list(torrent.have) == [0, 1, 6, 7]  # 3 and 8 were not had before


async def test_what_the_user_vouches_for_is_judged_by_size(tmp_path: Path) -> None:
    CONTENT.store(tmp_path)
    async with running() as session:
        torrent = await _torrent(session, tmp_path)
        torrent.assume_complete()
        files = torrent.files(CONTENT.info)
        stamps = files.stamps()
        assert find_suspects(torrent, stamps) == []
        assert find_suspects(torrent, [stamps[0], None, stamps[2]]) == [1]
        (tmp_path / "t" / "c").write_bytes(b"short")
        assert find_suspects(torrent, files.stamps()) == [2]


async def test_all_gone_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    CONTENT.store(tmp_path)
    async with running() as session:
        torrent = await _torrent(session, tmp_path)
        await make_ready(torrent, session.facilities.disk)
        torrent.needs_check = False
        with pytest.raises(StorageMissingError, match="bring them back") as caught:
            find_suspects(torrent, [None, None, None])
        assert str(tmp_path) in str(caught.value)
        torrent.needs_check = True  # as the user's recheck says
        assert find_suspects(torrent, [None, None, None]) is None


async def test_a_missing_file_is_suspect_once_something_of_it_is_had(tmp_path: Path) -> None:
    """Also if the record is of a time when it was not there."""
    async with running() as session:
        torrent = await _torrent(session, tmp_path)
        await make_ready(torrent, session.facilities.disk)
        assert torrent.record is not None
        assert not any(torrent.record.stamps)
        torrent.needs_check = False
        CONTENT.store(tmp_path)
        files = torrent.files(CONTENT.info)
        torrent.record = replace(torrent.record, stamps=(files.stamps()[0], None, None))
        seen = torrent.record.stamps
        torrent.have.add(0)
        assert find_suspects(torrent, seen) == []
        torrent.have.add(CONTENT.info.geometry.piece_count - 1)
        assert find_suspects(torrent, seen) == [2]


async def test_a_check_waits_for_the_last_writes(tmp_path: Path) -> None:
    CONTENT.store(tmp_path)
    async with running() as session:
        torrent = await _torrent(session, tmp_path)
        order: list[str] = []
        disk = session.facilities.disk
        disk.submit(lambda: None, lambda _: order.append("written"))
        session.on_change.append(lambda _: order.append("checked"))
        await make_ready(torrent, disk)
        assert order[0] == "written"
        disk.submit(lambda: None, lambda _: order.append("written later"))
        del order[:]
        await take_stamps(torrent, disk)
        assert order[:2] == ["written later", "checked"]


async def test_a_file_that_others_made_longer_is_told_and_not_cut(tmp_path: Path) -> None:
    """Nor is it checked anew at each start."""
    CONTENT.store(tmp_path)
    grown = tmp_path / "t" / "b"
    with grown.open("ab") as file:
        file.write(b"more")
    async with running() as session:
        torrent = await _torrent(session, tmp_path)
        await make_ready(torrent, session.facilities.disk)
        assert torrent.is_complete
        assert grown.stat().st_size == 3 * PIECE - 100 + 4
        told = [text for _, level, text in torrent.log_lines if level == "warning"]
        (line,) = told
        assert line.startswith("t/b is 4 bytes longer than the torrent says: that stays until")
        torrent.needs_check = False
        files = torrent.files(CONTENT.info)
        assert find_suspects(torrent, files.stamps()) == []
        with grown.open("ab") as file:
            file.write(b"and more")
        assert find_suspects(torrent, files.stamps()) == [1]
        files.close()


@pytest.mark.parametrize(("spoil", "says"), [("unlink", "removed"), ("cut", "cut short")])
async def test_what_others_did_since_the_last_write_is_seen_at_the_end(
    tmp_path: Path, spoil: str, says: str
) -> None:
    CONTENT.store(tmp_path)
    async with running() as session:
        torrent = await session.add(Metainfo(CONTENT.info), save_path=tmp_path)
        await until_state(session, torrent, State.SEEDING)
        if spoil == "unlink":
            (tmp_path / "t" / "b").unlink()
        else:
            os.truncate(tmp_path / "t" / "b", 10)
        await take_stamps(torrent, session.facilities.disk)
        assert torrent.state is State.ERROR
        assert says in torrent.error
        torrent.start()
        await until_state(session, torrent, State.DOWNLOADING)
        assert set(torrent.have.missing()) == {2, 3, 4, 5}  # all that have a byte of b
