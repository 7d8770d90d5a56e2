from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import StorageMissingError
from engine.storage.file_pool import FilePool
from engine.storage.filesystem import TorrentFiles
from engine.storage.middleware import Middleware, Slow
from engine.storage.reader import gather, read
from tests.storage.torrents import Layout, Sample, sample

TORRENT = sample(
    [Layout("a", 5000), Layout("pad", 120, "p"), Layout("b/c", 0), Layout("b/d", 9000)], 4096
)


class Hinting(Middleware):
    hints: list[tuple[int, int]]

    def will_need(self, offset: int, length: int) -> None:
        self.hints.append((offset, length))
        super().will_need(offset, length)


def stored(root: Path, torrent: Sample = TORRENT) -> TorrentFiles:
    torrent.store(root)
    return TorrentFiles(root, torrent.info, FilePool(4))


def runs_for(torrent: Sample, spans: list[tuple[int, int]]) -> list[tuple[int, list[bytearray]]]:
    """Places for spans of the torrent, two views each where there are bytes for two."""
    return [
        (offset, [bytearray(length - length // 2), bytearray(length // 2)][: min(length, 2)])
        for offset, length in spans
    ]


def filled(runs: list[tuple[int, list[bytearray]]]) -> list[bytes]:
    return [b"".join(views) for _, views in runs]


def any_span(draw: st.DrawFn) -> tuple[int, int]:
    offset = draw(st.integers(0, TORRENT.info.total_length - 1))
    return offset, draw(st.integers(1, TORRENT.info.total_length - offset))


@given(st.lists(st.composite(any_span)(), max_size=6))
def test_runs_are_filled_from_where_they_begin(
    tmp_path_factory: pytest.TempPathFactory, spans: list[tuple[int, int]]
) -> None:
    files = stored(tmp_path_factory.mktemp("reader"))
    expected = [TORRENT.data[offset : offset + length] for offset, length in spans]
    runs = runs_for(TORRENT, spans)
    read(files, TORRENT.info.geometry, runs)
    assert filled(runs) == expected
    files.read_into(0, [bytearray(TORRENT.info.total_length)])
    warm = runs_for(TORRENT, spans)
    if gather(files, warm):
        assert filled(warm) == expected
    files.close()


def test_what_comes_next_of_the_piece_is_read_ahead(tmp_path: Path) -> None:
    files = stored(tmp_path)
    hinting = Hinting(files)
    hinting.hints = []
    geometry = TORRENT.info.geometry
    for spans in ([(0, 1024)], [(0, 10), (4096, 4096)], [(12288, 100)], []):
        read(hinting, geometry, runs_for(TORRENT, spans))
    rest = geometry.total_length - 12388
    assert hinting.hints == [(1024, 3072), (12388, rest)]
    files.close()


def test_nothing_is_opened_or_waited_for_on_the_loop(tmp_path: Path) -> None:
    files = stored(tmp_path)
    runs = runs_for(TORRENT, [(0, 4096)])
    assert not gather(files, runs)
    read(files, TORRENT.info.geometry, runs)
    assert not gather(Slow(files, 0), runs)
    files.close()


def test_a_truncated_file_is_never_served(tmp_path: Path) -> None:
    files = stored(tmp_path)
    runs = runs_for(TORRENT, [(0, 4096)])
    read(files, TORRENT.info.geometry, runs)
    with open(tmp_path / "t" / "a", "r+b") as file:
        file.truncate(4000)
    assert not gather(files, runs)
    with pytest.raises(StorageMissingError, match="t/a: ends at 4000"):
        read(files, TORRENT.info.geometry, runs)
    files.close()
