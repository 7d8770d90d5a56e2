"""`info`, `magnet`, `files`, `peers`, `trackers`, `log`: all there is to know of a torrent."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from tests.commands.conftest import Run
from tests.commands.rig import Rig, publish
from tui.format import NO_MAGNET


def test_of_a_torrent_between_two_engines(rig: Rig, run: Run, tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/announce"
    content = publish(tmp_path, sizes={"a.bin": 2_000_000, "sub/b.bin": 70_000}, tracker=url)
    _, address = rig.seed(content.torrent, content.folder, "--up-limit", "300KiB/s")
    there = ("--socket", rig.daemon().socket)
    added = run(
        *("add", content.torrent, "--save-path", rig.home / "dl", "--peer", address, *there)
    )
    assert added.code == 0
    assert run("wait", "cargo", "--timeout", "1s", *there).is_error(124, "time is up")

    info = run("info", "cargo", "--json", *there).json
    assert info["save_path"] == str(rig.home / "dl")
    assert info["piece_count"] == info["row"]["size"] // info["piece_length"] + 1
    text = run("info", content.info_hash[:6], *there).out
    for words in ("cargo", content.info_hash, "downloading", "1.97 MiB in 2 files", "For tests"):
        assert words in text

    link = f"magnet:?xt=urn:btih:{content.info_hash}&dn=cargo&tr={quote(url, safe='')}"
    assert info["magnet"] == link
    assert link in text
    assert run("magnet", "cargo", *there).out == f"{link}\n"
    told = run("magnet", "cargo", "--json", *there).json
    assert told == {"info_hash": content.info_hash, "magnet": link}

    peers = run("peers", "cargo", "--json", *there).json
    assert [(peer["address"], peer["source"]) for peer in peers] == [(address, "manual")]
    head, line = run("peers", "cargo", *there).out.splitlines()
    assert head.split()[:3] == ["ADDRESS", "CLIENT", "HAS"]
    assert address in line
    assert "seedwright 0.1.0" in line

    files = run("files", "cargo", "--json", *there).json
    assert [(file["path"], file["size"]) for file in files if not file["is_pad"]] == [
        ("cargo/a.bin", 2_000_000),
        ("cargo/sub/b.bin", 70_000),
    ]
    assert "└─ b.bin" in run("files", "cargo", *there).out

    (tracker,) = run("trackers", "cargo", "--json", *there).json
    assert (tracker["url"], tracker["tier"]) == (url, 0)
    assert url in run("trackers", "cargo", *there).out

    log = run("log", "cargo", "--json", *there).json
    assert [line["text"] for line in log][:2] == ["added", "downloading"]
    assert "info" in run("log", "cargo", *there).out


def test_of_a_lonely_torrent(rig: Rig, run: Run, tmp_path: Path) -> None:
    there = ("--socket", rig.daemon().socket)
    content = publish(tmp_path)
    assert run("add", content.torrent, "--paused", *there).code == 0
    assert run("peers", "cargo", *there).out == "no peer is connected\n"
    assert run("trackers", "cargo", *there).out == "it has no tracker\n"
    hidden = publish(tmp_path, "hidden", tracker="http://127.0.0.1:9/key/announce", private=True)
    assert run("add", hidden.torrent, "--paused", *there).code == 0
    assert run("magnet", "hidden", *there).is_error(2, "hidden is private", "give its .torrent")
    assert NO_MAGNET in run("info", "hidden", *there).out
    assert run("info", "hidden", "--json", *there).json["magnet"] == ""
    for command in ("info", "magnet", "files", "peers", "trackers", "log"):
        assert run(command, "absent", *there).is_error(3, "absent")
        assert run(command, *there).is_error(2, "TORRENT")
