"""One torrent without a daemon: what ends it, and with what."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from engine.core.metainfo import Metainfo
from engine.errors import InputError, StorageError
from engine.foreground import Foreground, Interrupted
from engine.session.options import SessionOptions
from engine.session.session import Session
from engine.torrent.lifecycle import State
from engine.torrent.torrent import Torrent
from tests.commands.rig import publish
from tests.end_to_end.rig import endpoint_of, running, seeding

LOOPBACK = SessionOptions(listen_host="127.0.0.1", stop_timeout_s=1.0)


class Watcher:
    """Sees the reports, and may act on one state."""

    def __init__(self, at: State | None = None) -> None:
        self.states: list[State] = []
        self.at = at

    def __call__(self, _: Session, torrent: Torrent) -> None:
        self.states.append(torrent.state)
        if torrent.state is self.at:
            self.at = None
            os.kill(os.getpid(), signal.SIGTERM)


def _task(torrent: Path, folder: Path, **more: object) -> Foreground:
    metainfo = Metainfo.parse(torrent.read_bytes())
    return Foreground(options=LOOPBACK, metainfo=metainfo, save_path=folder, **more)  # type: ignore[arg-type]


async def test_a_download_ends_by_itself(tmp_path: Path) -> None:
    content = publish(tmp_path)
    metainfo = Metainfo.parse(content.torrent.read_bytes())
    async with running() as session:
        await seeding(session, metainfo, content.folder)
        watcher = Watcher()
        task = _task(content.torrent, tmp_path / "dl", peers=(endpoint_of(session),))
        await task.run(watcher)
    assert watcher.states[-1] is State.SEEDING
    assert content.is_at(tmp_path / "dl")


async def test_a_seed_ends_by_a_signal(tmp_path: Path) -> None:
    content = publish(tmp_path)
    watcher = Watcher(State.SEEDING)
    await _task(content.torrent, content.folder, stay=True, must_be_complete=True).run(watcher)
    assert watcher.states[-1] is State.SEEDING


async def test_a_signal_before_the_end_is_an_interruption(tmp_path: Path) -> None:
    content = publish(tmp_path)
    with pytest.raises(Interrupted, match="stopped at 0%") as raised:
        await _task(content.torrent, tmp_path / "dl").run(Watcher(State.DOWNLOADING))
    assert raised.value.exit_code == 130


async def test_what_is_damaged_is_not_seeded(tmp_path: Path) -> None:
    content = publish(tmp_path)
    path = content.folder / content.name
    path.write_bytes(bytes(16384) + path.read_bytes()[16384:])
    task = _task(content.torrent, content.folder, stay=True, must_be_complete=True)
    with pytest.raises(StorageError, match="1 of 19 pieces of cargo are missing or damaged"):
        await task.run(Watcher())


async def test_a_storage_that_fails_is_an_error(tmp_path: Path) -> None:
    content = publish(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        await _task(content.torrent, tmp_path / "file").run(Watcher())


async def test_an_address_that_cannot_be_had_is_an_error(tmp_path: Path) -> None:
    content = publish(tmp_path)
    options = SessionOptions(listen_host="192.0.2.1", listen_port=1)
    metainfo = Metainfo.parse(content.torrent.read_bytes())
    task = Foreground(options=options, metainfo=metainfo, save_path=tmp_path / "dl")
    with pytest.raises(InputError, match=r"cannot listen on 192\.0\.2\.1"):
        await task.run(Watcher())
