"""Speed of the storage room against a plain two-thread hashlib; run as a plain script.

    python tests/benchmarks/bench_storage.py [FOLDER] [MIB]

FOLDER (default: the system's folder for temporary files) decides which file system is measured.
Targets: write_pieces near hash + write of the two threads, gather ≤ 2 µs a block when warm, recheck
and create ≥ 0.9 × plain hashing of the same file.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import sys
import tempfile
import threading
from pathlib import Path
from time import perf_counter, process_time

sys.path.insert(0, str(Path(__file__).parents[2]))

from engine.core.metainfo import Info
from engine.storage.checker import Checker
from engine.storage.creator import create
from engine.storage.disk import Disk, WrittenPiece
from engine.storage.file_pool import FilePool
from engine.storage.filesystem import TorrentFiles
from engine.storage.piece_buffers import PieceBuffers
from engine.storage.reader import gather

PIECE_LENGTH = 1024 * 1024
ROUNDS = 3


def report(name: str, values: list[float], unit: str) -> None:
    low, middle, high = min(values), sorted(values)[len(values) // 2], max(values)
    print(f"{name:<44} {low:>9.2f} {middle:>9.2f} {high:>9.2f} {unit}")


def plain_hash(path: Path, threads: int = 2) -> float:
    """Hash all pieces with preadv and hashlib and nothing else; return MB/s."""
    size = path.stat().st_size
    count = size // PIECE_LENGTH
    fd = os.open(path, os.O_RDONLY)

    def work(first: int) -> None:
        buffer = bytearray(PIECE_LENGTH)
        for index in range(first, count, threads):
            os.preadv(fd, [buffer], index * PIECE_LENGTH)
            hashlib.sha1(buffer, usedforsecurity=False).digest()

    began = perf_counter()
    workers = [threading.Thread(target=work, args=(first,)) for first in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    elapsed = perf_counter() - began
    os.close(fd)
    return size / elapsed / 1e6


def plain_write(path: Path, source: memoryview, threads: int = 2) -> float:
    """Copy, hash and pwrite all pieces to a new file and nothing else; return MB/s."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, len(source))

    def work(first: int) -> None:
        buffer = bytearray(PIECE_LENGTH)
        for at in range(first * PIECE_LENGTH, len(source), threads * PIECE_LENGTH):
            buffer[:] = source[at : at + PIECE_LENGTH]
            hashlib.sha1(buffer, usedforsecurity=False).digest()
            os.pwrite(fd, buffer, at)

    began = perf_counter()
    workers = [threading.Thread(target=work, args=(first,)) for first in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    elapsed = perf_counter() - began
    os.close(fd)
    os.unlink(path)
    return len(source) / elapsed / 1e6


async def write_all(files: TorrentFiles, info: Info, source: memoryview) -> float:
    """Verify and write every piece through the pool of buffers; return MB/s."""
    disk = Disk(asyncio.get_running_loop())
    buffers = PieceBuffers(16 * PIECE_LENGTH)
    over = asyncio.get_running_loop().create_future()
    state = [0, 0]

    def fill() -> None:
        while state[0] < info.geometry.piece_count:
            if not buffers.reserve(PIECE_LENGTH):
                return
            buffer = buffers.lend(PIECE_LENGTH)
            index = state[0]
            state[0] += 1
            at = index * PIECE_LENGTH
            buffer[:] = source[at : at + PIECE_LENGTH]

            def done(results: object, buffer: memoryview = buffer) -> None:
                assert results == [WrittenPiece()], results
                buffers.release(PIECE_LENGTH, buffer)
                state[1] += 1
                fill()
                if state[1] == info.geometry.piece_count and not over.done():
                    over.set_result(None)

            disk.write_pieces(files, [(at, memoryview(buffer), info.piece_hash(index))], done)

    began = perf_counter()
    fill()
    await over
    elapsed = perf_counter() - began
    await disk.close()
    return info.total_length / elapsed / 1e6


async def recheck(files: TorrentFiles, info: Info) -> float:
    disk = Disk(asyncio.get_running_loop())
    began = perf_counter()
    found = await Checker(disk, files, info).run()
    elapsed = perf_counter() - began
    assert found.is_full
    await disk.close()
    return info.total_length / elapsed / 1e6


def gather_blocks(files: TorrentFiles, info: Info, batch: int) -> float:
    """Return µs per block of 16 KiB, batches of `batch` contiguous blocks at random pieces."""
    geometry = info.geometry
    views = [memoryview(bytearray(16384)) for _ in range(batch)]
    rng = random.Random(1)
    blocks = 64 * 1024
    batches = [
        [(geometry.piece_offset(index) + rng.randrange(64 // batch) * batch * 16384, views)]
        for index in (rng.randrange(geometry.piece_count) for _ in range(blocks // batch))
    ]
    files.read_into(0, views[:1])
    began = process_time()
    for runs in batches:
        assert gather(files, runs)
    return (process_time() - began) / blocks * 1e6


def plain_read(path: Path) -> float:
    """Return µs per 16 KiB of preadv, 16 views at a time, and nothing else: gather's floor."""
    views = [bytearray(16384) for _ in range(16)]
    rng = random.Random(1)
    places = [rng.randrange(path.stat().st_size >> 18) << 18 for _ in range(4096)]
    fd = os.open(path, os.O_RDONLY)
    began = process_time()
    for place in places:
        os.preadv(fd, views, place)
    elapsed = process_time() - began
    os.close(fd)
    return elapsed / len(places) / 16 * 1e6


def main() -> None:
    folder = sys.argv[1] if len(sys.argv) > 1 else None
    size = int(sys.argv[2] if len(sys.argv) > 2 else 512) * 1024 * 1024
    pool = FilePool()
    print(f"{'':<44} {'min':>9} {'median':>9} {'max':>9}")
    with tempfile.TemporaryDirectory(dir=folder) as name:
        source = Path(name, "source")
        data = bytearray(os.urandom(size))
        source.write_bytes(data)
        info = create(source, piece_length=PIECE_LENGTH).info
        files = TorrentFiles(Path(name), info, pool)
        plain, checked, created = [], [], []
        for _ in range(ROUNDS):
            plain.append(plain_hash(source))
            checked.append(asyncio.run(recheck(files, info)))
            began = perf_counter()
            create(source, piece_length=PIECE_LENGTH)
            created.append(size / (perf_counter() - began) / 1e6)
        report("plain hashlib, 2 threads", plain, "MB/s")
        report("recheck, 2 threads", checked, "MB/s")
        report("create", created, "MB/s")
        floor = [plain_read(source) for _ in range(ROUNDS)]
        report("plain preadv, 16 blocks a call", floor, "µs/block")
        for batch in (1, 4, 16, 64):
            blocks = [gather_blocks(files, info, batch) for _ in range(ROUNDS)]
            report(f"gather, warm, {batch} blocks a batch", blocks, "µs/block")
        written, floors = [], []
        for number in range(ROUNDS):
            target = TorrentFiles(Path(name, str(number)), info, pool)
            target.prepare()
            written.append(asyncio.run(write_all(target, info, memoryview(data))))
            target.delete()
            floors.append(plain_write(Path(name, "plain"), memoryview(data)))
        report("plain copy, hash and pwrite, 2 threads", floors, "MB/s")
        report("write_pieces, 2 threads, new file", written, "MB/s")
        files.close()
        pool.close()


if __name__ == "__main__":
    main()
