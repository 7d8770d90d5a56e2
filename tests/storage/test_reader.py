from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import StorageMissingError
from engine.storage.backend import WritableView
from engine.storage.file_pool import FilePool
from engine.storage.filesystem import TorrentFiles
from engine.storage.middleware import Middleware, Slow
from engine.storage.reader import gather, read
from tests.storage.torrents import Layout, Sample, sample

GAP = 13
TORRENT = sample(
    [Layout("a", 5000), Layout("pad", 120, "p"), Layout("b/c", 0), Layout("b/d", 9000)], 4096
)


class Counting(Middleware):
    calls: list[tuple[int, int]]

    def read_into_nowait(self, offset: int, views: Sequence[WritableView]) -> bool:
        self.calls.append((offset, len(views)))
        return super().read_into_nowait(offset, views)


def stored(root: Path, torrent: Sample = TORRENT) -> TorrentFiles:
    torrent.store(root)
    return TorrentFiles(root, torrent.info, FilePool(4))


def slab_for(requests: list[tuple[int, int, int]]) -> memoryview:
    return memoryview(bytearray(b"\xaa" * sum(GAP + length for _, _, length in requests)))


def expected(torrent: Sample, requests: list[tuple[int, int, int]]) -> bytes:
    return b"".join(
        b"\xaa" * GAP + torrent.piece(index)[begin : begin + length]
        for index, begin, length in requests
    )


def any_request(draw: st.DrawFn) -> tuple[int, int, int]:
    geometry = TORRENT.info.geometry
    index = draw(st.integers(0, geometry.piece_count - 1))
    begin = draw(st.integers(0, geometry.piece_size(index) - 1))
    return index, begin, draw(st.integers(1, geometry.piece_size(index) - begin))


requests_lists = st.lists(st.composite(any_request)(), max_size=12)


@given(requests_lists)
def test_blocks_land_between_their_gaps(
    tmp_path_factory: pytest.TempPathFactory, requests: list[tuple[int, int, int]]
) -> None:
    files = stored(tmp_path_factory.mktemp("reader"))
    slab = slab_for(requests)
    read(files, TORRENT.info.geometry, requests, slab, GAP)
    assert bytes(slab) == expected(TORRENT, requests)
    files.read_into(0, [bytearray(TORRENT.info.total_length)])
    warm = slab_for(requests)
    if gather(files, TORRENT.info.geometry, requests, warm, GAP):
        assert bytes(warm) == expected(TORRENT, requests)
    files.close()


def test_contiguous_blocks_are_one_call(tmp_path: Path) -> None:
    files = stored(tmp_path)
    counting = Counting(files)
    counting.calls = []
    requests = [(0, 0, 1024), (0, 1024, 3072), (1, 0, 500), (2, 0, 100), (2, 200, 100)]
    slab = slab_for(requests)
    read(files, TORRENT.info.geometry, requests, slab, GAP)
    gather(counting, TORRENT.info.geometry, requests, slab, GAP)
    assert counting.calls == [(0, 3), (8192, 1), (8392, 1)]
    files.close()


def test_nothing_is_opened_or_waited_for_on_the_loop(tmp_path: Path) -> None:
    files = stored(tmp_path)
    requests = [(0, 0, 4096)]
    assert not gather(files, TORRENT.info.geometry, requests, slab_for(requests), GAP)
    read(files, TORRENT.info.geometry, requests, slab_for(requests), GAP)
    slow = Slow(files, 0)
    assert not gather(slow, TORRENT.info.geometry, requests, slab_for(requests), GAP)
    files.close()


def test_a_truncated_file_is_never_served(tmp_path: Path) -> None:
    files = stored(tmp_path)
    requests = [(0, 0, 4096)]
    slab = slab_for(requests)
    read(files, TORRENT.info.geometry, requests, slab, GAP)
    with open(tmp_path / "t" / "a", "r+b") as file:
        file.truncate(4000)
    assert not gather(files, TORRENT.info.geometry, requests, slab, GAP)
    with pytest.raises(StorageMissingError, match="t/a: ends at 4000"):
        read(files, TORRENT.info.geometry, requests, slab, GAP)
    files.close()


def test_no_requests_are_no_work(tmp_path: Path) -> None:
    files = stored(tmp_path)
    assert gather(files, TORRENT.info.geometry, [], memoryview(bytearray()), GAP)
    read(files, TORRENT.info.geometry, [], memoryview(bytearray()), GAP)
