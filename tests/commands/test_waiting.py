"""`wait`: told by the engine when it is time, or that it never will be."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from engine.commands.waiting import is_complete
from engine.control.schema import TorrentRow, TorrentState
from tests.commands.conftest import Run
from tests.commands.rig import Rig, publish


def test_until_everything_is_complete(rig: Rig, run: Run, tmp_path: Path) -> None:
    one = publish(tmp_path, name="one", sizes=900_000)
    two = publish(tmp_path, name="one more", sizes=100_000)
    _, address = rig.seed(one.torrent, one.folder, "--up-limit", "500KiB/s")
    daemon = rig.daemon()
    there = ("--socket", daemon.socket)
    downloads = ("--save-path", rig.home / "dl")
    assert run("add", one.torrent, *downloads, *there).code == 0
    assert run("add", two.torrent, "--save-path", two.folder, *there).code == 0
    assert run("wait", "one more", *there).out == "one more is complete\n"

    waiting = rig.begin("wait", "one", two.info_hash, "--json", *there)
    everything = rig.begin("wait", "--all", *there)
    assert run("add-peer", "one", address, *there).code == 0
    assert run("wait", "one", "--timeout", "30s", *there).code == 0
    assert one.is_at(rig.home / "dl")
    assert waiting.process.wait(20) == 0
    assert '"name": "one"' in waiting.out.read_text()
    assert everything.process.wait(20) == 0
    assert everything.out.read_text().count("is complete") == 2


def test_what_will_never_be_complete(rig: Rig, run: Run, tmp_path: Path) -> None:
    content = publish(tmp_path, name="never")
    blocked = rig.home / "blocked"
    blocked.write_text("no folder")
    daemon = rig.daemon()
    there = ("--socket", daemon.socket)
    failing = publish(tmp_path, name="failing")
    added = run("add", failing.torrent, "--save-path", blocked, *there)
    assert added.is_error(
        5, "failing is added", "blocked", "a file stands where a folder should be"
    )
    assert run("wait", "failing", *there).is_error(5, "failing: ", "blocked")

    assert run("add", content.torrent, "--save-path", rig.home, *there).code == 0
    assert run("wait", "never", "--timeout", "0.3s", *there).is_error(124, "1 torrent")
    assert run("wait", "absent", *there).is_error(3, "absent")
    assert run("wait", *there).is_error(2, "--all")

    assert run("wait", "failing", "never", *there).is_error(5, "failing")
    removed = rig.begin("wait", "never", *there)
    interrupted = rig.begin("wait", "never", *there)
    assert run("wait", "never", "--timeout", "1.5s", *there).code == 124  # both wait by now
    assert interrupted.end(signal.SIGINT).is_error(130, "interrupted")
    assert run("remove", "never", *there).code == 0
    removed.process.wait(20)
    assert removed.end().is_error(3, "never was removed")


def test_an_engine_that_goes_away(rig: Rig, run: Run, tmp_path: Path) -> None:
    content = publish(tmp_path)
    daemon = rig.daemon()
    there = ("--socket", daemon.socket)
    assert run("add", content.torrent, "--save-path", rig.home, *there).code == 0
    orphan = rig.begin("wait", "cargo", *there)
    assert run("wait", "cargo", "--timeout", "1s", *there).code == 124
    assert daemon.end().code == 0
    orphan.process.wait(20)
    assert orphan.end().is_error(6, "engine")


@pytest.mark.parametrize(
    ("state", "have", "complete"),
    [
        (TorrentState.SEEDING, 100, True),
        (TorrentState.PAUSED, 100, True),
        (TorrentState.PAUSED, 99, False),
        (TorrentState.CHECKING, 100, False),
        (TorrentState.DOWNLOADING, 99, False),
    ],
)
def test_what_complete_means(state: TorrentState, have: int, complete: bool) -> None:
    row = TorrentRow(info_hash="00" * 20, name="x", state=state, size=100, have=have, progress=1.0)
    assert is_complete(row) is complete
