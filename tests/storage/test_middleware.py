from __future__ import annotations

import asyncio
import errno
from pathlib import Path

import pytest

from engine.errors import DiskFullError, StorageDeniedError, StorageError
from engine.storage.disk import Disk, PieceResult, WrittenPiece
from engine.storage.file_pool import FilePool
from engine.storage.filesystem import TorrentFiles
from engine.storage.middleware import Failing, Full, Middleware, Slow
from tests.storage.torrents import sample

TORRENT = sample(10 * 16384)


def test_a_full_disk_says_so_until_there_is_room(tmp_path: Path) -> None:
    files = TorrentFiles(tmp_path, TORRENT.info, FilePool(2))
    full = Full(files, 3 * 16384)
    for index in range(3):
        full.write(index * 16384, [bytearray(TORRENT.piece(index))])
    with pytest.raises(DiskFullError):
        full.write(3 * 16384, [bytearray(TORRENT.piece(3))])
    full.capacity_bytes += 16384
    full.write(3 * 16384, [bytearray(TORRENT.piece(3))])
    assert (tmp_path / "t").read_bytes()[: 4 * 16384] == TORRENT.data[: 4 * 16384]
    full.close()


def test_failing_pieces_fail_both_ways(tmp_path: Path) -> None:
    TORRENT.store(tmp_path)
    files = TorrentFiles(tmp_path, TORRENT.info, FilePool(2))
    failing = Failing(files, 16384, {4})
    failing.read_into(0, [bytearray(4 * 16384)])
    failing.read_into(5 * 16384, [bytearray(16384)])
    for offset, length in ((4 * 16384, 1), (5 * 16384 - 1, 1), (0, 65537)):
        with pytest.raises(StorageError, match="Input/output error"):
            failing.read_into(offset, [bytearray(length)])
        assert not failing.read_into_nowait(offset, [bytearray(length)])
        with pytest.raises(StorageError):
            failing.write(offset, [bytearray(length)])
    writes_only = Failing(files, 16384, {0}, errno_=errno.EACCES, reads=False)
    writes_only.read_into(0, [bytearray(1)])
    with pytest.raises(StorageDeniedError):
        writes_only.write(0, [bytearray(1)])
    assert (tmp_path / "t").read_bytes() == TORRENT.data
    files.close()


def test_the_rest_goes_through(tmp_path: Path) -> None:
    files = TorrentFiles(tmp_path, TORRENT.info, FilePool(2))
    stack = Slow(Middleware(files), 0.0)
    stack.prepare()
    stack.write(0, [bytearray(TORRENT.data)])
    stack.flush()
    assert stack.next_data(0, 10) == 0
    stack.will_need(0, 100)
    assert stack.stamps() == files.stamps()
    stack.delete()
    assert not (tmp_path / "t").exists()


async def test_a_disk_that_fills_up_costs_pieces_and_nothing_else(tmp_path: Path) -> None:
    files = TorrentFiles(tmp_path, TORRENT.info, FilePool(2))
    disk = Disk(asyncio.get_running_loop())
    results: list[PieceResult] = []

    def done(told: list[PieceResult] | Exception) -> None:
        assert isinstance(told, list)
        results.extend(told)

    full = Full(files, 6 * 16384)
    pieces = [
        (index * 16384, memoryview(bytearray(TORRENT.piece(index))), TORRENT.info.piece_hash(index))
        for index in range(10)
    ]
    disk.write_pieces(full, pieces[:4], done)
    disk.write_pieces(full, pieces[4:], done)
    await disk.close()
    assert results.count(WrittenPiece()) == 6
    assert sum(isinstance(result, DiskFullError) for result in results) == 4
    files.close()
