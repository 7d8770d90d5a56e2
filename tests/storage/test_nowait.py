"""What is in memory is read without waiting, wherever it lies; what cannot be read so says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.storage.nowait import nowait_flags


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
