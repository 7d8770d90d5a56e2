"""The composition root: what it starts it ends, by a signal, by a client, by a failure."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from engine.control.client import ControlClient
from engine.control.schema import AddTorrent, ListTorrents, Shutdown
from engine.daemon import STATE_FILE, run_daemon, stopping_on_signals
from engine.errors import ControlError, InputError, StorageError
from engine.session.options import SessionOptions
from engine.session.session import Session
from tests.commands.rig import publish

LOOPBACK = SessionOptions(listen_host="127.0.0.1", stop_timeout_s=1.0)


class Daemon:
    """Runs one in this loop, and tells when it is ready."""

    def __init__(self, folder: Path, options: SessionOptions = LOOPBACK) -> None:
        self.socket = folder / "e.sock"
        self.ready: asyncio.Future[Session] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(
            run_daemon(
                options,
                socket_path=self.socket,
                state_dir=folder / "state",
                ready=self.ready.set_result,
            )
        )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    daemon = Daemon(tmp_path)
    await daemon.ready
    os.kill(os.getpid(), number)
    await daemon.task
    assert not daemon.socket.exists()


async def test_a_client_ends_it_and_the_next_one_has_its_torrents(tmp_path: Path) -> None:
    content = publish(tmp_path)
    daemon = Daemon(tmp_path)
    await daemon.ready
    async with await ControlClient.connect(daemon.socket) as client:
        data = content.torrent.read_bytes()
        await client.call(AddTorrent(metainfo=data, save_path=str(content.folder)))
        await client.call(Shutdown())
    await daemon.task

    again = Daemon(tmp_path)
    session = await again.ready
    assert [torrent.name for torrent in session.torrents.values()] == ["cargo"]
    async with await ControlClient.connect(again.socket) as client:
        (row,) = await client.call(ListTorrents())
        assert row.info_hash == content.info_hash
        await client.call(Shutdown())
    await again.task


async def test_two_cannot_have_one_socket(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    await daemon.ready
    with pytest.raises(ControlError, match="already running"):
        await run_daemon(LOOPBACK, socket_path=daemon.socket, state_dir=tmp_path / "other")
    async with await ControlClient.connect(daemon.socket) as client:
        await client.call(Shutdown())
    await daemon.task


async def test_what_cannot_start_leaves_no_socket(tmp_path: Path) -> None:
    elsewhere = SessionOptions(listen_host="192.0.2.1", listen_port=1)
    daemon = Daemon(tmp_path, elsewhere)
    with pytest.raises(InputError, match="cannot listen"):
        await daemon.task
    assert not daemon.socket.exists()

    (tmp_path / "state" / STATE_FILE).unlink(missing_ok=True)
    (tmp_path / "state" / STATE_FILE).mkdir(parents=True)
    broken = Daemon(tmp_path)
    with pytest.raises(StorageError, match=STATE_FILE):
        await broken.task
    assert not broken.socket.exists()


async def test_signals_are_given_back() -> None:
    before = signal.getsignal(signal.SIGHUP)
    told: list[int] = []
    with stopping_on_signals(lambda: told.append(1)):
        os.kill(os.getpid(), signal.SIGHUP)
        while not told:
            await asyncio.sleep(0)
    assert told == [1]
    assert signal.getsignal(signal.SIGHUP) == before
