from __future__ import annotations

import hashlib
import os
import threading
from concurrent.futures import CancelledError
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.metainfo import Metainfo
from engine.errors import InputError, SourceError
from engine.storage.creator import MIN_PIECE_LENGTH, automatic_piece_length, create
from engine.storage.file_pool import FilePool
from engine.storage.filesystem import TorrentFiles


def hashes_of(data: bytes, piece_length: int) -> bytes:
    return b"".join(
        hashlib.sha1(data[start : start + piece_length]).digest()
        for start in range(0, len(data), piece_length)
    )


@given(
    st.lists(st.integers(0, 60_000), min_size=1, max_size=8).filter(any),
    st.sampled_from([16384, 32768]),
    st.integers(1, 3),
)
def test_what_is_created_describes_what_is_there(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], piece_length: int, threads: int
) -> None:
    root = tmp_path_factory.mktemp("create")
    contents = [os.urandom(length) for length in lengths]
    for number, content in enumerate(contents):
        (root / f"{number}").write_bytes(content)
    metainfo = create(root, piece_length=piece_length, threads=threads)
    assert metainfo.info.pieces == hashes_of(b"".join(contents), piece_length)
    assert [file.length for file in metainfo.info.files] == lengths
    assert Metainfo.parse(metainfo.encode()) == metainfo
    pool = FilePool(2)
    back = bytearray(sum(lengths))
    TorrentFiles(root.parent, metainfo.info, pool).read_into(0, [back])
    assert back == b"".join(contents)
    pool.close()


def test_a_single_file_with_everything_said(tmp_path: Path) -> None:
    data = os.urandom(3_000_001)
    (tmp_path / "run").write_bytes(data)
    (tmp_path / "run").chmod(0o755)
    progress: list[tuple[int, int]] = []
    metainfo = create(
        tmp_path / "run",
        piece_length=1 << 20,
        trackers=[["http://a/announce", "udp://b:1"], [], ["http://c/"]],
        web_seeds=["http://w/"],
        private=True,
        source="here",
        comment="why",
        created_by="seedwright",
        created_at=1_700_000_000,
        progress=lambda done, of: progress.append((done, of)),
    )
    info = metainfo.info
    assert info.pieces == hashes_of(data, 1 << 20)
    assert (info.name, info.is_single_file, info.is_private) == ("run", True, True)
    assert info.files[0].is_executable
    assert b"6:source4:here" in info.raw
    parsed = Metainfo.parse(metainfo.encode())
    assert parsed.trackers == (("http://a/announce", "udp://b:1"), ("http://c/",))
    assert (parsed.comment, parsed.created_by, parsed.created_at) == (
        "why",
        "seedwright",
        1_700_000_000,
    )
    assert parsed.web_seeds == ("http://w/",)
    assert progress[-1] == (len(data), len(data))
    assert progress == sorted(progress)


def test_links_and_attributes_survive(tmp_path: Path) -> None:
    root = tmp_path / "name"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "file").write_bytes(b"x")
    (root / "link").symlink_to("sub/file")
    (root / ".dot").write_bytes(b"y")
    files = {file.path[1:]: file for file in create(root).info.files}
    assert files["link",].symlink == ("name", "sub", "file")
    assert files[".dot",].is_hidden
    assert not files["sub", "file"].is_executable


def test_the_automatic_piece_length() -> None:
    assert automatic_piece_length(1) == 16 * 1024
    assert automatic_piece_length(32 << 20) == 16 * 1024
    assert automatic_piece_length((32 << 20) + 1) == 32 * 1024
    assert automatic_piece_length(1 << 30) == 512 * 1024
    assert automatic_piece_length(1 << 45) == 16 << 20


@pytest.mark.parametrize("piece_length", [0, -1, 8192, 16385, 3 << 14, 1 << 27])
def test_impossible_piece_lengths(tmp_path: Path, piece_length: int) -> None:
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(InputError, match="power of two"):
        create(tmp_path / "a", piece_length=piece_length)


def test_a_file_that_changes_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a"

    def spoil(change: bytes) -> None:
        path.write_bytes(bytes(1 << 20))
        os.utime(path, (1, 1))
        spoiled = threading.Event()

        def progress(done: int, of: int) -> None:
            if not spoiled.is_set():
                spoiled.set()
                path.write_bytes(change)

        with pytest.raises(SourceError, match="changed while it was read"):
            create(path, piece_length=MIN_PIECE_LENGTH, progress=progress)

    spoil(bytes(1 << 20))
    spoil(b"short")
    spoil(bytes((1 << 20) + 1))


def test_a_file_that_vanishes_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x")
    with pytest.raises(SourceError, match="No such file"):
        create(path, progress=lambda done, of: path.unlink(missing_ok=True))
    path.write_bytes(b"x")
    with pytest.raises(SourceError, match="vanished"):
        create(path, progress=lambda done, of: done < of or path.unlink(missing_ok=True))


def test_cancelling(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(1 << 20))
    with pytest.raises(CancelledError):
        create(path, is_cancelled=lambda: True)
