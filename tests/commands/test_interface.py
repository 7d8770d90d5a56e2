"""The interface's engine: used if it runs, started if not, and said plainly when it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.commands.interface import engine_for
from engine.errors import EngineUnreachable
from tests.commands.conftest import Run
from tests.commands.rig import Rig


@pytest.fixture
def home(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("SEEDWRIGHT_CONFIG", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(rig.home))
    monkeypatch.setenv("SEEDWRIGHT_NETWORK_LISTEN", "127.0.0.1:0")
    return rig.home


async def test_starts_an_engine_once(rig: Rig, home: Path) -> None:
    socket = home / "e.sock"
    with pytest.raises(EngineUnreachable, match="no engine runs"):
        await engine_for(socket, may_start=False)
    assert await engine_for(socket, may_start=True) == socket
    assert await engine_for(socket, may_start=False) == socket
    log = home / ".local" / "state" / "seedwright" / "daemon.log"
    assert log.read_text().count("ready: peers at 127.0.0.1:") == 1
    assert rig.run("shutdown", "--socket", socket).code == 0


async def test_the_setting_says_which_engine(
    rig: Rig, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = rig.daemon()
    monkeypatch.setenv("SEEDWRIGHT_DAEMON_SOCKET", str(daemon.socket))
    assert await engine_for(None, may_start=False) == daemon.socket


def test_needs_a_terminal(run: Run) -> None:
    assert run().is_error(2, "needs a terminal")
    assert run("--no-start").is_error(2, "needs a terminal")
