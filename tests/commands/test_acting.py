"""`pause`, `resume`, `recheck`, `announce`, `limits`: one torrent, some, all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.conftest import Run
from tests.commands.rig import Content, Rig, Server, publish


@pytest.fixture
def content(run: Run, engine: Server, tmp_path: Path) -> Content:
    content = publish(tmp_path, name=f"acting {tmp_path.name}")
    assert run("add", content.torrent, "--paused", "--socket", engine.socket).code == 0
    return content


@pytest.mark.parametrize(
    ("command", "said"),
    [("pause", "paused"), ("resume", "resumed"), ("recheck", "checking"), ("announce", "anno")],
)
def test_by_name_by_prefix_and_all(
    run: Run, engine: Server, content: Content, command: str, said: str
) -> None:
    there = ("--socket", engine.socket)
    assert run(command, content.name, *there).out.startswith(f"{said}")
    twice = run(command, content.name, content.info_hash[:8], "--json", *there)
    assert twice.json == {"info_hashes": [content.info_hash]}
    everything = run(command, "--all", "--json", *there).json
    assert content.info_hash in everything["info_hashes"]
    assert run(command, "absent", *there).is_error(3, "absent")
    assert run(command, *there).is_error(2, "--all")
    assert run(command, "x", "--all", *there).is_error(2, "--all")


def test_a_pause_is_seen(run: Run, engine: Server, content: Content) -> None:
    there = ("--socket", engine.socket)

    def state() -> str:
        info = run("info", content.name, "--json", *there).json
        return str(info["row"]["state"])

    assert state() == "paused"
    run("resume", content.name, *there)
    assert state() != "paused"
    run("pause", content.name, *there)
    assert state() == "paused"


def test_limits_of_a_torrent_and_of_the_engine(rig: Rig, run: Run, tmp_path: Path) -> None:
    there = ("--socket", rig.daemon().socket)
    content = publish(tmp_path)
    assert run("add", content.torrent, "--paused", *there).code == 0
    assert run("limits", *there, "--json").json == {"down": 0, "up": 0}
    done = run("limits", "--down", "1.5MB/s", "--up", "80Mbit/s", *there)
    assert done.out.split("\n")[:2] == ["down  1.43 MiB/s", "  up  9.54 MiB/s"]
    one = run("limits", "cargo", "--up", "2KiB/s", "--json", *there)
    assert one.json == {"down": 0, "up": 2048}
    lifted = run("limits", "--down", "0", "--json", *there)
    assert lifted.json == {"down": 0, "up": 10_000_000}
    assert run("limits", "cargo", "--json", *there).json == {"down": 0, "up": 2048}
    assert run("limits", "absent", *there).is_error(3, "absent")
    assert run("limits", "--up", "fast", *there).is_error(2, "--up", "fast")
