"""Reading what others write: regular files of a bounded size, and nothing that makes us wait."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from engine.errors import SourceError
from engine.storage.small_file import read_small_file


@pytest.mark.parametrize("size", [0, 1, 99, 100])
def test_what_fits_is_read(size: int, tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes(os.urandom(size))
    link.symlink_to(file)
    assert read_small_file(link, 100) == file.read_bytes()


def test_what_is_larger_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with file.open("wb") as sparse:
        sparse.truncate(1 << 40)
    with pytest.raises(SourceError, match="larger than 100 bytes"):
        read_small_file(file, 100)


@pytest.mark.parametrize("kind", ["fifo", "folder", "device", "endless", "socket"])
def test_what_is_no_file_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    path = tmp_path / kind
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "device":
            path = Path("/dev/null")
        case "endless":
            path = Path("/dev/zero")
        case "socket":
            with socket.socket(socket.AF_UNIX) as sock:
                sock.bind(str(path))
    with pytest.raises(SourceError, match=r"not a regular file|No such device"):
        read_small_file(path, 100)


@pytest.mark.parametrize(
    ("path", "why"), [("/no/such", "No such file"), ("a\0b", "null"), ("x" * 300, "too long")]
)
def test_a_path_that_leads_nowhere_says_so(path: str, why: str) -> None:
    with pytest.raises(SourceError, match=why):
        read_small_file(path, 100)


def test_a_file_of_the_system_is_read_whole() -> None:
    assert read_small_file("/proc/self/status", 1 << 16).startswith(b"Name:")
