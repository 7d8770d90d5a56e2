"""Blocks that the kernel sends out of its page cache; joined ones are in test_joined_blocks.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.net.frame_pipes import FramePipes
from engine.storage import filesystem
from tests.fakes import scripted_peer as wire
from tests.storage.torrents import Layout, sample
from tests.torrent.one_torrent import BLOCK, one_torrent
from tests.torrent.test_upload import _customer, _next_block


async def test_blocks_leave_the_page_cache_by_a_pipe_where_many_are_sent_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled: list[int] = []
    fill = FramePipes.fill

    def noting(pipes: FramePipes, heads: bytes, fd: int, at: int, count: int) -> object:
        filled.append(count)
        return fill(pipes, heads, fd, at, count)

    monkeypatch.setattr(FramePipes, "fill", noting)
    monkeypatch.setattr(filesystem, "is_cached", lambda *_: True)
    # Files of odd lengths: blocks lie across pages, and now and then across files.
    lengths = 3_000_001, 700_003, 1, 4_000_007, 50
    files = [Layout(f"file {number}", length) for number, length in enumerate(lengths)]
    content = sample(files, 20 * BLOCK)
    async with one_torrent(tmp_path, has=True, content=content) as one:
        visitor = await _customer(one)
        whole = content.info.geometry.total_length // (20 * BLOCK)
        for _ in range(3):
            for index in range(whole):
                asked = [(index, block * BLOCK, BLOCK) for block in range(20)]
                visitor.send(*(wire.numbers(wire.REQUEST, *each) for each in asked))
            for index in range(whole):
                for block in range(20):
                    begin = block * BLOCK
                    expected = content.piece(index)[begin : begin + BLOCK]
                    assert await _next_block(visitor) == (index, begin, expected)
        payload = 3 * whole * 20 * BLOCK
        assert one.torrent.up_rate.total == one.known().up.total == payload
        assert sum(filled) > payload // BLOCK // 2, "most of them"
        assert one.session.facilities.pipes.in_use == 0
