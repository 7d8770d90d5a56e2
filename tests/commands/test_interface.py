"""The interface's engine: used if it runs, started if not, and said plainly when it cannot be."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from engine.commands.interface import engine_for, farewell, fleet_of
from engine.control.socket_path import default_socket_path
from engine.errors import EngineUnreachable
from tests.commands.conftest import Run
from tests.commands.rig import TIMEOUT_S, Rig


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
    started: list[Path] = []
    assert await engine_for(socket, may_start=True, started=started) == socket
    assert started == [socket]
    assert await engine_for(socket, may_start=True, started=started) == socket
    assert started == [socket], "it ran already"
    log = home / ".local" / "state" / "seedwright" / "daemon.log"
    assert log.read_text().count("ready: peers at 127.0.0.1:") == 1
    assert rig.run("shutdown", "--socket", socket).code == 0


async def test_the_setting_says_which_engine(
    rig: Rig, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = rig.daemon()
    monkeypatch.setenv("SEEDWRIGHT_DAEMON_SOCKET", str(daemon.socket))
    assert await engine_for(None, may_start=False) == daemon.socket


async def test_those_that_are_named(rig: Rig, home: Path) -> None:
    assert rig.run("config", "set", "engines.box", "ssh://me@box").code == 0
    named = ["box", "/run/a/engine.sock", "/run/peer-1.sock", "ssh://me@far:2", "ssh://you@far",
             "exec:true"]  # fmt: skip
    fleet = await fleet_of(named, start=None)
    assert {name: str(address) for name, address in fleet.items()} == {
        "box": "ssh://me@box",
        "a": "/run/a/engine.sock",
        "peer-1": "/run/peer-1.sock",
        "far": "ssh://me@far:2",
        "far 2": "ssh://you@far",
        "true": "exec:true",
    }
    assert list(await fleet_of(["box"], start=None)) == ["box"]


async def test_an_engine_that_has_a_name_is_not_started(rig: Rig, home: Path) -> None:
    assert rig.run("config", "set", "engines.box", str(home / "box.sock")).code == 0
    with pytest.raises(EngineUnreachable, match="no engine runs at"):
        await fleet_of(["box"], start=None)
    assert not (home / "box.sock").exists()


async def test_those_of_the_settings_and_the_one_here_if_it_runs(
    rig: Rig, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = home / "engine.sock"
    monkeypatch.setenv("SEEDWRIGHT_DAEMON_SOCKET", str(socket))
    with pytest.raises(EngineUnreachable, match="no engine runs"):
        await fleet_of([], start=False)
    assert rig.run("config", "set", "engines.box", "ssh://me@box").code == 0
    assert list(await fleet_of([], start=None)) == ["box"]
    rig.daemon()
    assert await fleet_of([], start=None) == {"here": socket, **await fleet_of(["box"], start=None)}
    assert rig.run("config", "set", "engines.mine", str(socket)).code == 0
    assert list(await fleet_of([], start=True)) == ["box", "mine"]


def test_says_that_an_engine_is_starting_until_it_answers(rig: Rig, home: Path) -> None:
    socket = home / "e.sock"
    environ = rig.environ | {"TERM": "xterm-256color", "SEEDWRIGHT_NETWORK_LISTEN": "127.0.0.1:0"}
    end, terminal = os.openpty()
    with open(end, "r+b", buffering=0) as screen, open(terminal, "r+b", buffering=0) as of_it:
        command = [sys.executable, "-m", "engine", "-e", socket]
        interface = subprocess.Popen(command, env=environ, stdin=of_it, stdout=of_it, stderr=of_it)
        try:
            said = b""
            while b"No torrents yet" not in said:
                ready, _, _ = select.select([screen], [], [], TIMEOUT_S)
                assert ready, said
                said += screen.read(4096)
            before = said[: said.index(b"No torrents yet")]
            assert before.index(b"looking for the engine") < before.index(b"starting the engine")
            screen.write(b"q")
            while interface.poll() is None:  # a full terminal would hold it up
                if select.select([screen], [], [], 0.1)[0]:
                    screen.read(4096)
            assert interface.returncode == 0
        finally:
            interface.kill()
            interface.wait()
            rig.run("shutdown", "--socket", socket)


def test_who_started_an_engine_is_told_how_to_end_it(home: Path) -> None:
    assert "`seedwright shutdown` ends it" in farewell(default_socket_path(os.environ))
    assert f"`seedwright shutdown -e '{home}/my e.sock'` ends it" in farewell(home / "my e.sock")


def test_needs_a_terminal(run: Run) -> None:
    assert run().is_error(2, "needs a terminal")
    assert run("-e", "a", "-e", "b").is_error(2, "needs a terminal")
    assert run("--no-start").is_error(2, "needs a terminal")


def test_an_engine_that_is_named_before_a_command_is_no_other_one(run: Run) -> None:
    assert run("-e", "/run/box.sock", "list").is_error(2, "list … -e /run/box.sock")
