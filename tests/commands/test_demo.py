"""`demo` as a command: everybody gets everything, and nothing is left behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.commands.conftest import Run
from tests.commands.rig import Rig, until


def _processes_below(folder: Path) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if str(folder) in line:
                found.append(line)
    return found


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A temporary folder of a short name: sockets lie in it."""
    return tmp_path_factory.mktemp("d")


def test_everybody_gets_everything(rig: Rig, folder: Path) -> None:
    environ = {"TMPDIR": str(folder), "SEEDWRIGHT_NETWORK_LISTEN": "not even looked at"}
    done = rig.run(
        "demo", "--headless", "--size", "3MiB", "--rate", "0", "--leechers", "2", environ=environ
    )
    assert (done.code, done.err) == (0, "")
    assert "leecher 1 100%" in done.out
    assert "leecher 2 100%" in done.out
    assert done.out.endswith("30 files compared, all as published\n")
    assert not list(folder.iterdir())
    assert not list(rig.home.iterdir())


def test_an_end_before_the_end_leaves_nothing(rig: Rig, folder: Path) -> None:
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        demo = rig.begin(
            *("demo", "--headless", "--size", "2MiB", "--rate", "50KiB/s", "--leechers", "1"),
            environ={"TMPDIR": str(folder)},
        )
        demo.wait_for("leecher 1 ")
        (ours,) = folder.iterdir()
        assert len(_processes_below(ours)) == 2
        assert demo.end(number).code == code
        until(lambda ours=ours: not _processes_below(ours))
        assert not ours.exists()


def test_wrong_plans_are_one_line(run: Run) -> None:
    assert run("demo").is_error(2, "needs a terminal", "--headless")
    assert run("demo", "--headless", "--leechers", "0").is_error(2, "--leechers")
    space = os.statvfs("/tmp")
    huge = str(min(space.f_bavail * space.f_frsize, 1 << 39))
    assert run("demo", "--headless", "--size", huge).is_error(5, "--size")
