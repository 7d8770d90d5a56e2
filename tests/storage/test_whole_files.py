from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import StorageError
from engine.storage.file_pool import FilePool
from engine.storage.filesystem import TorrentFiles
from engine.storage.save_folder import SaveFolder
from engine.storage.whole_files import WholeFiles
from tests.storage.torrents import Layout, Sample, sample

TORRENT = sample(
    [
        Layout("a/1", 10),
        Layout("a/2", 0),
        Layout("b/1", 20),
        Layout("a/3", 30),
        Layout("a/deep/4", 5),
        Layout("run", 7, "x"),
    ],
    1024,
)


@pytest.fixture
def pool() -> Iterator[FilePool]:
    made = FilePool()
    yield made
    made.close()


def tree(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def whole(root: Path, pool: FilePool, torrent: Sample = TORRENT) -> WholeFiles:
    return WholeFiles(SaveFolder(str(root)), torrent.info.files, pool)


def test_files_in_a_row_go_each_into_its_folder(tmp_path: Path, pool: FilePool) -> None:
    before = os.listdir("/proc/self/fd")
    whole(tmp_path, pool).write_row(range(5), memoryview(TORRENT.data)[:65])
    assert tree(tmp_path) == {
        "t/a/1": TORRENT.content_of(0),
        "t/b/1": TORRENT.content_of(2),
        "t/a/3": TORRENT.content_of(3),
        "t/a/deep/4": TORRENT.content_of(4),
    }
    assert os.listdir("/proc/self/fd") == before
    assert len(pool) == 0


def test_files_that_are_there_are_written_over(tmp_path: Path, pool: FilePool) -> None:
    (tmp_path / "t/a").mkdir(parents=True)
    (tmp_path / "t/a/1").write_bytes(b"x" * 40)
    (tmp_path / "t/a/3").write_bytes(b"short")
    inode = (tmp_path / "t/a/1").stat().st_ino
    whole(tmp_path, pool).write_row(range(4), memoryview(TORRENT.data)[:60])
    assert (tmp_path / "t/a/1").read_bytes() == TORRENT.content_of(0)
    assert (tmp_path / "t/a/3").read_bytes() == TORRENT.content_of(3)
    assert (tmp_path / "t/a/1").stat().st_ino == inode


@pytest.mark.parametrize("in_row", [True, False])
def test_links_are_not_followed_and_the_error_names_the_file(
    tmp_path: Path, pool: FilePool, in_row: bool
) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    root = tmp_path / "root"
    (root / "t/b").mkdir(parents=True)
    (root / "t/b/1").symlink_to(outside)
    before = os.listdir("/proc/self/fd")
    files, data = whole(root, pool), memoryview(bytearray(TORRENT.data))
    with pytest.raises(StorageError, match=f"writing {root}/t/b/1: .*symbolic link"):
        if in_row:
            files.write_row(range(4), data[:60])
        else:
            files.write([(2, [data[10:30]])])
    assert outside.read_bytes() == b"mine"
    assert os.listdir("/proc/self/fd") == before


def test_a_folder_that_is_a_link_is_not_entered(tmp_path: Path, pool: FilePool) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    (root / "t").mkdir(parents=True)
    (root / "t/a").symlink_to(outside)
    with pytest.raises(StorageError, match=f"writing {root}/t/a/1: .*symbolic link"):
        whole(root, pool).write_row(range(2), memoryview(TORRENT.data)[:10])
    assert not list(outside.iterdir())


def test_parts_are_put_together_and_executables_can_be_run(tmp_path: Path, pool: FilePool) -> None:
    data = memoryview(bytearray(TORRENT.data))
    whole(tmp_path, pool).write([(0, [data[:4], data[4:10]]), (5, [data[65:]])])
    assert tree(tmp_path) == {"t/a/1": TORRENT.content_of(0), "t/run": TORRENT.content_of(5)}
    assert (tmp_path / "t/run").stat().st_mode & stat.S_IXUSR
    assert not (tmp_path / "t/a/1").stat().st_mode & stat.S_IXUSR


def test_what_a_write_leaves_over_follows(
    tmp_path: Path, pool: FilePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: write(fd, data[:3], at))
    whole(tmp_path, pool).write_row(range(4), memoryview(TORRENT.data)[:60])
    assert (tmp_path / "t/a/3").read_bytes() == TORRENT.content_of(3)


def test_a_full_disk_is_told_with_the_files_name(
    tmp_path: Path, pool: FilePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.listdir("/proc/self/fd")

    def full(fd: int, data: memoryview, at: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StorageError, match=f"writing {tmp_path}/t/a/1: No space left"):
        whole(tmp_path, pool).write_row(range(4), memoryview(TORRENT.data)[:60])
    assert os.listdir("/proc/self/fd") == before


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "a/", "b/", "a/c/"]),
            st.sampled_from([0, 1, 7, 30, 300_000]),
            st.sampled_from(["", "", "", "p", "x"]),
        ),
        min_size=1,
        max_size=12,
    ),
    st.data(),
)
def test_any_range_of_a_torrent_is_written_as_it_is(
    tmp_path_factory: pytest.TempPathFactory,
    layout: list[tuple[str, int, str]],
    data: st.DataObject,
) -> None:
    torrent = sample([Layout(f"{a}f{n}", size, p) for n, (a, size, p) in enumerate(layout)], 4096)
    total, root = torrent.info.total_length, tmp_path_factory.mktemp("any")
    with closing(FilePool()) as pool:
        files = TorrentFiles(root, torrent.info, pool)
        files.prepare()
        borders = sorted({0, total, *data.draw(st.lists(st.integers(0, total), max_size=3))})
        for begin, end in pairwise(borders):
            cuts = [begin, (begin + end) // 2, end] if data.draw(st.booleans()) else [begin, end]
            files.write(begin, [bytearray(torrent.data[a:b]) for a, b in pairwise(cuts)])
        files.flush()
        files.close()
    assert tree(root) == {
        "/".join(entry.path): torrent.content_of(number)
        for number, entry in enumerate(torrent.info.files)
        if not entry.is_pad
    }
