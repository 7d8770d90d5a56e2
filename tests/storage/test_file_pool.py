from __future__ import annotations

import errno
import os
import resource
import threading
from pathlib import Path

import pytest

from engine.storage.file_pool import FilePool, default_limit


class Folder:
    """Numbered files; counts how often each was opened."""

    def __init__(self, path: Path, count: int) -> None:
        self.path = path
        self.opened: list[tuple[int, bool]] = []
        self.failures: list[int] = []
        for number in range(count):
            (path / str(number)).write_bytes(b"%d" % number)

    def open_file(self, file: int, *, writable: bool) -> int:
        if self.failures:
            code = self.failures.pop()
            raise OSError(code, os.strerror(code))
        self.opened.append((file, writable))
        return os.open(self.path / str(file), os.O_RDWR if writable else os.O_RDONLY)


def open_count() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_file_is_opened_once_and_oldest_idle_ones_go(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 6)
    pool = FilePool(3)
    before = open_count()
    for file in (0, 1, 2, 0, 3, 0):
        with pool.lease(folder, file) as fd:
            assert os.pread(fd, 9, 0) == b"%d" % file
    assert [file for file, _ in folder.opened] == [0, 1, 2, 3]
    assert open_count() - before == len(pool) == 3
    with pool.lease(folder, 1):
        pass
    assert [file for file, _ in folder.opened] == [0, 1, 2, 3, 1]
    pool.close()
    assert open_count() == before


def test_leased_files_stay_open_beyond_the_limit(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 4)
    pool = FilePool(1)
    leases = [pool.lease(folder, file) for file in range(4)]
    fds = [lease.__enter__() for lease in leases]
    assert [os.pread(fd, 1, 0) for fd in fds] == [b"0", b"1", b"2", b"3"]
    for lease in leases:
        lease.__exit__(None, None, None)
    with pool.lease(folder, 3):
        pass
    assert len(folder.opened) == 4
    pool.close()


def test_writing_reopens_and_then_serves_reading(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 1)
    pool = FilePool(2)
    with pool.lease(folder, 0) as read_only:
        with pool.lease(folder, 0, writable=True) as fd:
            os.pwrite(fd, b"x", 0)
        assert os.pread(read_only, 1, 0) == b"x"
    with pool.lease(folder, 0):
        pass
    assert folder.opened == [(0, False), (0, True)]
    pool.close()


def test_peek_opens_nothing(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 1)
    pool = FilePool(2)
    assert pool.peek(folder, 0) is None
    with pool.lease(folder, 0):
        pass
    found = pool.peek(folder, 0)
    assert found is not None
    with found as fd:
        assert os.pread(fd, 1, 0) == b"0"
    assert len(folder.opened) == 1
    pool.close()


def test_invalidate_closes_idle_files_now_and_leased_ones_later(tmp_path: Path) -> None:
    first, second = Folder(tmp_path, 3), Folder(tmp_path, 3)
    pool = FilePool(8)
    before = open_count()
    lease = pool.lease(first, 0)
    with lease as fd:
        for folder in (first, second):
            for file in (1, 2):
                with pool.lease(folder, file):
                    pass
        pool.invalidate(first, 1)
        assert len(pool) == 4
        pool.invalidate(first)
        assert len(pool) == 2
        assert os.pread(fd, 1, 0) == b"0"
    assert open_count() - before == 2
    pool.close()


def test_of_an_owner_that_parted_nothing_is_held_open(tmp_path: Path) -> None:
    """Jobs that come late still find its files; a deleted one would take its room for ever."""
    folder, other = Folder(tmp_path, 2), Folder(tmp_path, 2)
    pool = FilePool(4)
    pool.invalidate(folder, 0)
    with pool.lease(folder, 0):
        pass
    assert len(pool) == 1, "that was about one file"
    pool.invalidate(folder)
    before = open_count()
    for writable in (False, True):
        with pool.lease(folder, 1, writable=writable) as fd:
            assert os.pread(fd, 9, 0) == b"1"
    assert (len(pool), open_count()) == (0, before)
    with pool.lease(other, 1):
        pass
    assert len(pool) == 1
    pool.close()


def test_running_out_of_descriptors_gives_back_ours_and_tries_again(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 2)
    pool = FilePool(8)
    with pool.lease(folder, 0):
        pass
    folder.failures = [errno.EMFILE]
    with pool.lease(folder, 1):
        assert len(pool) == 1
    folder.failures = [errno.EMFILE, errno.EMFILE]
    with pytest.raises(OSError, match="Too many open files"):
        pool.lease(folder, 0)
    folder.failures = [errno.EACCES]
    with pytest.raises(PermissionError):
        pool.lease(folder, 0)
    pool.close()


def test_threads_share_a_small_pool(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 30)
    pool = FilePool(4)
    wrong: list[int] = []

    def work(seed: int) -> None:
        for step in range(600):
            file = (step * seed) % 30
            with pool.lease(folder, file, writable=step % 3 == 0) as fd:
                if os.pread(fd, 9, 0) != b"%d" % file:
                    wrong.append(file)
            if step % 50 == 0:
                pool.invalidate(folder)

    before = open_count()
    threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 7, 11)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    pool.close()
    assert open_count() == before


def test_the_default_leaves_most_descriptors_to_sockets() -> None:
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert 4 <= default_limit() <= min(512, max(16, allowed // 4))
