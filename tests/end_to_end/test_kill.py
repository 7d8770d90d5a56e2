"""What survives `kill -9`: every torrent, every verified byte, all but the last bit of progress.

Also what a clean stop leaves when files are touched meanwhile: only what disagrees is checked.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.control import schema
from engine.control.client import ControlClient
from engine.core.bitfield import Bitfield
from engine.core.file_choice import FileChoice
from engine.core.metainfo import Metainfo
from engine.session.session import Session
from engine.session.state_db import StateDb
from engine.storage.chosen_files import ChosenFiles
from engine.storage.file_pool import FilePool
from engine.torrent.lifecycle import State
from tests.end_to_end.dht_rig import dht_options
from tests.end_to_end.rig import endpoint_of, running, seeding, until, until_state
from tests.storage.torrents import Layout, Sample, sample

KIB = 1024
PIECE = 16 * KIB
RATE = 1024 * KIB
KILLS = 20
LOST_S = 1.0
"""Transfer that a kill may cost, here where commits are made ten times a second."""
CHILD = Path(__file__).parents[1] / "fakes" / "daemon_child.py"


class Daemon:
    """One life of the daemon."""

    def __init__(self, process: asyncio.subprocess.Process, socket_path: Path) -> None:
        self.process, self._socket_path = process, socket_path

    async def until_ready(self) -> ControlClient:
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            line = await self.process.stdout.readline()
        assert line == b"ready\n", await self.process.communicate()
        return await ControlClient.connect(self._socket_path)

    async def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        _, said = await self.process.communicate()
        assert b"Traceback" not in said, said.decode()


@contextlib.asynccontextmanager
async def _daemon(
    folder: Path, down_limit: int = RATE, *, joins_by: str | None = None
) -> AsyncIterator[Daemon]:
    socket_path = folder / "s"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(CHILD),
        str(socket_path),
        str(folder / "state"),
        str(down_limit),
        *([] if joins_by is None else [joins_by]),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    daemon = Daemon(process, socket_path)
    try:
        yield daemon
    finally:
        if process.returncode is None:
            await daemon.kill()


async def _add(client: ControlClient, metainfo: Metainfo, folder: Path, seeder: Session) -> None:
    await client.call(
        schema.AddTorrent(
            metainfo=metainfo.encode(),
            save_path=str(folder / "target"),
            peers=[str(endpoint_of(seeder))],
        )
    )


async def _seeds(client: ControlClient, name: str) -> schema.TorrentRow:
    """The torrent, as soon as it seeds."""
    while True:
        row = (await client.call(schema.GetTorrent(torrent=name))).row
        if row.state is schema.TorrentState.SEEDING:
            return row


def _recorded(folder: Path, content: Sample) -> list[int]:
    """The pieces that the state file of a dead daemon vouches for; they are right on disk."""
    state = StateDb(folder / "state" / "state.db")
    try:
        (row,) = state.load()
    finally:
        state.close()
    if row.have is None:
        return []
    have = list(Bitfield.from_bytes(row.have, content.info.geometry.piece_count))
    data = (folder / "target" / "t").read_bytes() if have else b""
    assert all(data[n * PIECE :][:PIECE] == content.piece(n) for n in have)
    return have


async def test_twenty_kills_corrupt_nothing_and_lose_next_to_nothing(tmp_path: Path) -> None:
    rng = random.Random(7)
    content = sample(6 * KIB * KIB + 333, PIECE)
    content.store(tmp_path / "source")
    metainfo = Metainfo(content.info)
    name = metainfo.info_hash.hex()
    most_lost = RATE * LOST_S // PIECE
    recorded: list[int] = []
    async with running() as seeder:
        await seeding(seeder, metainfo, tmp_path / "source")
        for number in range(KILLS):
            async with _daemon(tmp_path) as daemon:
                if number and not rng.randrange(4):
                    await asyncio.sleep(rng.uniform(0, 0.4))  # in the middle of its start
                    await daemon.kill()
                    assert set(_recorded(tmp_path, content)) >= set(recorded)
                    continue
                async with await daemon.until_ready() as client:
                    if not number:
                        await _add(client, metainfo, tmp_path, seeder)
                    before = await client.call(schema.GetTorrent(torrent=name))
                    assert before.pieces_have >= len(recorded)
                    await asyncio.sleep(rng.uniform(0, 0.5))
                    seen = await client.call(schema.GetTorrent(torrent=name))
                    log = await client.call(schema.GetLog(torrent=name))
                    await daemon.kill()
            assert not [line.text for line in log if "check" in line.text or line.level != "info"]
            recorded = _recorded(tmp_path, content)
            assert len(recorded) >= seen.pieces_have - most_lost
        assert len(recorded) > 30  # they did get somewhere
        async with _daemon(tmp_path, down_limit=0) as daemon, await daemon.until_ready() as client:
            async with asyncio.timeout(20):
                row = await _seeds(client, name)
            daemon.process.send_signal(signal.SIGTERM)
            assert await daemon.process.wait() == 0
    assert (tmp_path / "target" / "t").read_bytes() == content.data
    assert row.downloaded < 2 * content.info.total_length


def _all_recorded_is_there(folder: Path, content: Sample) -> int:
    """Look, as a new life would, at a copy of what a dead daemon left; return how many pieces its
    state file vouches for."""
    state = StateDb(folder / "state" / "state.db")
    try:
        (row,) = state.load()
    finally:
        state.close()
    count = content.info.geometry.piece_count
    have = list(Bitfield.from_bytes(row.have, count)) if row.have is not None else []
    choice = FileChoice(row.priorities, Bitfield(count)) if row.priorities else None
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder / "target", copy)
    pool = FilePool(8)
    files = ChosenFiles(copy, content.info, pool, skipped=choice.skipped if choice else frozenset())
    assert files.gather() == []
    for index in have:
        buffer = bytearray(content.info.geometry.piece_size(index))
        files.read_into(index * PIECE, [buffer])
        assert buffer == content.piece(index)
    pool.close()
    return len(have)


async def test_kills_while_small_files_are_written_and_chosen(tmp_path: Path) -> None:
    """Pieces go to several files each, and apart; those that are vouched for are where they are
    looked for, and in the end every file is right."""
    rng = random.Random(11)
    sizes = (500, 3000, 9000, PIECE, 20_000)
    content = sample([Layout(f"d{n % 7}/{n:04}", rng.choice(sizes)) for n in range(400)], PIECE)
    content.store(tmp_path / "source")
    metainfo = Metainfo(content.info)
    name = metainfo.info_hash.hex()
    most = 0
    async with running() as seeder:
        await seeding(seeder, metainfo, tmp_path / "source")
        for number in range(6):
            async with (
                _daemon(tmp_path, down_limit=2 * RATE) as daemon,
                await daemon.until_ready() as client,
            ):
                if not number:
                    await _add(client, metainfo, tmp_path, seeder)
                for _ in range(rng.randint(2, 6)):
                    first = rng.randrange(380)
                    files = [f"{first}-{first + rng.randint(1, 19)}"]
                    how = rng.choice(["only", "skip", "skip", "normal", "normal"])
                    await client.call(schema.SetFiles(torrent=name, **{how: files}))
                    await asyncio.sleep(rng.uniform(0, 0.05))
                if number % 2:
                    await client.call(schema.SetFiles(torrent=name, normal=["*"]))
                await asyncio.sleep(rng.uniform(0, 0.4))
                await daemon.kill()
            most = max(most, _all_recorded_is_there(tmp_path, content))
        assert most > 0  # they did get somewhere
        async with _daemon(tmp_path, down_limit=0) as daemon, await daemon.until_ready() as client:
            await client.call(schema.SetFiles(torrent=name, normal=["*"]))
            async with asyncio.timeout(30):
                await _seeds(client, name)
            daemon.process.send_signal(signal.SIGTERM)
            assert await daemon.process.wait() == 0
    for number, file in enumerate(content.info.files):
        assert tmp_path.joinpath("target", *file.path).read_bytes() == content.content_of(number)
    assert not list((tmp_path / "target").glob(".*.parts"))


async def _joined(client: ControlClient) -> schema.DhtNodeInfo:
    """Our node of IPv4, once it is part of the DHT."""
    async with asyncio.timeout(20):
        while True:
            (node,) = (await client.call(schema.DhtStatus())).nodes
            if node.is_joined:
                return node
            await asyncio.sleep(0.05)


def _are_kept(folder: Path, ids: list[bytes]) -> bool:
    """Whether the state file, which its owner has locked, has all these nodes."""
    written = b"".join(path.read_bytes() for path in (folder / "state").glob("state.db*"))
    return all(each in written for each in ids)


@pytest.mark.parametrize("how", ["removed, stopped", "removed, killed", "killed, removed"])
async def test_a_file_that_goes_missing_in_a_download_is_fetched_again(
    how: str, tmp_path: Path
) -> None:
    """Nothing is recorded of how it looked: when the download began there was no file."""
    content = sample([Layout(name, 2 * KIB * KIB + 5) for name in "abc"], PIECE)
    content.store(tmp_path / "source")
    metainfo = Metainfo(content.info)
    name = metainfo.info_hash.hex()
    files = [tmp_path.joinpath("target", *file.path) for file in content.info.files]
    async with running() as seeder:
        await seeding(seeder, metainfo, tmp_path / "source")
        async with _daemon(tmp_path) as daemon, await daemon.until_ready() as client:
            await _add(client, metainfo, tmp_path, seeder)
            async with asyncio.timeout(20):
                while (await client.call(schema.GetTorrent(torrent=name))).row.progress < 0.3:
                    pass
            if how.startswith("removed"):
                files[0].unlink()
            if how.endswith("stopped"):
                daemon.process.send_signal(signal.SIGTERM)
                await daemon.process.communicate()
            else:
                await daemon.kill()
        files[0].unlink(missing_ok=True)
        async with _daemon(tmp_path, down_limit=0) as daemon, await daemon.until_ready() as client:
            async with asyncio.timeout(20):
                await _seeds(client, name)
    for number, file in enumerate(files):
        assert file.read_bytes() == content.content_of(number)


async def test_the_table_of_the_dht_survives_a_kill(tmp_path: Path) -> None:
    """The next life knows its id and its nodes, and asks nobody to be let in."""
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(running(dht_options()))
        others = [await stack.enter_async_context(running(dht_options(first))) for _ in range(5)]
        nodes = [first, *others]
        ids = [bytes(session.dht.nodes[False].node_id) for session in nodes]
        for session in nodes:
            await until(session, lambda session=session: bool(session.dht.joined))
        joins_by = ",".join(str(endpoint) for s in nodes for endpoint in s.udp.endpoints)
        first_life, next_life = (_daemon(tmp_path, joins_by=each) for each in (joins_by, ""))
        async with first_life as daemon, await daemon.until_ready() as client:
            before = await _joined(client)
            assert before.nodes == len(nodes)
            async with asyncio.timeout(20):
                while not _are_kept(tmp_path, ids):
                    await asyncio.sleep(0.1)
            await daemon.kill()
        async with next_life as daemon, await daemon.until_ready() as client:
            after = await _joined(client)
    assert after.node_id == before.node_id
    assert after.nodes == before.nodes


# ── a clean stop ────────────────────────────────────────────────────────────────────────────────


def _flip(path: Path, at: int) -> None:
    """Damage a byte so that nobody can see it from outside."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("harm", ["modified", "deleted", "truncated", "extended", "touched"])
async def test_only_what_disagrees_is_checked_after_a_stop(harm: str, tmp_path: Path) -> None:
    """File `a` is damaged in secret and stays trusted, which shows that it was not read."""
    content = sample([Layout(name, 4 * PIECE) for name in "abc"], PIECE)
    content.store(tmp_path)
    async with running(state_dir=tmp_path / "state") as session:
        await seeding(session, Metainfo(content.info), tmp_path)
    _flip(tmp_path / "t" / "a", 0)
    b = tmp_path / "t" / "b"
    data = bytearray(b.read_bytes())
    match harm:
        case "modified":
            data[PIECE] ^= 1
            b.write_bytes(data)
        case "deleted":
            b.unlink()
        case "truncated":
            os.truncate(b, 3 * PIECE)
        case "extended":
            b.write_bytes(data + b"more")
        case "touched":
            os.utime(b)
    lost = {"modified": {5}, "deleted": {4, 5, 6, 7}, "truncated": {7}}.get(harm, set())
    async with running(state_dir=tmp_path / "state") as session:
        (torrent,) = session.torrents.values()
        await until_state(session, torrent, State.DOWNLOADING if lost else State.SEEDING)
        assert set(torrent.have.missing()) == lost
        warned = [text for _, level, text in torrent.log_lines if level == "warning"]
        assert warned[0] == "1 file does not look as recorded: checking"
        assert [text for text in warned[1:] if "4 bytes longer" not in text] == []
        assert len(warned) == 1 + (harm == "extended")
        torrent.recheck()
        await until_state(session, torrent, State.DOWNLOADING)
        assert set(torrent.have.missing()) == lost | {0}


async def test_a_stop_in_the_middle_leaves_nothing_to_check(tmp_path: Path) -> None:
    """However long ago the torrent was begun."""
    content = sample(PIECE * 64, PIECE)
    content.store(tmp_path / "source")
    metainfo = Metainfo(content.info)
    async with running() as seeder:
        await seeding(seeder, metainfo, tmp_path / "source")
        async with running(state_dir=tmp_path) as session:
            session.set_limits(down=RATE)
            torrent = await session.add(
                metainfo, save_path=tmp_path / "target", peers=[endpoint_of(seeder)]
            )
            async with asyncio.timeout(20):
                while torrent.have.count < 10:
                    await session.facilities.disk.run(lambda: None)
            assert torrent.record is not None
            assert not torrent.record.is_clean
        assert torrent.wants_to_run
        assert torrent.record.is_clean
        kept = torrent.have.count
        # As if all of it had happened an hour ago.
        state = StateDb(tmp_path / "state.db")
        state._db.execute("UPDATE torrents SET committed_at = committed_at - 3600")
        state.close()
        async with running(state_dir=tmp_path) as session:
            (torrent,) = session.torrents.values()
            assert torrent.have.count == kept
            await until_state(session, torrent, State.SEEDING)
            assert not [text for _, level, text in torrent.log_lines if level != "info"]
    assert (tmp_path / "target" / "t").read_bytes() == content.data


async def test_a_paused_torrent_comes_back_paused(tmp_path: Path) -> None:
    content = sample(PIECE, PIECE)
    content.store(tmp_path)
    async with running(state_dir=tmp_path / "state") as session:
        torrent = await seeding(session, Metainfo(content.info), tmp_path)
        torrent.pause()
    async with running(state_dir=tmp_path / "state") as session:
        (torrent,) = session.torrents.values()
        assert torrent.state is State.PAUSED
        assert torrent.is_complete
        torrent.start()
        await until_state(session, torrent, State.SEEDING)
