from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from engine.errors import DiskFullError, StorageError
from engine.storage.backend import Backend, WritableView
from engine.storage.disk import Disk, HashMismatch, PieceResult, Priority, WrittenPiece
from engine.storage.file_pool import FilePool
from engine.storage.filesystem import TorrentFiles
from engine.storage.middleware import Middleware
from tests.storage.torrents import sample


@pytest_asyncio.fixture
async def disk() -> AsyncIterator[Disk]:
    disk = Disk(asyncio.get_running_loop())
    yield disk
    await disk.close()


@pytest.fixture
def pool() -> FilePool:
    return FilePool(8)


async def write_piece(
    disk: Disk, files: TorrentFiles, offset: int, piece: bytes, sha1: bytes
) -> PieceResult:
    written: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    disk.write_pieces(files, [(offset, memoryview(bytearray(piece)), sha1)], written.set_result)
    results = await written
    assert isinstance(results, list)
    assert len(results) == 1
    return results[0]


async def test_a_good_piece_is_written_and_a_bad_one_is_not(
    disk: Disk, pool: FilePool, tmp_path: Path
) -> None:
    torrent = sample(40_000)
    files = TorrentFiles(tmp_path, torrent.info, pool)
    files.prepare()
    bad = await write_piece(disk, files, 32768, torrent.piece(2), b"x" * 20)
    assert bad == HashMismatch(hashlib.sha1(torrent.piece(2)).digest())
    assert not (tmp_path / "t").exists()
    good = await write_piece(disk, files, 32768, torrent.piece(2), torrent.info.piece_hash(2))
    assert good == WrittenPiece()
    assert (tmp_path / "t").read_bytes() == bytes(32768) + torrent.piece(2)
    pool.close()


class _Noting(Middleware):
    """Notes which spans were written, each in one call."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.written: list[tuple[int, int]] = []

    def write(self, offset: int, views: Sequence[WritableView]) -> None:
        super().write(offset, views)
        self.written.append((offset, sum(map(len, views))))


async def test_pieces_of_a_job_share_a_write_with_their_neighbours(
    disk: Disk, pool: FilePool, tmp_path: Path
) -> None:
    torrent = sample(20 * 16384 - 5)
    files = _Noting(TorrentFiles(tmp_path, torrent.info, pool))
    indexes = (4, 5, 6, 7, 8, 0, 19, 12)
    pieces = [
        (
            index * 16384,
            memoryview(bytearray(torrent.piece(index))),
            b"x" * 20 if index == 6 else torrent.info.piece_hash(index),
        )
        for index in indexes
    ]
    told: list[object] = []
    disk.write_pieces(files, pieces, told.append)
    assert disk.unfinished == 1
    await disk.settle()
    (found,) = told
    assert isinstance(found, list)
    results = dict(zip(indexes, found, strict=True))
    assert results.pop(6) == HashMismatch(hashlib.sha1(torrent.piece(6)).digest())
    assert results == dict.fromkeys((4, 5, 7, 8, 0, 19, 12), WrittenPiece())
    assert files.written == [
        (4 * 16384, 2 * 16384),
        (7 * 16384, 2 * 16384),
        (0, 16384),
        (19 * 16384, 16379),
        (12 * 16384, 16384),
    ]
    stored = (tmp_path / "t").read_bytes()
    for index in results:
        assert stored[index * 16384 :][: len(torrent.piece(index))] == torrent.piece(index)
    pool.close()


async def test_storage_errors_arrive_as_results(disk: Disk, pool: FilePool, tmp_path: Path) -> None:
    torrent = sample(10)
    files = TorrentFiles(tmp_path / "gone", torrent.info, pool)
    result = await write_piece(disk, files, 0, torrent.data, torrent.info.piece_hash(0))
    assert isinstance(result, StorageError)


async def test_run_returns_and_raises(disk: Disk) -> None:
    def fail() -> None:
        raise DiskFullError("full")

    assert await disk.run(threading.get_ident) != threading.get_ident()
    with pytest.raises(DiskFullError, match="full"):
        await disk.run(fail)
    assert disk.unfinished == 0


async def test_done_is_called_once_each_on_the_loop_in_batches(disk: Disk) -> None:
    here = threading.get_ident()
    seen: list[tuple[int, int]] = []
    for number in range(1000):
        disk.submit(
            lambda number=number: number,
            lambda result: seen.append((threading.get_ident(), int(result))),
        )
    await disk.close()
    assert sorted(seen) == [(here, number) for number in range(1000)]


async def test_a_failing_callback_does_not_eat_the_others(disk: Disk) -> None:
    loop = asyncio.get_running_loop()
    complaints: list[object] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context["exception"]))
    seen: list[object] = []

    def explode(result: object) -> None:
        raise ZeroDivisionError

    for done in (explode, seen.append, explode, seen.append):
        disk.submit(int, done)
    await disk.close()
    assert seen == [0, 0]
    assert [type(complaint) for complaint in complaints] == [ZeroDivisionError] * 2


async def test_traffic_goes_before_checks_which_still_get_turns() -> None:
    disk = Disk(asyncio.get_running_loop(), threads=1)
    gate = threading.Event()
    disk.submit(gate.wait, lambda _: None)
    order: list[str] = []
    for _ in range(4):
        disk.submit(lambda: "check", order.append, priority=Priority.CHECK)
    for _ in range(40):
        disk.submit(lambda: "traffic", order.append)
    assert disk.queue_length >= 44
    gate.set()
    await disk.close()
    assert order[:8] == ["traffic"] * 8
    assert 1 <= order[:40].count("check") < 4
    assert len(order) == 44


async def test_run_waits_while_the_lanes_are_long(disk: Disk) -> None:
    gate = threading.Event()
    runs = [asyncio.create_task(disk.run(gate.wait)) for _ in range(1000)]
    await asyncio.sleep(0)
    assert disk.unfinished <= 256
    for run in runs[900:]:
        run.cancel()
    gate.set()
    results = await asyncio.gather(*runs, return_exceptions=True)
    assert results[:900] == [True] * 900
    assert all(isinstance(result, asyncio.CancelledError) for result in results[900:])


async def test_a_cancelled_run_lets_its_job_end(disk: Disk) -> None:
    began, gate, ended = threading.Event(), threading.Event(), threading.Event()

    def job() -> None:
        began.set()
        gate.wait()
        ended.set()

    run = asyncio.create_task(disk.run(job))
    while not began.is_set():
        await asyncio.sleep(0)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    gate.set()
    await disk.close()
    assert ended.is_set()


async def test_settle_waits_for_all_that_came_before_and_only_for_that(disk: Disk) -> None:
    before, after = threading.Event(), threading.Event()
    done: list[object] = []
    disk.submit(before.wait, done.append)
    disk.submit(int, done.append)
    settling = asyncio.create_task(disk.settle())
    await asyncio.sleep(0)
    disk.submit(after.wait, done.append)
    while not done:
        await asyncio.sleep(0)
    assert not settling.done()
    before.set()
    await settling
    assert done == [0, True]
    after.set()
    await disk.settle()
    assert len(done) == 3


async def test_a_closed_disk_takes_no_jobs(disk: Disk) -> None:
    await disk.close()
    with pytest.raises(RuntimeError):
        disk.submit(int, print)
