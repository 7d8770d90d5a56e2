"""`add` and `add-peer`: what the engine takes, and why it does not take the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.commands.conftest import Run
from tests.commands.rig import Server, publish


def test_adds_with_everything_that_can_be_said(
    run: Run, engine: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = publish(tmp_path, name="adds everything")
    monkeypatch.chdir(tmp_path)
    done = run(
        *("add", "adds everything.torrent", "--save-path", "somewhere", "--paused"),
        *("--peer", "127.0.0.1:1", "--sparse", "--socket", engine.socket, "--json"),
    )
    assert done.code == 0
    assert (done.json["info_hash"], done.json["state"]) == (content.info_hash, "paused")
    info = run("info", content.info_hash, "--socket", engine.socket, "--json").json
    assert info["save_path"] == str(tmp_path / "somewhere")

    again = run("add", content.torrent, "--socket", engine.socket)
    assert again.is_error(3, "adds everything", "here already")


def test_says_what_it_added(run: Run, engine: Server, tmp_path: Path) -> None:
    content = publish(tmp_path, name="says")
    done = run("add", content.torrent, "--save-path", tmp_path, "--socket", engine.socket)
    assert done.out == f"added says (293 KiB) to {tmp_path}, {content.info_hash}\n"
    other = publish(tmp_path, name="says more")
    done = run("add", other.torrent, "--paused", "--socket", engine.socket)
    downloads = run("config", "get", "storage.save_path").out.strip()
    assert done.out == f"added says more (293 KiB) to {downloads}, {other.info_hash}\n"


def test_several_are_added_past_one_that_fails(run: Run, engine: Server, tmp_path: Path) -> None:
    first, second, third = (publish(tmp_path, name=f"several {n}") for n in range(3))
    bad = tmp_path / "bad.torrent"
    bad.write_bytes(b"not a torrent")
    there = ("--paused", "-o", tmp_path / "to", "--socket", engine.socket)
    done = run("add", first.torrent, bad, second.torrent, first.torrent, *there)
    told = [line.split()[:3] for line in done.out.splitlines()]
    assert told == [["added", "several", "0"], ["added", "several", "1"]]
    assert done.code == 2
    wrong, again = done.err.splitlines()
    assert wrong.startswith(f"seedwright: {bad}: ")
    assert again.startswith("seedwright: several 0 is here already")
    info = run("info", second.info_hash, "--socket", engine.socket, "--json").json
    assert (info["save_path"], info["row"]["state"]) == (str(tmp_path / "to"), "paused")

    done = run("add", first.torrent, third.torrent, bad, "--json", *there)
    assert [row["info_hash"] for row in done.json] == [third.info_hash]
    assert done.code == 3
    assert done.err.count("\n") == 2

    nowhere = ("--socket", tmp_path / "no.sock")
    assert run("add", first.torrent, second.torrent, *nowhere).is_error(6, "no engine runs")


def test_all_that_are_added_are_seen_to_begin(run: Run, engine: Server, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("no folder")
    torrents = [publish(tmp_path, name=f"begun {n}").torrent for n in range(2)]
    done = run("add", *torrents, "-o", blocked, "--socket", engine.socket)
    assert (done.code, done.out) == (5, "")
    assert done.err.count("is added, but cannot begin") == 2


def test_the_engine_says_why_it_refuses(run: Run, engine: Server, tmp_path: Path) -> None:
    path = tmp_path / "bad.torrent"
    for data, words in (
        (b"not a torrent", "bad.torrent"),
        (b"d4:infod6:lengthi1e4:name2:..12:piece lengthi16384e6:pieces0:ee", ".."),
        (b"d4:infod6:lengthi-5e4:name1:x12:piece lengthi16384e6:pieces0:ee", "bad.torrent"),
    ):
        path.write_bytes(data)
        assert run("add", path, "--socket", engine.socket).is_error(2, words)
    with path.open("wb") as file:
        file.truncate(33 * 1024 * 1024)
    assert run("add", path, "--socket", engine.socket).is_error(2, "too large")
    assert run("add", tmp_path / "no", "--socket", engine.socket).is_error(2, "No such file")
    url = "http://127.0.0.1:9/x.torrent"
    assert run("add", url, "--socket", engine.socket).is_error(2, "127.0.0.1:9")
    assert run("add", "magnet:?x", "--socket", engine.socket).is_error(2, "magnet")


def test_without_an_engine_it_says_what_to_do(run: Run, tmp_path: Path) -> None:
    content = publish(tmp_path)
    nowhere = tmp_path / "no.sock"
    done = run("add", content.torrent, "--socket", nowhere)
    assert done.is_error(6, f"no engine runs at {nowhere}", "start one with `seedwright daemon`")
    nowhere.touch()
    assert run("list", "--socket", nowhere).is_error(6, os.fspath(nowhere))


def test_peers_for_one_and_for_all(run: Run, engine: Server, tmp_path: Path) -> None:
    content = publish(tmp_path, name="lonely")
    there = ("--socket", engine.socket)
    assert run("add", content.torrent, "--paused", *there).code == 0
    done = run("add-peer", "lonely", "localhost:1", *there)
    assert done.out == "localhost:1: told to 1 torrent\n"
    everybody = run("add-peer", "--all", "127.0.0.1:1", "--json", *there)
    assert content.info_hash in everybody.json["info_hashes"]
    assert run("add-peer", "127.0.0.1:1", *there).is_error(2, "--all")
    assert run("add-peer", "--all", "lonely", "127.0.0.1:1", *there).is_error(2, "--all")
    assert run("add-peer", "lonely", "nowhere", *there).is_error(2, "HOST:PORT")
    assert run("add-peer", "nobody", "127.0.0.1:1", *there).is_error(3, "nobody")
