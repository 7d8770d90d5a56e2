"""Engines as processes: they answer, or they say why not, and they end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import processes
from engine.errors import ControlError, StorageError
from tests.commands.rig import Rig, rig_at

LOOPBACK = ("--listen", "127.0.0.1:0", "--isolated")


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with rig_at(tmp_path / "home") as rig:
        yield rig


async def test_starts_one_that_answers_and_ends_it(rig: Rig) -> None:
    socket, log = rig.home / "e.sock", rig.home / "logs" / "daemon.log"
    assert not await processes.answers(socket)
    # A package of the same name where we are must not be taken for ours.
    (rig.home / "engine").mkdir()
    (rig.home / "engine" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    here = os.getcwd()
    os.chdir(rig.home)
    try:
        process = await processes.start_engine(socket, log, LOOPBACK, environ=rig.environ)
    finally:
        os.chdir(here)
    assert await processes.answers(socket)
    assert os.getsid(process.pid) == process.pid
    processes.end(process)
    assert process.returncode == 0
    assert not socket.exists()
    assert "ready: peers at" in log.read_text()
    assert (rig.home / ".local" / "state" / "seedwright" / "state.db").exists()


async def test_says_why_it_did_not_start(rig: Rig) -> None:
    socket, log = rig.home / "e.sock", rig.home / "daemon.log"
    log.write_text("an older line\n")
    with pytest.raises(ControlError) as raised:
        await processes.start_engine(socket, log, ("--listen", "x:1"), environ=rig.environ)
    assert str(raised.value).startswith("the engine did not start: network.listen (flag --listen)")
    assert str(raised.value).endswith(f"(log: {log})")
    assert log.read_text().startswith("an older line\nseedwright: ")


async def test_says_where_to_look_when_it_is_too_slow(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "START_PATIENCE_S", 0.0)
    socket, log = rig.home / "e.sock", rig.home / "daemon.log"
    with pytest.raises(ControlError, match=f"did not answer within 0 s: .*{log}"):
        await processes.start_engine(socket, log, LOOPBACK, environ=rig.environ)
    assert not await processes.answers(socket)


async def test_two_at_once_are_one_engine(rig: Rig) -> None:
    socket = rig.home / "e.sock"
    both = await asyncio.gather(
        *(
            processes.start_engine(socket, rig.home / f"{n}.log", LOOPBACK, environ=rig.environ)
            for n in range(2)
        )
    )
    processes.end(*both)
    codes = {process.returncode for process in both}
    assert codes in ({0, 3}, {0, -signal.SIGTERM})  # the second may have been about to find out


async def test_an_interrupted_start_leaves_no_process(rig: Rig) -> None:
    log = rig.home / "daemon.log"
    starting = asyncio.create_task(
        processes.start_engine(rig.home / "e.sock", log, LOOPBACK, environ=rig.environ)
    )
    while not log.exists():
        await asyncio.sleep(0.01)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not await processes.answers(rig.home / "e.sock")


async def test_a_log_that_grew_large_becomes_the_one_before(rig: Rig) -> None:
    log = rig.home / "daemon.log"
    with log.open("wb") as file:
        file.truncate(processes.MAX_LOG_BYTES + 1)
    with pytest.raises(ControlError):
        await processes.start_engine(rig.home / "e", log, ("--listen", "x"), environ=rig.environ)
    assert log.stat().st_size < 1000
    assert (rig.home / "daemon.log.1").stat().st_size > processes.MAX_LOG_BYTES
    with pytest.raises(StorageError, match="opening"):
        await processes.start_engine(rig.home / "e", Path("/dev/null/x/log"))


def test_who_does_not_listen_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PATIENCE_S", 0.2)
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True)\n"
    deaf = subprocess.Popen([sys.executable, "-c", code + "signal.pause()"], stdout=subprocess.PIPE)
    with deaf:
        assert deaf.stdout is not None
        deaf.stdout.readline()
        processes.end(deaf)
        assert deaf.returncode == -9
