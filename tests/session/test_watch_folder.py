"""The watched folder: what appears in it is added once, and its name says what became of it."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.metainfo import Metainfo
from engine.session.session import Session
from engine.session.watch_folder import WatchFolder
from tests.end_to_end.rig import LOOPBACK, running, until
from tests.storage.torrents import sample

TORRENT = Metainfo(sample(50_000).info)
MAGNET = f"magnet:?xt=urn:btih:{TORRENT.info_hash}&dn=linked"


async def _look_twice(session: Session, folder: Path) -> None:
    watch = WatchFolder(session, folder)
    for _ in range(2):
        await watch.look()


@pytest.mark.parametrize("name", ["a.torrent", "B.TORRENT", "c.magnet"])
async def test_what_appears_is_added(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(f"{MAGNET}\n".encode() if name == "c.magnet" else TORRENT.encode())
    async with running(replace(LOOPBACK, save_path=tmp_path / "save")) as session:
        await _look_twice(session, tmp_path)
        assert list(session.torrents) == [TORRENT.info_hash]
        assert os.listdir(tmp_path) == [f"{name}.added"]


async def test_a_file_that_still_grows_is_left_alone(tmp_path: Path) -> None:
    file, whole = tmp_path / "a.torrent", TORRENT.encode()
    async with running() as session:
        watch = WatchFolder(session, tmp_path)
        for end in (10, len(whole) // 2, len(whole)):
            file.write_bytes(whole[:end])
            await watch.look()
            assert not session.torrents
        await watch.look()
        assert list(session.torrents) == [TORRENT.info_hash]


async def test_what_cannot_be_added_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "bad.torrent").write_bytes(b"d4:info")
    (tmp_path / "bad.magnet").write_bytes(b"\xff\xfe magnet?")
    (tmp_path / "long.magnet").write_bytes(b"m" * 1_000_000)
    (tmp_path / "README").write_text("not for us")
    (tmp_path / "folder.torrent").mkdir()
    (tmp_path / "gone.torrent").symlink_to("nowhere")
    (tmp_path / "round.torrent").symlink_to("round.torrent")
    os.mkfifo(tmp_path / "pipe.torrent")
    async with running() as session:
        await _look_twice(session, tmp_path)
        assert not session.torrents
    kept = {"README", "folder.torrent", "gone.torrent", "round.torrent", "pipe.torrent"}
    failed = {f"{name}.failed" for name in ("bad.torrent", "bad.magnet", "long.magnet")}
    assert set(os.listdir(tmp_path)) == kept | failed
    said = [each.message for each in caplog.records if each.levelno == logging.ERROR]
    assert len(said) == 3
    assert any("long.magnet: larger than" in line for line in said)


async def test_what_is_there_already_is_no_failure(tmp_path: Path) -> None:
    async with running() as session:
        await session.add(TORRENT, save_path=tmp_path, paused=True)
        (tmp_path / "again.torrent").write_bytes(TORRENT.encode())
        await _look_twice(session, tmp_path)
        assert "again.torrent.added" in os.listdir(tmp_path)


async def test_where_nothing_can_be_renamed_each_file_is_taken_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    (tmp_path / "bad.torrent").write_bytes(b"?")
    async with running() as session:
        watch = WatchFolder(session, tmp_path)
        for _ in range(5):
            await watch.look()
        assert sum("bad.torrent: " in each.message for each in caplog.records) == 1
        (tmp_path / "bad.torrent").write_bytes(TORRENT.encode())
        for _ in range(5):
            await watch.look()
        assert list(session.torrents) == [TORRENT.info_hash]


async def test_a_folder_that_is_not_there_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running() as session:
        watch = WatchFolder(session, tmp_path / "later")
        for _ in range(3):
            await watch.look()
        assert [each.message for each in caplog.records] == [
            f"{tmp_path}/later cannot be watched: No such file or directory"
        ]


async def test_an_engine_with_state_watches_by_itself(tmp_path: Path) -> None:
    folder = tmp_path / "watch"
    folder.mkdir()
    (folder / "a.torrent").write_bytes(TORRENT.encode())
    options = replace(LOOPBACK, watch_folder=folder, save_path=tmp_path)
    async with running(options, state_dir=tmp_path) as session:
        await until(session, lambda: bool(session.torrents))
        await until(session, (folder / "a.torrent.added").exists)
