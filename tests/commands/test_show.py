"""`show`: what is in a torrent, as text and as JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.commands.show import tree
from engine.core.metainfo import FileEntry
from tests.commands.conftest import Run
from tests.commands.rig import publish


def _files(*paths: str) -> list[FileEntry]:
    return [FileEntry(tuple(path.split("/")), 1, 0) for path in paths]


def test_tells_everything_in_json(run: Run, tmp_path: Path) -> None:
    content = publish(tmp_path, sizes={"a": 5, "b/c": 40_000}, tracker="http://t.example/announce")
    told = run("show", content.torrent, "--json").json
    assert told["info_hash"] == content.info_hash
    assert (told["name"], told["size"], told["is_private"]) == ("cargo", 40_005, False)
    assert told["trackers"] == [["http://t.example/announce"]]
    assert told["comment"] == "For tests"
    assert [(file["path"], file["size"]) for file in told["files"] if not file["is_pad"]] == [
        ("cargo/a", 5),
        ("cargo/b/c", 40_000),
    ]


def test_tells_people_what_matters(run: Run, tmp_path: Path) -> None:
    content = publish(tmp_path, sizes={"a": 5, "b/c": 40_000}, private=True)
    done = run("show", content.torrent)
    assert done.code == 0
    for words in (
        *(content.info_hash, "39.1 KiB (40,005 bytes)", "3 pieces of 16.0 KiB", "private  yes"),
        *(
            "For tests",
            "trackers  none",
            "2 files",
            "cargo/\n0  ├─ a  5 B\n   └─ b/\n1     └─ c  39.1 KiB",
        ),
    ):
        assert words in done.out


def test_a_tree_of_folders() -> None:
    lines = [line for line, _ in tree(_files("t/a/x", "t/a/y", "t/b", "t/c/d/z"))]
    assert lines == ["t/", "├─ a/", "│  ├─ x", "│  └─ y", "├─ b", "└─ c/", "   └─ d/", "      └─ z"]
    (alone,) = _files("alone.iso")
    assert list(tree([alone])) == [("alone.iso", alone)]
    deep = "/".join("abcdefgh" * 500)
    assert sum(1 for _ in tree(_files(deep))) == 4000


@pytest.mark.parametrize("data", [b"", b"d", b"le", b"d4:infode", b"\x00" * 100])
def test_what_is_no_torrent_is_one_line(run: Run, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.torrent"
    path.write_bytes(data)
    assert run("show", path).is_error(2, "x.torrent")


def test_a_folder_is_no_torrent_but_one_can_be_made_of_it(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "my photos"
    folder.mkdir()
    makes = f"`seedwright create '{folder}'` makes one of it"
    for words in (("show", folder), ("add", folder, "--socket", tmp_path / "s"), ("get", folder)):
        assert run(*words).is_error(2, f"{folder} is a folder, not a .torrent; {makes}")


def test_names_cannot_steer_the_terminal(run: Run, tmp_path: Path) -> None:
    content = publish(tmp_path, name="evil\u202egpj.exe")
    done = run("show", content.torrent)
    assert done.code == 0
    assert "\u202e" not in done.out
