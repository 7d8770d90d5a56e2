"""A home for each test, and one engine for all that only ask it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine import cli
from tests.commands.rig import Result, Rig, Server, rig_at

Run = Callable[..., Result]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with rig_at(tmp_path / "home") as rig:
        yield rig


@pytest.fixture(scope="session")
def shared_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_at(tmp_path_factory.mktemp("cli")) as rig:
        yield rig


@pytest.fixture(scope="session")
def engine(shared_rig: Rig) -> Server:
    """A running engine that tests add torrents of their own to, and do not end."""
    return shared_rig.daemon()


@pytest.fixture
def run(
    shared_rig: Rig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run a command in this process, for those that only ask: much quicker than a process."""
    for name in ("SEEDWRIGHT_CONFIG", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(shared_rig.home))
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        code = cli.run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return run
