"""`seedwright` alone: the full-screen interface, with an engine started behind it if none runs."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO, Final

import rich_click as click

import engine
from engine.commands.options import load_settings
from engine.control.client import ControlClient
from engine.control.socket_path import default_socket_path, default_state_dir
from engine.errors import ControlError, EngineUnreachable, StorageError

PATIENCE_S: Final = 20.0
_LOOK_EVERY_S: Final = 0.05
LOG_FILE: Final = "daemon.log"
MAX_LOG_BYTES: Final = 4 * 1024 * 1024
"""A log that is longer when an engine is started becomes the one before."""
_QUOTED_BYTES: Final = 2000


def open_interface(socket_path: Path | None, *, may_start: bool) -> None:
    """Run the interface until it is left. Raises EngineUnreachable when no engine runs and none may
    be started, ControlError with the words of its log when it does not start."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("the interface needs a terminal; there are commands for scripts")
    path = asyncio.run(engine_for(socket_path, may_start=may_start))
    from tui.app import run  # loaded late: Textual is the largest thing here

    run(path)


async def engine_for(socket_path: Path | None, *, may_start: bool) -> Path:
    """Return the socket of a running engine, started if need be. Raises as open_interface."""
    settings = (await load_settings()).settings.daemon
    path = (socket_path or settings.socket or default_socket_path(os.environ)).absolute()
    if await _answers(path):
        return path
    if not may_start:
        raise EngineUnreachable(f"no engine runs at {path}; start one with `seedwright daemon`")
    state = (settings.state_dir or default_state_dir(os.environ)).absolute()
    await start_engine(path, state / LOG_FILE)
    return path


async def start_engine(socket: Path, log: Path) -> int:
    """Start an engine that outlives us, wait until it answers at `socket`, return its process id.
    Raises ControlError, quoting its log; StorageError when there can be no log."""
    try:
        file = _open_log(log)
    except OSError as error:
        raise StorageError.from_os_error(error, f"opening {log}") from error
    with file:
        before = file.tell()
        process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
            [sys.executable, "-P", "-m", "engine", "daemon", "--socket", os.fspath(socket)],
            env=os.environ | {"PYTHONPATH": _import_path()},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    deadline = time.monotonic() + PATIENCE_S
    while not await _answers(socket):
        if process.poll() is not None and not await _answers(socket):
            raise ControlError(f"the engine did not start: {_last_words(log, before)}")
        if time.monotonic() > deadline:
            process.terminate()
            raise ControlError(f"the engine did not answer in {PATIENCE_S:g} s; see {log}")
        await asyncio.sleep(_LOOK_EVERY_S)
    return process.pid


async def _answers(socket: Path) -> bool:
    try:
        client = await ControlClient.connect(socket, client="seedwright starter")
    except EngineUnreachable:
        return False
    await client.close()
    return True


def _open_log(path: Path) -> BinaryIO:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    return path.open("ab")


def _import_path() -> str:
    """Where this very package is found, in front: `-P` keeps the current folder out."""
    here = str(Path(str(engine.__file__)).resolve().parents[1])
    return os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))


def _last_words(log: Path, start: int) -> str:
    """What the log says since `start`, its last line: errors of ours are one line."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(start, size - _QUOTED_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    said = [line for line in lines if line.strip()]
    return f"{said[-1].removeprefix('seedwright: ')} (log: {log})" if said else f"see {log}"
