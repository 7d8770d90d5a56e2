"""The swarm of the demonstration: its content, and that a difference would be seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import demo
from engine.core.metainfo import Metainfo
from engine.demo import CONTENT, Plan, Swarm
from engine.errors import DiskFullError, StorageError

PLAN = Plan(size_bytes=1_000_000, leechers=1)


def test_the_content_is_all_that_was_asked_for(tmp_path: Path) -> None:
    torrents = [Metainfo.parse(data) for data in demo.publish(tmp_path, PLAN, "http://t.example/a")]
    names = [torrent.info.name for torrent in torrents]
    assert names == list(dict.fromkeys(name.split("/")[0] for name, _ in CONTENT))
    assert sum(torrent.info.is_single_file for torrent in torrents) == 3
    assert all(torrent.trackers == (("http://t.example/a",),) for torrent in torrents)
    assert sum((tmp_path / name).stat().st_size for name, _ in CONTENT) == 1_000_000
    again = [Metainfo.parse(data) for data in demo.publish(tmp_path, PLAN, "http://t.example/a")]
    assert [torrent.info_hash for torrent in again] == [each.info_hash for each in torrents]


def test_a_difference_is_seen(tmp_path: Path) -> None:
    swarm = Swarm(tmp_path, PLAN)
    folder = tmp_path / "leecher-1"
    for target in (tmp_path / "content", folder / "downloads"):
        demo.publish(target, PLAN, "")
    # No process is needed to compare files.
    swarm.leechers.append(demo.Member("leecher 1", folder, None))  # type: ignore[arg-type]
    assert swarm.compare() == len(CONTENT)
    damaged = folder / "downloads" / "Seed Library.tar"
    data = bytearray(damaged.read_bytes())
    data[-1] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(StorageError, match=r"Seed Library\.tar of leecher 1"):
        swarm.compare()
    damaged.unlink()
    with pytest.raises(StorageError, match=r"Seed Library\.tar of leecher 1"):
        swarm.compare()


async def test_too_little_space_is_said_before_anything_is_made(tmp_path: Path) -> None:
    swarm = Swarm(tmp_path, Plan(size_bytes=1 << 50))
    with pytest.raises(DiskFullError, match="give it less with --size"):
        await swarm.start(print)
    assert not list(tmp_path.iterdir())


def test_the_folder_goes_whatever_happens() -> None:
    with pytest.raises(RuntimeError), demo.swarm(PLAN) as running:
        folder = running.folder
        (folder / "x").write_text("")
        raise RuntimeError
    assert not folder.exists()
