"""Hash a file in one of several ways, in a process of its own; tells seconds, CPU and memory.

python -m tests.benchmarks.hash_child plain|create-seedwright|create-libtorrent FILE
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
import time
from pathlib import Path

from tests.benchmarks.process_figures import KIB_PER_MIB, memory

PIECE_LENGTH = 1 << 20
_READ_BYTES = 512 * 1024
THREADS = 2


def plain(path: Path) -> None:
    """Two threads, preadv and hashlib, and nothing else: what the machine can do."""
    count = -(-path.stat().st_size // PIECE_LENGTH)
    fd = os.open(path, os.O_RDONLY)
    numbers = iter(range(count))
    lock = threading.Lock()

    def work() -> None:
        buffer = memoryview(bytearray(_READ_BYTES))
        while True:
            with lock:
                index = next(numbers, None)
            if index is None:
                return
            sha1 = hashlib.sha1(usedforsecurity=False)
            for at in range(0, PIECE_LENGTH, _READ_BYTES):
                read = os.preadv(fd, (buffer,), index * PIECE_LENGTH + at)
                sha1.update(buffer[:read])
            sha1.digest()

    workers = [threading.Thread(target=work) for _ in range(THREADS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    os.close(fd)


def create_seedwright(path: Path) -> None:
    from engine.storage.creator import create

    create(path, piece_length=PIECE_LENGTH)


def create_libtorrent(path: Path) -> None:
    import libtorrent as lt

    files = lt.file_storage()
    lt.add_files(files, str(path))
    torrent = lt.create_torrent(files, PIECE_LENGTH, lt.create_torrent.v1_only)
    lt.set_piece_hashes(torrent, str(path.parent))
    torrent.generate()


WAYS = {
    "plain": plain,
    "create-seedwright": create_seedwright,
    "create-libtorrent": create_libtorrent,
}


def main() -> None:
    way, path = WAYS[sys.argv[1]], Path(sys.argv[2])
    if way is create_libtorrent:
        import libtorrent  # noqa: F401 - loading it is not hashing
    elif way is create_seedwright:
        import engine.storage.creator  # noqa: F401
    began, cpu = time.monotonic(), time.process_time()
    way(path)
    result = {
        "event": "result",
        "seconds": time.monotonic() - began,
        "cpu": time.process_time() - cpu,
        "rss": memory(os.getpid()).peak / KIB_PER_MIB,
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
