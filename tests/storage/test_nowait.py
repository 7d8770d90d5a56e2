"""What is in memory is read without waiting, wherever it lies; what cannot be read so says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.storage.nowait import is_cached, nowait_flags


def _check(folder: Path) -> int:
    path = folder / "file"
    path.write_bytes(b"warm")
    with path.open("rb") as file:
        flags = nowait_flags(file.fileno())
        if flags >= 0:
            content = bytearray(4)
            assert os.preadv(file.fileno(), (content,), 0, flags) == 4
            assert content == b"warm"
    path.unlink()
    return flags


def test_what_was_just_written_is_read_with_the_flags(tmp_path: Path) -> None:
    assert _check(tmp_path) in (-1, 0, getattr(os, "RWF_NOWAIT", 0))


def test_a_file_system_in_memory_never_waits(tmp_path: Path) -> None:
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        pytest.skip("no /dev/shm to write to here")
    folder = memory / f"seedwright-{os.getpid()}"
    folder.mkdir()
    try:
        assert _check(folder) >= 0
    finally:
        folder.rmdir()


def test_what_has_no_places_cannot_be_asked() -> None:
    reading, writing = os.pipe()
    try:
        assert nowait_flags(reading) == -1
    finally:
        os.close(reading)
        os.close(writing)


def test_what_is_in_the_page_cache_is_known_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(1 << 20))
    with path.open("rb") as file:
        fd = file.fileno()
        os.fsync(fd)
        if nowait_flags(fd) <= 0 or not is_cached(fd, 0, 1):
            pytest.skip("this kernel or file system does not say")
        assert is_cached(fd, 0, 1 << 20)
        assert is_cached(fd, 5, 9000)
        assert not is_cached(fd, (1 << 20) - 10, 20), "that is beyond the end"
        assert not is_cached(fd, 1 << 20, 1)
        os.posix_fadvise(fd, 0, 1 << 20, os.POSIX_FADV_DONTNEED)
        assert not is_cached(fd, 0, 1 << 20)
        assert not is_cached(fd, 5, 9000)


def test_of_what_is_no_file_nothing_is_known() -> None:
    read, write = os.pipe()
    try:
        assert not is_cached(read, 0, 1)
    finally:
        os.close(read)
        os.close(write)
    assert not is_cached(write, 0, 1)
