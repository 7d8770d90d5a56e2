"""`create`: torrents that others read, and nothing overwritten that was not meant."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest

from engine.commands.create import write_torrent
from engine.core.metainfo import Metainfo
from engine.errors import InputError, StorageError
from tests.commands.conftest import Run
from tests.commands.rig import Rig


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    (folder / "old").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(b"a" * 70_000)
    (folder / "old" / "b.jpg").write_bytes(b"b" * 5)
    (folder / ".hidden").write_bytes(b"h")
    return tmp_path


def test_what_it_prints_is_what_it_made(run: Run, here: Path) -> None:
    done = run(
        *("create", "photos", "--tracker", "udp://a.example:80,http://b.example/announce"),
        *("--tracker", "https://c.example/x", "--piece-length", "32KiB", "--private"),
        *("--comment", "Ours", "--source", "XY", "--skip-hidden"),
    )
    assert (done.code, done.err) == (0, "")
    metainfo = Metainfo.parse((here / "photos.torrent").read_bytes())
    assert metainfo.trackers == (
        ("udp://a.example:80", "http://b.example/announce"),
        ("https://c.example/x",),
    )
    info = metainfo.info
    assert (info.piece_length, info.is_private, metainfo.comment) == (32768, True, "Ours")
    assert b"6:source2:XY" in info.raw
    assert [file.path for file in info.files] == [
        ("photos", "a.jpg"),
        ("photos", "old", "b.jpg"),
    ]
    for words in (str(info.info_hash), "3 pieces of 32.0 KiB", "2 files", "(70,005 bytes)"):
        assert words in done.out


def test_json_is_for_programs(run: Run, here: Path) -> None:
    done = run("create", "photos/a.jpg", "-o", here / "one.torrent", "--json")
    info = Metainfo.parse((here / "one.torrent").read_bytes()).info
    assert done.json == {
        "torrent": str(here / "one.torrent"),
        "info_hash": str(info.info_hash),
        "name": "a.jpg",
        "size": 70_000,
        "files": 1,
        "piece_length": 16384,
        "piece_count": 5,
    }


def test_never_overwrites_unasked(run: Run, here: Path) -> None:
    target = here / "photos.torrent"
    target.write_text("precious")
    assert run("create", "photos").is_error(2, "photos.torrent is there already", "--force")
    assert target.read_text() == "precious"
    assert run("create", "photos", "--force").code == 0
    assert Metainfo.parse(target.read_bytes()).info.name == "photos"


def test_a_file_that_comes_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "x.torrent"
    write_torrent(target, b"first", replace=False)
    with pytest.raises(InputError, match="is there already"):
        write_torrent(target, b"second", replace=False)
    assert target.read_bytes() == b"first"
    write_torrent(target, b"third", replace=True)
    assert target.read_bytes() == b"third"
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(StorageError, match="writing"):
        write_torrent(tmp_path / "no" / "x.torrent", b"", replace=False)


def test_wrong_input_is_one_line(run: Run, here: Path) -> None:
    (here / "empty").mkdir()
    assert run("create", "absent").is_error(2, "absent")
    assert run("create", "empty").is_error(2, "empty")
    for url in ("ftp://x.example", "nonsense", "http://", ","):
        assert run("create", "photos", "--tracker", url).is_error(2, "--tracker")
    assert run("create", "photos", "--piece-length", "100KB").is_error(2, "power of two")
    assert run("create", "photos", "--piece-length", "1KiB").is_error(2, "power of two", "16KiB")
    assert run("create", "photos", "-o", "no/x.torrent").is_error(5, "no/x.torrent")
    assert not list(here.glob("*.torrent"))


def test_an_interruption_leaves_nothing(rig: Rig) -> None:
    with (rig.home / "large").open("wb") as file:
        file.truncate(2_000_000_000)
    create = rig.begin("create", "large")
    rig_wait = threading.Event()
    rig_wait.wait(0.7)  # past the imports; an earlier signal ends it just as well
    ended = create.end(signal.SIGINT)
    assert ended.code in {130, -signal.SIGINT}
    assert not list(rig.home.glob("*.torrent*"))
    assert not list(rig.home.glob(".*.new"))
