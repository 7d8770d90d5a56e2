from __future__ import annotations

import asyncio
import os
import random
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from engine.core.bitfield import Bitfield
from engine.errors import StorageError
from engine.storage.backend import WritableView
from engine.storage.checker import Checker
from engine.storage.disk import Disk
from engine.storage.file_pool import FilePool
from engine.storage.filesystem import TorrentFiles
from engine.storage.middleware import Failing, Middleware
from tests.storage.torrents import Layout, Sample, sample, with_content


@pytest_asyncio.fixture
async def disk() -> AsyncIterator[Disk]:
    disk = Disk(asyncio.get_running_loop())
    yield disk
    await disk.close()


class CountedReads(Middleware):
    """Counts the bytes that were really read."""

    read_bytes = 0

    def read_into(self, offset: int, views: Sequence[WritableView]) -> None:
        self.read_bytes += sum(map(len, views))
        super().read_into(offset, views)


def files_of(root: Path, torrent: Sample) -> TorrentFiles:
    return TorrentFiles(root, torrent.info, FilePool(8))


def really_good(root: Path, torrent: Sample) -> list[int]:
    """The answer, found the plain way: every stored byte of the piece is there and right."""
    stored: list[bytes] = []
    for entry in torrent.info.files:
        path = root.joinpath(*entry.path)
        content = path.read_bytes()[: entry.length] if path.exists() else b""
        stored.append(bytes(entry.length) if entry.is_pad else content)
    good = []
    for index in range(torrent.info.geometry.piece_count):
        start = torrent.info.geometry.piece_offset(index)
        end = start + torrent.info.geometry.piece_size(index)
        if all(
            content[max(0, start - entry.offset) : max(0, end - entry.offset)]
            == torrent.data[max(start, entry.offset) : min(end, entry.end)]
            for entry, content in zip(torrent.info.files, stored, strict=True)
            if entry.length and entry.offset < end and entry.end > start
        ):
            good.append(index)
    return good


async def check(disk: Disk, root: Path, torrent: Sample) -> list[int]:
    files = files_of(root, torrent)
    found = await Checker(disk, files, torrent.info).run()
    files.close()
    return list(found)


async def test_all_good_and_one_bad(disk: Disk, tmp_path: Path) -> None:
    torrent = sample([Layout("a", 100_000), Layout("pad", 31_072, "p"), Layout("b", 70_001)])
    torrent.store(tmp_path)
    progress: list[tuple[int, int]] = []
    files = files_of(tmp_path, torrent)
    checker = Checker(
        disk, files, torrent.info, progress=lambda done, of: progress.append((done, of))
    )
    assert (await checker.run()).is_full
    count = torrent.info.geometry.piece_count
    assert progress[-1] == (count, count) == (checker.done, count)
    last = torrent.content_of(2)
    (tmp_path / "t" / "b").write_bytes(last[:-1] + bytes([last[-1] ^ 1]))
    assert await check(disk, tmp_path, torrent) == list(range(count - 1))
    files.close()


async def test_large_pieces(disk: Disk, tmp_path: Path) -> None:
    torrent = sample(5_000_000, 1 << 21)
    torrent.store(tmp_path)
    assert await check(disk, tmp_path, torrent) == [0, 1, 2]


class TrafficMeanwhile(CountedReads):
    """Sees to it that something more urgent waits from the first read on."""

    def __init__(self, inner: TorrentFiles, submit: Callable[[], None]) -> None:
        super().__init__(inner)
        self._submit: Callable[[], None] | None = submit

    def read_into(self, offset: int, views: Sequence[WritableView]) -> None:
        if self._submit is not None:
            self._submit()
            self._submit = None
        super().read_into(offset, views)


async def test_a_check_turns_to_what_is_urgent_and_else_goes_on(tmp_path: Path) -> None:
    torrent = sample(12 << 20, 1 << 18)
    torrent.store(tmp_path)
    files = files_of(tmp_path, torrent)
    disk = Disk(asyncio.get_running_loop(), threads=1)
    done: list[int] = []

    def tell(now: int, _: int) -> None:
        done.append(now)

    await Checker(disk, files, torrent.info, progress=tell).run()
    assert done == [48]

    def submit() -> None:
        submitted = threading.Event()

        def on_loop() -> None:
            disk.submit(lambda: read_before.append(busy.read_bytes), lambda _: None)
            submitted.set()

        loop.call_soon_threadsafe(on_loop)
        assert submitted.wait(20)

    loop = asyncio.get_running_loop()
    read_before: list[int] = []
    busy = TrafficMeanwhile(files, submit)
    assert (await Checker(disk, busy, torrent.info).run()).is_full
    assert read_before == [4 << 20]
    await disk.close()
    files.close()


async def test_only_some_pieces(disk: Disk, tmp_path: Path) -> None:
    torrent = sample(200_000)
    torrent.store(tmp_path)
    files = files_of(tmp_path, torrent)
    counted = CountedReads(files)
    found = await Checker(disk, counted, torrent.info, pieces=[7, 2, 3, 3]).run()
    assert list(found) == [2, 3, 7]
    assert counted.read_bytes == 3 * 16384
    assert not (await Checker(disk, files, torrent.info, pieces=[]).run()).count
    files.close()


async def test_missing_files_are_missing_pieces_and_cost_nothing(
    disk: Disk, tmp_path: Path
) -> None:
    torrent = sample([Layout("a", 40_000), Layout("b", 40_000), Layout("c", 40_000)])
    assert await check(disk, tmp_path / "nowhere", torrent) == []
    torrent.store(tmp_path)
    (tmp_path / "t" / "b").unlink()
    assert await check(disk, tmp_path, torrent) == [0, 1, 5, 6, 7]


async def test_holes_are_skipped_yet_zeros_count(disk: Disk, tmp_path: Path) -> None:
    piece = 1 << 20
    middle = random.Random(3).randbytes(piece)
    data = bytes(40 * piece) + middle + bytes(40 * piece) + middle + bytes(5)
    torrent = with_content(len(data), data, piece)
    (tmp_path / "t").touch()
    os.truncate(tmp_path / "t", len(data))
    fd = os.open(tmp_path / "t", os.O_WRONLY)
    os.pwrite(fd, middle, 40 * piece)
    os.close(fd)
    files = files_of(tmp_path, torrent)
    counted = CountedReads(files)
    found = await Checker(disk, counted, torrent.info).run()
    assert list(found.missing()) == [81]
    assert counted.read_bytes <= 2 * piece
    os.truncate(tmp_path / "t", len(data) - 1)
    found = await Checker(disk, files, torrent.info).run()
    assert list(found.missing()) == [81, 82]
    os.unlink(tmp_path / "t")
    files.close()
    assert not (await Checker(disk, files, torrent.info).run()).count


@given(st.data())
def test_the_checker_agrees_with_plain_reading(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever is missing, short, sparse, wrong or zero."""
    root = tmp_path_factory.mktemp("check")
    lengths = data.draw(st.lists(st.integers(0, 30_000), min_size=1, max_size=6))
    layout = [
        Layout(f"f{number}", length, data.draw(st.sampled_from(["", "", "p"])))
        for number, length in enumerate(lengths)
    ]
    total = sum(lengths)
    content = bytearray(random.Random(total).randbytes(total))
    at = 0
    for file in layout:
        is_zeros = "p" in file.attr or data.draw(st.booleans())
        if is_zeros:
            content[at : at + file.length] = bytes(file.length)
        at += file.length
    torrent = with_content(layout, bytes(content), data.draw(st.sampled_from([700, 4096, 20_000])))
    torrent.store(root)
    for entry in torrent.info.files:
        path = root.joinpath(*entry.path)
        match data.draw(
            st.sampled_from(["keep", "keep", "gone", "short", "hole", "wrong", "long"])
        ):
            case "gone":
                path.unlink(missing_ok=True)
            case "short" if path.exists():
                os.truncate(path, entry.length // 2)
            case "hole" if path.exists():
                os.truncate(path, entry.length // 2)
                os.truncate(path, entry.length)
            case "wrong" if path.exists() and entry.length:
                with open(path, "r+b") as file:
                    file.seek(entry.length // 3)
                    file.write(b"\x55")
            case "long" if path.exists():
                with open(path, "ab") as file:
                    file.write(b"more")
            case _:
                pass

    async def run() -> list[int]:
        disk = Disk(asyncio.get_running_loop())
        try:
            return await check(disk, root, torrent)
        finally:
            await disk.close()

    assert asyncio.run(run()) == really_good(root, torrent)


async def test_a_bad_disk_is_an_error_and_nothing_runs_on(disk: Disk, tmp_path: Path) -> None:
    torrent = sample(3_000_000)
    torrent.store(tmp_path)
    files = files_of(tmp_path, torrent)
    with pytest.raises(StorageError, match="Input/output"):
        await Checker(disk, Failing(files, 16384, {100}), torrent.info).run()
    assert disk.unfinished == 0
    files.close()


class Endless(Middleware):
    """Never gets anywhere by itself, so that only cancelling ends a check."""

    started: asyncio.Event
    loop: asyncio.AbstractEventLoop

    def read_into(self, offset: int, views: Sequence[WritableView]) -> None:
        self.loop.call_soon_threadsafe(self.started.set)
        super().read_into(0, views)


@pytest.mark.parametrize("way", ["cancel", "task"])
async def test_cancelling_stops_soon_and_leaves_nothing_running(
    disk: Disk, tmp_path: Path, way: str
) -> None:
    torrent = sample(30_000_000)
    torrent.store(tmp_path)
    endless = Endless(files := files_of(tmp_path, torrent))
    endless.loop, endless.started = asyncio.get_running_loop(), asyncio.Event()
    checker = Checker(disk, endless, torrent.info)
    run = asyncio.create_task(checker.run())
    await endless.started.wait()
    if way == "cancel":
        checker.cancel()
    else:
        run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert checker.done < torrent.info.geometry.piece_count
    assert disk.unfinished == 0
    files.close()


async def test_a_cancelled_checker_does_not_start(disk: Disk, tmp_path: Path) -> None:
    torrent = sample(10)
    checker = Checker(disk, files_of(tmp_path, torrent), torrent.info)
    checker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await checker.run()


async def test_a_torrent_without_bytes(disk: Disk, tmp_path: Path) -> None:
    torrent = sample([Layout("a"), Layout("b")])
    assert await Checker(disk, files_of(tmp_path, torrent), torrent.info).run() == Bitfield(0)
