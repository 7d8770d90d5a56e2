"""`list` and `status`: tables for people, JSON for programs."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
import rich_click as click

from engine.commands.listing import in_order, state_text
from engine.control.schema import TorrentRow, TorrentState
from tests.commands.conftest import Run
from tests.commands.rig import Server, publish


def _row(name: str = "x", **values: object) -> TorrentRow:
    fields = {"state": TorrentState.DOWNLOADING, "size": 100, "have": 50, "progress": 0.5}
    return TorrentRow(info_hash="ab" * 20, name=name, **(fields | values))  # type: ignore[arg-type]


def test_lists_what_is_there(run: Run, engine: Server, tmp_path: Path) -> None:
    content = publish(tmp_path, name="listed")
    there = ("--socket", engine.socket)
    assert run("add", content.torrent, "--save-path", content.folder, *there).code == 0
    assert run("wait", "listed", *there).code == 0
    head, *lines = run("list", *there).out.splitlines()
    assert " ".join(head.split()) == "ID NAME SIZE STATE DOWN UP PEERS LEFT RATIO"
    (line,) = (line for line in lines if "listed" in line)
    assert line.split() == [content.info_hash[:8], "listed", "293K", "seeding", "0.00"]
    rows = run("list", "--json", *there).json
    assert content.info_hash in [row["info_hash"] for row in rows]


def test_a_terminal_is_never_too_narrow(
    run: Run, engine: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = publish(tmp_path, name="a very long name " * 10)
    there = ("--socket", engine.socket)
    assert run("add", content.torrent, "--paused", *there).code == 0
    assert content.name in run("list", *there).out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    for columns in (70, 80, 200):
        size = os.terminal_size((columns, 24))
        monkeypatch.setattr(shutil, "get_terminal_size", lambda *_, size=size, **__: size)
        lines = click.unstyle(run("list", *there).out).splitlines()
        assert max(map(len, lines)) <= columns
        assert ("RATIO" in lines[0]) == (columns >= 90)


def test_orders() -> None:
    rows = [
        _row("b", size=1, down_rate=5, added_at=2.0),
        _row("A", size=3, up_rate=5, added_at=3.0),
        _row("c", size=2, progress=0.9, added_at=1.0),
    ]
    orders = {
        key: "".join(row.name for row in in_order(rows, key))
        for key in ("name", "size", "progress", "added", "down", "up")
    }
    assert orders == {
        "name": "Abc",
        "size": "Acb",
        "progress": "cbA",
        "added": "cbA",
        "down": "bAc",
        "up": "Abc",
    }


def test_states_say_how_far() -> None:
    assert state_text(_row(progress=0.4567)) == "45.6%"
    assert state_text(_row(reason="no peers")) == "waiting 50%"
    assert state_text(_row(reason="no peers", down_rate=5)) == "50.0%"
    assert state_text(_row(state=TorrentState.CHECKING)) == "check 50%"
    assert state_text(_row(state=TorrentState.PAUSED)) == "paused 50%"
    assert state_text(_row(state=TorrentState.PAUSED, have=100, progress=1.0)) == "paused"
    assert state_text(_row(state=TorrentState.ERROR)) == "error"


def test_the_engine_says_how_it_is(run: Run, engine: Server) -> None:
    there = ("--socket", engine.socket)
    told = run("status", "--json", *there).json
    assert told["listen"][0].startswith("127.0.0.1:")
    assert told["is_isolated"] is True
    text = run("status", *there).out
    assert told["listen"][0] in text
    assert "down unlimited, up unlimited" in text


def test_an_empty_list_says_what_to_do(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.commands.listing.ask", lambda *_: [])
    assert "seedwright add" in run("list").out
    assert run("list", "--json").json == []
