from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import (
    DiskFullError,
    StorageDeniedError,
    StorageError,
    StorageMissingError,
)
from engine.storage.file_pool import FilePool
from engine.storage.file_stamps import FileStamp
from engine.storage.filesystem import TorrentFiles
from tests.storage.torrents import Layout, Sample, sample

LAYOUT = [
    Layout("a", 5000),
    Layout("pad", 120, "p"),
    Layout("deep/er/b", 9000, "x"),
    Layout("deep/empty"),
    Layout("deep/link", 0, "l", "deep/er/b"),
    Layout("c", 1),
]
TORRENT = sample(LAYOUT, 4096)


@pytest.fixture
def pool() -> Iterator[FilePool]:
    pool = FilePool(4)
    yield pool
    pool.close()


@pytest.fixture
def files(tmp_path: Path, pool: FilePool) -> TorrentFiles:
    return TorrentFiles(tmp_path / "save", TORRENT.info, pool)


def write_all(files: TorrentFiles, torrent: Sample = TORRENT) -> None:
    files.prepare()
    for index in reversed(range(torrent.info.geometry.piece_count)):
        files.write(torrent.info.geometry.piece_offset(index), [bytearray(torrent.piece(index))])


def tree(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A small tmpfs of our own."""
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a tmpfs")
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {made.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    yield from mounted(tmp_path / "small", "size=64k")


@pytest.fixture
def read_only_disk(tmp_path: Path) -> Iterator[Path]:
    for folder in mounted(tmp_path / "fixed", "size=1m"):
        TORRENT.store(folder)
        (folder / "t" / "deep" / "link").symlink_to("er/b")
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        yield folder


# ── what is right ───────────────────────────────────────────────────────────────────────────────


def test_pieces_become_files(files: TorrentFiles) -> None:
    write_all(files)
    root = files.root / "t"
    assert tree(root) == {
        "a": TORRENT.content_of(0),
        "deep/er/b": TORRENT.content_of(2),
        "deep/empty": b"",
        "c": TORRENT.content_of(5),
    }
    assert os.access(root / "deep/er/b", os.X_OK)
    assert not (root / "a").stat().st_mode & 0o111
    assert os.readlink(root / "deep/link") == "er/b"
    assert (root / "deep/link").read_bytes() == TORRENT.content_of(2)


@given(st.data())
def test_any_cut_of_views_reads_and_writes_the_same(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    pool = FilePool(2)
    files = TorrentFiles(tmp_path_factory.mktemp("cut"), TORRENT.info, pool)
    total = TORRENT.info.total_length
    places = sorted(data.draw(st.lists(st.integers(0, total), min_size=2, max_size=9)))
    files.prepare()
    parts = [bytearray(TORRENT.data[start:end]) for start, end in pairwise(places)]
    files.write(places[0], parts)
    back = [bytearray(b"\xaa" * len(part)) for part in parts]
    for file, entry in enumerate(TORRENT.info.files):
        if entry.length and not entry.is_pad:  # what was not written must exist to be read
            os.close(files.open_file(file, writable=True))
    files.read_into(places[0], back)
    assert back == parts
    again = [bytearray(len(part)) for part in parts]
    if files.read_into_nowait(places[0], again):
        assert again == parts
    pool.close()


def test_more_views_than_one_system_call_takes(tmp_path: Path, pool: FilePool) -> None:
    torrent = sample(5000, 16384)
    files = TorrentFiles(tmp_path, torrent.info, pool)
    files.write(0, [bytearray([byte]) for byte in torrent.data])
    back = [bytearray(1) for _ in range(5000)]
    files.read_into(0, back)
    assert b"".join(back) == torrent.data


def test_files_are_sparse_by_default_and_reserved_on_request(
    tmp_path: Path, pool: FilePool
) -> None:
    torrent = sample([Layout("big", 4 << 20), Layout("small", 10)], 1 << 20)
    sparse = TorrentFiles(tmp_path / "sparse", torrent.info, pool)
    sparse.prepare()
    assert not (tmp_path / "sparse/t/big").exists()
    sparse.write(1 << 20, [bytearray(10)])
    found = (tmp_path / "sparse/t/big").stat()
    assert found.st_size == 4 << 20
    assert found.st_blocks * 512 < 1 << 20
    full = TorrentFiles(tmp_path / "full", torrent.info, pool, preallocate=True)
    full.prepare()
    found = (tmp_path / "full/t/big").stat()
    assert found.st_size == 4 << 20
    assert found.st_blocks * 512 >= 4 << 20


def test_an_overlong_file_is_cut_only_when_it_is_written(files: TorrentFiles) -> None:
    TORRENT.store(files.root)
    path = files.root / "t" / "a"
    path.write_bytes(TORRENT.content_of(0) + b"surplus")
    files.prepare()
    files.read_into(0, [bytearray(5000)])
    assert path.read_bytes().endswith(b"surplus")
    files.write(0, [bytearray(TORRENT.data[:10])])
    assert path.read_bytes() == TORRENT.content_of(0)


def test_a_small_file_that_comes_in_one_piece_leaves_nothing_open(
    tmp_path: Path, pool: FilePool
) -> None:
    torrent = sample([Layout("small", 16384), Layout("two", 16384 + 7)], 16384)
    files = TorrentFiles(tmp_path, torrent.info, pool)
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "small").write_bytes(b"too long" * 10_000)
    files.write(0, [bytearray(torrent.piece(0))])
    assert (tmp_path / "t" / "small").read_bytes() == torrent.content_of(0)
    assert not len(pool)
    files.write(16384, [bytearray(torrent.piece(1))])
    assert len(pool) == 1
    files.flush()
    files.close()


def test_small_files_of_one_piece_are_new_or_there_already(tmp_path: Path, pool: FilePool) -> None:
    torrent = sample([Layout(f"d{n // 4}/f{n}", 100 + n, "x" * (n % 2)) for n in range(12)], 16384)
    files = TorrentFiles(tmp_path, torrent.info, pool)
    folder = tmp_path / "t" / "d1"
    folder.mkdir(parents=True)
    (folder / "f4").write_bytes(b"too long" * 1000)
    (folder / "f5").write_bytes(b"short")
    (folder / "f6").symlink_to(tmp_path / "outside")
    with pytest.raises(StorageDeniedError, match="symbolic link, not followed"):
        files.write(0, [bytearray(torrent.data)])
    assert not (tmp_path / "outside").exists()
    (folder / "f6").unlink()
    files.write(0, [bytearray(torrent.data)])
    for number, entry in enumerate(torrent.info.files):
        path = tmp_path.joinpath(*entry.path)
        assert path.read_bytes() == torrent.content_of(number)
        if number not in (4, 5):
            assert bool(path.stat().st_mode & 0o100) == bool(number % 2)
    assert not len(pool)


def test_preparing_keeps_what_is_there(files: TorrentFiles) -> None:
    root = files.root / "t" / "deep"
    root.mkdir(parents=True)
    (root / "empty").write_bytes(b"mine")
    (root / "link").write_bytes(b"mine too")
    files.prepare()
    assert tree(root) == {"empty": b"mine", "link": b"mine too"}


def test_stamps_tell_what_changed(files: TorrentFiles) -> None:
    assert files.stamps() == [None] * 6
    write_all(files)
    stamps = files.stamps()
    found = (files.root / "t/a").stat()
    assert stamps[0] == FileStamp(5000, found.st_mtime_ns)
    assert [stamp.size_bytes if stamp else None for stamp in stamps] == [
        5000,
        None,
        9000,
        0,
        None,
        1,
    ]
    os.utime(files.root / "t/c", ns=(1, 1))
    assert [then == now for then, now in zip(stamps, files.stamps(), strict=True)] == [
        True,
        True,
        True,
        True,
        True,
        False,
    ]


def test_delete_removes_ours_and_nothing_else(files: TorrentFiles) -> None:
    write_all(files)
    (files.root / "t" / "deep" / "er" / "mine").write_bytes(b"mine")
    (files.root / "other").write_bytes(b"mine")
    files.delete()
    assert tree(files.root) == {"t/deep/er/mine": b"mine", "other": b"mine"}
    assert not (files.root / "t/deep/link").is_symlink()
    (files.root / "t/deep/er/mine").unlink()
    files.delete()
    assert sorted(os.listdir(files.root)) == ["other"]
    files.delete()


def test_flush_forgets_what_is_safe(files: TorrentFiles) -> None:
    write_all(files)
    files.flush()
    files.delete()
    files.flush()


# ── what is wrong ───────────────────────────────────────────────────────────────────────────────


def test_missing_and_truncated_files_are_missing(files: TorrentFiles) -> None:
    with pytest.raises(StorageMissingError):
        files.read_into(0, [bytearray(1)])
    write_all(files)
    os.truncate(files.root / "t/deep/er/b", 8999)
    files.read_into(5120, [bytearray(8999)])
    with pytest.raises(StorageMissingError, match="er/b: ends at 8999, 9000 bytes are needed"):
        files.read_into(5120, [bytearray(9000)])
    assert not files.read_into_nowait(5120, [bytearray(9000)])


def test_what_is_lent_is_where_the_bytes_are(files: TorrentFiles, pool: FilePool) -> None:
    """If the kernel tells that they are in memory; and never what is in two files, or cut short."""
    write_all(files)
    files.read_into(5120, [bytearray(9000)])
    lent = files.lend_nowait(5130, 8000)
    if lent is not None:
        whole = bytearray(8000)
        files.read_into(5130, [whole])
        assert os.pread(lent.fd, 8000, lent.at) == whole
        pool.invalidate(files)
        assert os.pread(lent.fd, 8000, lent.at) == whole, "it stays open as long as it is lent"
        lent.give_back()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(lent.fd)
    files.read_into(5120, [bytearray(9000)])
    assert files.lend_nowait(5110, 20) is None
    os.truncate(files.root / "t/deep/er/b", 100)
    if (cut := files.lend_nowait(5120, 9000)) is not None:  # where nothing waits nothing is asked
        assert len(os.pread(cut.fd, 9000, cut.at)) == 100
        cut.give_back()
    assert files.lend_nowait(0, 10) is None, "it is not open"


def test_writing_to_a_file_that_was_removed_is_no_success(tmp_path: Path) -> None:
    pool = FilePool(4, look_s=0)
    files = TorrentFiles(tmp_path, TORRENT.info, pool)
    write_all(files)
    files.write(0, [bytearray(1)])
    (files.root / "t/a").unlink()
    with pytest.raises(StorageMissingError, match="removed meanwhile"):
        files.write(0, [bytearray(1)])
    files.write(0, [bytearray(TORRENT.content_of(0))])
    assert (files.root / "t/a").read_bytes() == TORRENT.content_of(0)
    files.close()


def test_a_vanished_save_path_is_not_made_again_by_writing(files: TorrentFiles) -> None:
    with pytest.raises(StorageMissingError):
        files.write(0, [bytearray(10)])
    assert not files.root.exists()


def test_a_file_where_a_folder_should_be(files: TorrentFiles) -> None:
    files.root.mkdir()
    (files.root / "t").write_bytes(b"mine")
    for call in (files.prepare, lambda: files.write(0, [bytearray(1)])):
        with pytest.raises(
            StorageMissingError, match=r"/t: a file stands where a folder should be"
        ):
            call()
    files.delete()
    assert (files.root / "t").read_bytes() == b"mine"


def test_a_save_path_that_is_a_file(tmp_path: Path, pool: FilePool) -> None:
    (tmp_path / "save").write_bytes(b"mine")
    files = TorrentFiles(tmp_path / "save", TORRENT.info, pool)
    with pytest.raises(StorageError, match="a file stands where a folder should be"):
        files.prepare()


def test_what_is_no_regular_file_is_refused_without_hanging(tmp_path: Path, pool: FilePool) -> None:
    torrent = sample(10)
    files = TorrentFiles(tmp_path, torrent.info, pool)
    os.mkfifo(tmp_path / "t")
    for call in (files.read_into, files.write):
        with pytest.raises(StorageDeniedError, match="not a regular file"):
            call(0, [bytearray(10)])
    os.unlink(tmp_path / "t")
    os.mkdir(tmp_path / "t")
    for call in (files.read_into, files.write):
        with pytest.raises(StorageError, match="/t: a folder stands where a file should be"):
            call(0, [bytearray(10)])
    files.delete()
    assert (tmp_path / "t").is_dir()


@pytest.mark.parametrize("what", ["folder", "link", "fifo"])
def test_a_strict_look_refuses_what_is_in_the_way(files: TorrentFiles, what: str) -> None:
    write_all(files)
    stamps = files.stamps(strict=True)
    place = files.root / "t" / "c"
    place.unlink()
    gone = [*stamps[:5], None]
    assert files.stamps(strict=True) == gone
    if what == "folder":
        place.mkdir()
    elif what == "link":
        place.symlink_to("a")
    else:
        os.mkfifo(place)
    assert files.stamps() == gone
    with pytest.raises(StorageError, match=f"looking at {place}: "):
        files.stamps(strict=True)


def test_an_immutable_folder_is_denied(files: TorrentFiles) -> None:
    files.root.mkdir()
    done = subprocess.run(["chattr", "+i", files.root], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(
            "cannot make a folder immutable here (needs root and a file system with chattr)"
        )
    try:
        with pytest.raises(StorageDeniedError):
            files.prepare()
        with pytest.raises(StorageDeniedError):
            files.write(0, [bytearray(1)])
    finally:
        subprocess.run(["chattr", "-i", files.root], check=True)


def test_a_read_only_disk_can_be_seeded_from(read_only_disk: Path, pool: FilePool) -> None:
    files = TorrentFiles(read_only_disk, TORRENT.info, pool)
    files.prepare()
    back = bytearray(TORRENT.info.total_length)
    files.read_into(0, [back])
    assert back == TORRENT.data
    with pytest.raises(StorageDeniedError, match="Read-only file system"):
        files.write(0, [bytearray(1)])
    with pytest.raises(StorageDeniedError):
        files.delete()
    pool.close()


def test_a_really_full_disk(small_disk: Path, pool: FilePool) -> None:
    torrent = sample(200_000, 16384)
    files = TorrentFiles(small_disk, torrent.info, pool)
    files.prepare()
    files.write(0, [bytearray(torrent.data[:16384])])
    with pytest.raises(DiskFullError, match="No space left"):
        files.write(16384, [bytearray(torrent.data[16384:])])
    files.read_into(0, [back := bytearray(16384)])
    assert back == torrent.data[:16384]
    reserving = TorrentFiles(small_disk, torrent.info, pool, preallocate=True)
    with pytest.raises(DiskFullError):
        reserving.prepare()
    files.delete()
    pool.close()


# ── symbolic links ──────────────────────────────────────────────────────────────────────────────


def complaint(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except (StorageDeniedError, StorageMissingError) as error:
        return str(error)
    return ""


@pytest.mark.parametrize("planted", ["t", "t/deep", "t/deep/er", "t/deep/er/b", "t/deep/empty"])
@pytest.mark.parametrize("is_dangling", [True, False])
def test_planted_links_lead_nowhere(
    files: TorrentFiles, tmp_path: Path, planted: str, is_dangling: bool
) -> None:
    outside = tmp_path / "outside"
    if not is_dangling:
        outside.mkdir()
        if planted.endswith(("b", "empty")):
            outside = outside / "target"
            outside.write_bytes(b"precious")
        else:
            (outside / "b").write_bytes(b"precious")
    link = files.root / planted
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    before = tree(tmp_path / "outside") if not is_dangling else None

    assert "symbolic link, not followed" in "".join(
        complaint(attempt)
        for attempt in (
            files.prepare,
            lambda: files.write(5120, [bytearray(9000)]),
            lambda: files.read_into(5120, [bytearray(9000)]),
        )
    )
    files.delete()
    assert link.is_symlink()
    if is_dangling:
        assert not outside.exists()
    else:
        assert tree(tmp_path / "outside") == before


def test_the_save_path_itself_may_be_a_link(tmp_path: Path, pool: FilePool) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    write_all(TorrentFiles(tmp_path / "link", TORRENT.info, pool))
    assert (tmp_path / "real/t/a").read_bytes() == TORRENT.content_of(0)


# ── size ────────────────────────────────────────────────────────────────────────────────────────

TEN_THOUSAND = """
import resource, sys
from pathlib import Path
from engine.storage.checker import Checker
from engine.storage.disk import Disk, WrittenPiece
from engine.storage.file_pool import FilePool
from engine.storage.filesystem import TorrentFiles
from tests.storage.torrents import Layout, sample
import asyncio

assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 256
torrent = sample([Layout(f"d{n % 10}/f{n}", 100 + n % 3) for n in range(10_000)], 16384)
pool = FilePool()
assert pool.limit == 64
files = TorrentFiles(Path(sys.argv[1]), torrent.info, pool)

async def main():
    disk = Disk(asyncio.get_running_loop())
    await disk.run(files.prepare)
    results = []
    for index in range(torrent.info.geometry.piece_count):
        piece = memoryview(bytearray(torrent.piece(index)))
        disk.write_pieces(files, [(index * 16384, piece, torrent.info.piece_hash(index))],
                          results.extend)
    await disk.settle()
    assert results == [WrittenPiece()] * torrent.info.geometry.piece_count, results
    assert 0 < len(pool) <= 64
    assert (await Checker(disk, files, torrent.info).run()).is_full
    assert sum(stamp is not None for stamp in await disk.run(files.stamps)) == 10_000
    await disk.run(files.delete)
    await disk.close()

asyncio.run(main())
assert list(Path(sys.argv[1]).iterdir()) == []
"""


def test_small_files_are_written_though_others_took_all_descriptors_but_one(
    tmp_path: Path,
) -> None:
    torrent = sample([Layout("large", 300_000), Layout("a", 100), Layout("b", 100)], 300_200)
    pool = FilePool()
    files = TorrentFiles(tmp_path, torrent.info, pool)
    piece = bytearray(torrent.piece(0))
    files.write(0, [piece[:300_000]])
    assert len(pool) == 1
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, allowed[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        os.close(taken.pop())
        files.write(300_000, [piece[300_000:]])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, allowed)
        for fd in taken:
            os.close(fd)
    assert not len(pool)
    files.close()
    assert b"".join(tree(tmp_path)[f"t/{name}"] for name in ("large", "a", "b")) == piece


def test_ten_thousand_files_with_256_descriptors(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", TEN_THOUSAND, tmp_path],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
