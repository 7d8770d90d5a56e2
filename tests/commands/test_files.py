"""Choosing files on the command line: before the start, at any time, and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.commands.files import tree
from engine.control.schema import FilePriority, FileRow
from tests.commands.conftest import Run
from tests.commands.rig import Content, Rig, publish, until


@pytest.fixture
def content(tmp_path: Path) -> Content:
    return publish(tmp_path, sizes={"a.mkv": 300_000, "b.nfo": 700, "sub/c.mkv": 200_000})


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_get_some_files_and_then_all(rig: Rig, content: Content) -> None:
    _, address = rig.seed(content.torrent, content.folder)
    here = rig.home / "here"
    args = ("get", content.torrent, "--peer", address, "-o", here, "--isolated")
    assert rig.run(*args, "--only", "*.avi").is_error(2, "no file matches '*.avi'")
    assert rig.run(*args, "--skip", "99").is_error(2, "there is no file 99")
    assert not here.exists()
    done = rig.run(*args, "--only", "*.mkv", "--skip", "sub")
    assert done.code == 0, done
    assert "wanted: 1 of 3 files" in done.out
    assert "all wanted files are complete and verified" in done.out
    assert {name for name in names(here) if not name.startswith(".")} == {"cargo/a.mkv"}
    done = rig.run(*args)
    assert done.code == 0, done
    assert content.is_at(here)
    assert names(here) == {"cargo/a.mkv", "cargo/b.nfo", "cargo/sub/c.mkv"}
    link = f"magnet:?xt=urn:btih:{content.info_hash}&x.pe={address}&so=2"
    number = next(file["index"] for file in _files(rig, content) if file["path"].endswith("b.nfo"))
    there = rig.home / "there"
    done = rig.run("get", link.replace("so=2", f"so={number}"), "-o", there, "--isolated")
    assert done.code == 0, done
    assert "cargo/a.mkv" not in names(there)
    assert (there / "cargo/b.nfo").read_bytes() == (content.folder / "cargo/b.nfo").read_bytes()


def _files(rig: Rig, content: Content) -> list[dict[str, str]]:
    """The files as `show` numbers them."""
    told = rig.run("show", content.torrent, "--json").json["files"]
    return [{**file, "index": number} for number, file in enumerate(told)]


def test_of_a_running_engine(rig: Rig, run: Run, content: Content) -> None:
    there = ("--socket", rig.daemon().socket)
    target = rig.home / "dl"
    added = run("add", content.torrent, "-o", target, "--paused", "--skip", "*.nfo", *there)
    assert added.code == 0
    number = {Path(f["path"]).name: str(f["index"]) for f in _files(rig, content)}
    told = {
        Path(f["path"]).name: f["priority"] for f in run("files", "cargo", "--json", *there).json
    }
    assert told["b.nfo"] == "skip"
    assert told["a.mkv"] == "normal"

    said = run("files", "cargo", "--skip", number["a.mkv"], "--high", "sub", *there).out
    assert "1 file (293 KiB): normal → skip" in said
    assert "1 file (195 KiB): normal → high" in said
    assert "cargo: 1 of 3 files wanted" in said
    undo = next(line for line in said.splitlines() if line.startswith("undo: "))
    shown = run("files", "cargo", *there).out
    assert shown.splitlines()[0].split() == ["NO", "DONE", "SIZE", "PRIORITY", "FILE"]
    assert "mixed     cargo/" in shown
    assert "high      └─ sub/" in shown or "high      ├─ sub/" in shown
    assert "only 1 of 3" not in shown
    assert "1 of 3 files" in run("info", "cargo", *there).out

    run(*undo.removeprefix("undo: seedwright ").split(), *there)
    told = {
        Path(f["path"]).name: f["priority"] for f in run("files", "cargo", "--json", *there).json
    }
    assert told["a.mkv"] == told["c.mkv"] == "normal"
    assert told["b.nfo"] == "skip"
    assert run("files", "cargo", "--skip", "b.nfo", *there).out.startswith("nothing changed")
    assert run("files", "cargo", "--skip", "*.exe", *there).is_error(2, "no file matches")
    assert run("files", "cargo", "--only", "0,77", *there).is_error(2, "there is no file 77")


def test_add_a_link_and_pick(rig: Rig, run: Run, content: Content) -> None:
    _, address = rig.seed(content.torrent, content.folder)
    there = ("--socket", rig.daemon().socket)
    link = f"magnet:?xt=urn:btih:{content.info_hash}&x.pe={address}"
    said = run("add", link, "-o", rig.home / "dl", "--pick", *there).out
    assert "seedwright files" in said
    until(lambda: run("list", "--json", *there).json[0]["state"] == "paused")
    assert not (rig.home / "dl").exists()
    assert run("files", "cargo", "--only", "*.nfo", *there).code == 0
    assert run("resume", "cargo", *there).code == 0
    assert run("wait", "cargo", *there).code == 0
    assert "cargo/b.nfo" in names(rig.home / "dl")
    assert "cargo/a.mkv" not in names(rig.home / "dl")


def test_the_tree_has_the_sums_of_its_folders() -> None:
    rows = [
        FileRow(path="t/a/x", size=3, have=3, index=0),
        FileRow(path="t/b", size=5, have=0, index=1, priority=FilePriority.SKIP),
        FileRow(path="t/a/y", size=4, have=1, index=2),
    ]
    lines = [(line.text, line.number, line.size, line.have) for line in tree(rows)]
    assert lines == [
        ("t/", "", 12, 4),
        ("├─ a/", "", 7, 4),
        ("│  ├─ x", "0", 3, 3),
        ("│  └─ y", "2", 4, 1),
        ("└─ b", "1", 5, 0),
    ]
    (alone,) = tree([FileRow(path="alone.iso", size=1, have=1)])
    assert alone.text == "alone.iso"
    deep = "/".join(map(str, range(3000)))
    assert sum(1 for _ in tree([FileRow(path=deep, size=1, have=0)])) == 3000


def test_the_help_says_that_a_choice_stays_where_none_is_made(run: Run) -> None:
    assert run("files", "--help").out.count("[default: as it is]") == 4
    assert "[default: all]" in run("get", "--help").out
