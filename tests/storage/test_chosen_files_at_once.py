"""Threads that write, read and gather at once, while somebody keeps changing their mind."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.storage.chosen_files import ChosenFiles
from engine.storage.file_pool import FilePool
from engine.storage.part_file import part_file_name
from tests.storage.torrents import Layout, Sample, sample

PIECE = 1000
FILES = 80


@pytest.fixture(autouse=True)
def restless() -> Iterator[None]:
    """Threads take turns as often as they can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


class _Crowd:
    """What threads do to one torrent until all of it is written. A choice is gathered for when the
    jobs are done that were begun before it, as the disk's `settle` sees to."""

    def __init__(self, files: ChosenFiles, content: Sample, rng: random.Random) -> None:
        self.files, self.content = files, content
        self.errors: list[object] = []
        self._to_write = list(range(content.info.geometry.piece_count))
        rng.shuffle(self._to_write)
        self._have: list[int] = []
        self._begun = 0
        self._under_way: set[int] = set()
        self._changed = threading.Condition()

    def _job(self, work: Callable[[], object]) -> None:
        with self._changed:
            self._begun += 1
            number = self._begun
            self._under_way.add(number)
        try:
            work()
        except Exception as error:
            self.errors.append(error)
        with self._changed:
            self._under_way.remove(number)
            self._changed.notify_all()

    @property
    def _is_over(self) -> bool:
        return bool(self.errors) or len(self._have) == self.content.info.geometry.piece_count

    def write(self, rng: random.Random) -> None:
        while not self._is_over:
            with self._changed:
                if not self._to_write:
                    return
                piece = self._to_write.pop()
            views = [bytearray(self.content.piece(piece))]
            self._job(lambda: self.files.write(piece * PIECE, views))  # noqa: B023
            self._have.append(piece)

    def read(self, rng: random.Random) -> None:
        while not self._is_over:
            if self._have:
                self._job(lambda: self.look_at(rng.choice(self._have)))

    def look_at(self, piece: int) -> None:
        content = bytearray(self.content.piece(piece))
        found = bytearray(len(content))
        if not self.files.read_into_nowait(piece * PIECE, [found]):
            self.files.read_into(piece * PIECE, [found])
        assert found == content, f"piece {piece}"

    def choose(self, rng: random.Random) -> None:
        gathering: list[threading.Thread] = []
        while not self._is_over:
            self.files.skipped = frozenset(n for n in range(FILES) if rng.random() < 0.4)
            gathering.append(threading.Thread(target=self._gather))
            gathering[-1].start()
            gathering[-1].join(rng.random() * 0.002)
        for each in gathering:
            each.join()

    def _gather(self) -> None:
        with self._changed:
            before = set(self._under_way)
            self._changed.wait_for(lambda: not before & self._under_way)
        self._job(self.files.gather)


@pytest.mark.parametrize("seed", range(6))
def test_whoever_reads_gets_what_was_written(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    sizes = (300, 900, 1500, 2500)
    content = sample([Layout(f"{n}", rng.choice(sizes)) for n in range(FILES)], PIECE)
    pool = FilePool(6)
    files = ChosenFiles(tmp_path, content.info, pool)
    crowd = _Crowd(files, content, rng)
    threads = [
        threading.Thread(target=work, args=(random.Random(rng.random()),))
        for work in (crowd.write, crowd.write, crowd.read, crowd.read, crowd.choose)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not crowd.errors
    files.skipped = frozenset()
    assert files.gather() == []
    for file, entry in enumerate(content.info.files):
        assert tmp_path.joinpath(*entry.path).read_bytes() == content.content_of(file)
    assert not (tmp_path / part_file_name(content.info.info_hash)).exists()
    pool.close()
