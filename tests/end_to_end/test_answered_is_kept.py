"""What a user was told is done survives `kill -9` at that very moment."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.control import schema
from engine.control.client import ControlClient
from engine.core.metainfo import Metainfo
from engine.daemon import STATE_FILE
from engine.processes import start_engine
from engine.session.state_db import StateDb
from tests.storage.torrents import Layout, sample

PIECE = 16 * 1024
CONTENT = sample([Layout(name, 2 * PIECE) for name in "abc"], PIECE)
TORRENT = Metainfo(CONTENT.info)
NAME = TORRENT.info_hash.hex()
PEER = "127.0.0.1:1"  # nobody's


@contextlib.asynccontextmanager
async def _killed_at_the_end(folder: Path) -> AsyncIterator[ControlClient]:
    """The engine of a user, ended by SIGKILL when the block is left."""
    process: subprocess.Popen[bytes] = await start_engine(
        folder / "s",
        folder / "log",
        environ={
            **os.environ,
            "SEEDWRIGHT_CONFIG": str(folder / "config.toml"),
            "SEEDWRIGHT_DAEMON_STATE_DIR": str(folder / "state"),
            "SEEDWRIGHT_NETWORK_ISOLATED": "true",
            "SEEDWRIGHT_NETWORK_LISTEN": "127.0.0.1:0",
            "SEEDWRIGHT_STORAGE_SAVE_PATH": str(folder / "save"),
        },
    )
    try:
        async with await ControlClient.connect(folder / "s") as client:
            yield client
            process.kill()
    finally:
        process.kill()
        process.wait()


def _add(**what: object) -> schema.AddTorrent:
    return schema.AddTorrent(metainfo=TORRENT.encode(), **what)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Action:
    """What is there before, what is done to it, and what is asked after the kill."""

    before: schema.Request
    done: schema.Request
    holds: Callable[[ControlClient], Awaitable[bool]]


async def _row(client: ControlClient) -> schema.TorrentRow:
    return (await client.call(schema.GetTorrent(torrent=NAME))).row


async def _is_there(client: ControlClient) -> bool:
    return [row.info_hash for row in await client.call(schema.ListTorrents())] == [NAME]


async def _is_gone(client: ControlClient) -> bool:
    return await client.call(schema.ListTorrents()) == []


async def _is_paused(client: ControlClient) -> bool:
    return (await _row(client)).state is schema.TorrentState.PAUSED


async def _is_running(client: ControlClient) -> bool:
    return (await _row(client)).state is not schema.TorrentState.PAUSED


async def _is_limited(client: ControlClient) -> bool:
    info = await client.call(schema.GetTorrent(torrent=NAME))
    return (info.down_limit, info.up_limit) == (12345, 678)


async def _skips_b(client: ControlClient) -> bool:
    files = await client.call(schema.GetFiles(torrent=NAME))
    return [file.index for file in files if file.priority == schema.FilePriority.SKIP] == [1]


async def _has_metadata_and_skips_b(client: ControlClient) -> bool:
    return await _skips_b(client) and await _is_paused(client)


async def _is_to_be_checked(client: ControlClient) -> bool:
    """It was believed to be complete; nothing is there."""
    info = await client.call(schema.GetTorrent(torrent=NAME))
    return info.pieces_have == 0


LINK = f"magnet:?xt=urn:btih:{NAME}"
ACTIONS = {
    "add": Action(schema.Status(), _add(paused=True), _is_there),
    "add link": Action(schema.Status(), schema.AddTorrent(source=LINK, paused=True), _is_there),
    "complete link": Action(
        schema.AddTorrent(source=LINK), _add(paused=True, skip=["b"]), _has_metadata_and_skips_b
    ),
    "remove": Action(_add(paused=True), schema.Remove(torrents=[NAME]), _is_gone),
    "pause": Action(_add(), schema.Pause(torrents=[NAME]), _is_paused),
    "resume": Action(_add(paused=True), schema.Resume(torrents=[NAME]), _is_running),
    "recheck": Action(
        _add(paused=True, assume_complete=True),
        schema.Recheck(torrents=[NAME]),
        _is_to_be_checked,
    ),
    "files": Action(_add(paused=True), schema.SetFiles(torrent=NAME, skip=["b"]), _skips_b),
    "limits": Action(
        _add(paused=True), schema.SetLimits(torrent=NAME, down=12345, up=678), _is_limited
    ),
}


@pytest.mark.parametrize("what", ACTIONS)
async def test_what_was_answered_survives_a_kill(what: str, tmp_path: Path) -> None:
    action = ACTIONS[what]
    async with _killed_at_the_end(tmp_path) as client:
        await client.call(action.before)
        await client.call(action.done)
    async with _killed_at_the_end(tmp_path) as client:
        assert await action.holds(client)


async def test_a_peer_that_was_named_survives_a_kill(tmp_path: Path) -> None:
    async with _killed_at_the_end(tmp_path) as client:
        await client.call(_add(paused=True))
        await client.call(schema.AddPeer(torrents=[NAME], peer=PEER))
    state = StateDb(tmp_path / "state" / STATE_FILE)
    try:
        (row,) = state.load()
    finally:
        state.close()
    assert row.peers == f'["{PEER}"]'
