"""Magnet links on the command line: get, add, show, and an engine that is killed meanwhile."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from engine.core.magnet import Magnet
from tests.commands.conftest import Run
from tests.commands.rig import Content, Rig, Server, publish, until

HASH = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def content(tmp_path: Path) -> Content:
    return publish(tmp_path, "wares", sizes={"a": 5, "b/c": 400_000})


def link_of(content: Content, address: str = "") -> str:
    link = f"magnet:?xt=urn:btih:{content.info_hash}"
    return f"{link}&x.pe={address}" if address else link


def test_get_by_a_link_alone(rig: Rig, content: Content) -> None:
    _, address = rig.seed(content.torrent, content.folder)
    done = rig.run("get", link_of(content, address), "-o", rig.home / "here", "--isolated")
    assert done.code == 0, done
    assert content.is_at(rig.home / "here")
    first, *_, last = done.out.splitlines()
    assert first == "wares: 391 KiB in 2 files"
    assert last.startswith(f"complete and verified: {rig.home / 'here' / 'wares'}; 391 KiB")
    again = rig.run("get", link_of(content), "--peer", address, "-o", rig.home / "here")
    assert "nothing was missing" in again.out


def test_get_says_what_it_waits_for_and_can_be_ended(rig: Rig, content: Content) -> None:
    server = rig.begin("get", link_of(content), "--isolated", "--listen", "127.0.0.1:0")
    server.wait_for("no metadata yet: no tracker, and no peer is known")
    done = server.end(signal.SIGINT)
    assert done.code == 130
    assert "stopped before the metadata was there" in done.err


def test_add_and_a_kill_while_it_fetches(rig: Rig, content: Content, tmp_path: Path) -> None:
    engine = rig.daemon()
    there = ("--socket", str(engine.socket))
    done = rig.run("add", link_of(content) + "&dn=from%20a%20link", "-o", tmp_path / "to", *there)
    assert done.out == f"added from a link to {tmp_path / 'to'}, {content.info_hash}\n"
    (row,) = rig.run("list", "--json", *there).json
    assert (row["name"], row["state"], row["size"]) == ("from a link", "metadata", 0)
    assert "metadata" in rig.run("list", *there).out
    info = rig.run("info", "from a link", *there).out
    assert "fetching metadata" in info
    assert "no metadata yet" in info
    assert "size" not in info
    assert rig.run("files", "from a link", "--json", *there).json == []
    assert rig.run("add", link_of(content), *there).is_error(3, "from a link is here already")

    engine.process.kill()
    engine.process.wait()
    engine = rig.daemon()
    (row,) = rig.run("list", "--json", *there).json
    assert (row["name"], row["state"]) == ("from a link", "metadata")
    _, address = rig.seed(content.torrent, content.folder)
    # By its hash: the name may change before the command has looked it up.
    waiting = rig.begin("wait", content.info_hash, *there)
    assert rig.run("add-peer", "from a link", address, *there).code == 0
    until(lambda: waiting.process.poll() is not None)
    assert waiting.end().out == "wares is complete\n"
    assert content.is_at(tmp_path / "to")
    assert rig.run("info", "wares", *there).out.count("391 KiB in 2 files") == 1


def test_a_link_without_data_is_removed_like_any_other(run: Run, engine: Server) -> None:
    there = ("--socket", engine.socket)
    assert run("add", f"magnet:?xt=urn:btih:{HASH}", "--paused", *there).code == 0
    assert run("remove", HASH, "--data", "--yes", *there).code == 0
    assert HASH not in run("list", "--json", *there).out


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("magnet:", "no magnet link"),
        ("magnet:?dn=x", "without an info-hash"),
        ("magnet:?xt=urn:btih:xyz", "no info-hash"),
        (f"magnet:?xt=urn:btmh:1220{'ab' * 32}", "version 2"),
        (f"magnet:?xt=urn:btih:{HASH}&so=x", "so="),
    ],
)
def test_links_that_say_nothing_useful(run: Run, engine: Server, link: str, words: str) -> None:
    assert run("add", link, "--socket", engine.socket).is_error(2, words)
    assert run("show", link).is_error(2, words)


def test_seed_needs_more_than_a_link(run: Run, tmp_path: Path) -> None:
    link = f"magnet:?xt=urn:btih:{HASH}"
    assert run("seed", link, "--data", tmp_path).is_error(2, "a magnet link is not enough")


def test_show_tells_the_link_of_a_torrent_and_what_a_link_says(run: Run, tmp_path: Path) -> None:
    content = publish(tmp_path, tracker="http://t.example/announce?key=1")
    link = run("show", content.torrent, "--json").json["magnet"]
    assert Magnet.parse(link) == Magnet(
        Magnet.parse(link_of(content)).info_hash,
        name="cargo",
        trackers=("http://t.example/announce?key=1",),
    )
    assert link in run("show", content.torrent).out
    told = run(
        "show", link + "&x.pe=[::1]:7&x.pe=h.example:8&so=0,2-4&ws=http://w.example/", "--json"
    )
    assert told.json == {
        "name": "cargo",
        "info_hash": content.info_hash,
        "magnet": str(Magnet.parse(told.json["magnet"])),
        "trackers": [["http://t.example/announce?key=1"]],
        "peers": ["[::1]:7", "h.example:8"],
        "web_seeds": ["http://w.example/"],
        "selected_files": "0,2-4",
    }
    said = run("show", f"magnet:?xt=urn:btih:{HASH}&x.pe=h.example:8&so=1").out
    for words in ("not in the link", HASH, "trackers  none", "h.example:8", "numbers 1"):
        assert words in said
