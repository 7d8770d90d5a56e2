"""Files as rows, and requests about them: what changed is told in groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.control.schema import FilePriority, SetFiles
from engine.control.torrent_files import choose, file_rows
from engine.core.magnet import Magnet
from engine.core.metainfo import Metainfo
from engine.errors import InputError, StorageError
from tests.end_to_end.rig import running
from tests.storage.torrents import Layout, sample

CONTENT = sample(
    [Layout("a", 1000), Layout("pad", 24, "p"), Layout("b", 2000), Layout("c", 10)], 512
)


async def test_what_changed_is_told_in_groups(tmp_path: Path) -> None:
    async with running() as session:
        torrent = await session.add(Metainfo(CONTENT.info), save_path=tmp_path, paused=True)
        (change,) = choose(torrent, SetFiles(torrent="t", only=["b"]))
        assert (change.before, change.after) == (FilePriority.NORMAL, FilePriority.SKIP)
        assert (change.files, change.count, change.size) == ("0,3", 2, 1010)
        assert [row.priority for row in file_rows(torrent)] == ["skip", "normal", "normal", "skip"]
        assert [row.index for row in file_rows(torrent)] == [0, 1, 2, 3]
        with pytest.raises(InputError):
            choose(torrent, SetFiles(torrent="t", skip=["b"], high=["d"]))
        assert [row.priority for row in file_rows(torrent)][2] == "normal", "nothing was changed"
        changes = choose(torrent, SetFiles(torrent="t", normal=["*"], high=["3"]))
        assert [(each.after.value, each.files) for each in changes] == [
            ("normal", "0"),
            ("high", "3"),
        ]
        assert choose(torrent, SetFiles(torrent="t", high=["c"])) == []


async def test_of_a_link_no_files_are_known(tmp_path: Path) -> None:
    async with running() as session:
        link = Magnet(CONTENT.info.info_hash)
        torrent = await session.add(link, save_path=tmp_path, paused=True)
        assert file_rows(torrent) == []
        with pytest.raises(StorageError, match="not known yet"):
            choose(torrent, SetFiles(torrent="t", only=["b"]))
