"""`seed`: serves what is there, and makes nothing where something is missing."""

from __future__ import annotations

import json
import signal
import urllib.request
from pathlib import Path

import pytest

from engine.commands.transferring import save_path_of
from engine.core.metainfo import Metainfo
from engine.errors import StorageError, StorageMissingError
from tests.commands.rig import Content, Rig, publish, until


@pytest.fixture
def content(tmp_path: Path) -> Content:
    return publish(tmp_path, sizes={"a.bin": 100_000, "sub/b.bin": 30_001})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ends_cleanly(rig: Rig, content: Content, number: signal.Signals) -> None:
    seed, _ = rig.seed(content.torrent, content.folder)
    ended = seed.end(number)
    assert (ended.code, ended.err) == (0, "")
    assert "seeding cargo (127 KiB) on 127.0.0.1:" in ended.out
    assert "nothing was missing" in ended.out


def test_says_stopped_to_its_tracker(rig: Rig, tmp_path: Path) -> None:
    tracker = rig.begin("tracker", "--http", "127.0.0.1:0", "--json")
    told = tracker.wait_for("}\n")
    url = told.split('"announce": [')[1].split('"')[1]
    content = publish(tmp_path, tracker=url)
    seed, _ = rig.seed(content.torrent, content.folder)

    def seeds() -> int:
        with urllib.request.urlopen(url.replace("/announce", "/stats.json")) as page:
            return int(json.load(page)["seeds"])

    until(lambda: seeds() == 1)
    assert seed.end().code == 0
    until(lambda: seeds() == 0)


def test_damage_is_an_error(rig: Rig, content: Content) -> None:
    path = content.folder / content.name / "a.bin"
    data = bytearray(path.read_bytes())
    data[5] ^= 1
    path.write_bytes(data)
    done = rig.run("seed", content.torrent, "--data", content.folder)
    assert done.is_error(5, "1 of ", "missing or damaged", "`seedwright get TORRENT -o DIR`")
    assert path.read_bytes() == data


def test_what_is_missing_is_not_made(rig: Rig, content: Content) -> None:
    empty = rig.home / "empty"
    empty.mkdir()
    done = rig.run("seed", content.torrent, "--data", empty)
    assert done.is_error(5, "No such file")
    assert not list(empty.iterdir())


def test_data_is_the_folder_or_the_content_itself(content: Content) -> None:
    info = Metainfo.parse(content.torrent.read_bytes()).info
    inside = content.folder / content.name
    assert save_path_of(info, content.folder) == content.folder
    assert save_path_of(info, inside) == content.folder
    (inside / "a.bin").write_bytes(b"short")
    with pytest.raises(StorageError, match=r"a\.bin has 5 bytes, the torrent says 100000"):
        save_path_of(info, inside)
    (inside / "a.bin").unlink()
    with pytest.raises(StorageMissingError, match=r"a\.bin: No such file"):
        save_path_of(info, inside)
