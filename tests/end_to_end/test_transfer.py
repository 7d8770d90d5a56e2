"""One engine downloads from another: every shape of torrent arrives byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.metainfo import Metainfo
from engine.torrent.lifecycle import State
from tests.end_to_end.rig import endpoint_of, running, seeding, until_state
from tests.storage.torrents import Layout, sample

SHAPES: dict[str, tuple[list[Layout] | int, int]] = {
    "one byte": (1, 16384),
    "nothing at all": (0, 16384),
    "one block": (16384, 16384),
    "a block and a byte": (16385, 32768),
    "exact pieces": (65536 * 4, 65536),
    "a torn last piece": (65536 * 7 + 333, 65536),
    "pieces of no whole blocks": (300_000, 20_000),
    "pieces smaller than a block": (100_000, 5_000),
    "files across pieces": ([Layout("a", 10), Layout("b/c", 70_000), Layout("b/d", 99_999)], 32768),
    "empty files among others": ([Layout("a", 0), Layout("b", 50_000), Layout("z", 0)], 16384),
    "padding": (
        [Layout("a", 100), Layout(".pad/16284", 16284, attr="p"), Layout("b", 40_000)],
        16384,
    ),
    "many small files": ([Layout(f"d{n % 7}/f{n}", n) for n in range(300)], 16384),
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_torrent_of_any_shape_arrives(shape: str, tmp_path: Path) -> None:
    layouts, piece_length = SHAPES[shape]
    torrent_file = sample(layouts, piece_length)
    source, target = tmp_path / "source", tmp_path / "target"
    torrent_file.store(source)
    metainfo = Metainfo(torrent_file.info)
    async with running() as seeder, running() as leecher:
        await seeding(seeder, metainfo, source)
        torrent = await leecher.add(metainfo, save_path=target, peers=[endpoint_of(seeder)])
        await until_state(leecher, torrent, State.SEEDING)
        assert torrent.left == 0
        for number, entry in enumerate(torrent_file.info.files):
            path = target.joinpath(*entry.path)
            if entry.is_pad:
                assert not path.exists()
            else:
                assert path.read_bytes() == torrent_file.content_of(number)
