"""Engines as processes: start one, wait until it answers or says why not, end it by its id."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

import engine
from engine.control.client import ControlClient
from engine.engine_address import EngineAddress
from engine.errors import ControlError, EngineUnreachable, StorageError

START_PATIENCE_S: Final = 60.0
"""How long an engine may take to answer: on a machine with far too much to do that is long."""
PATIENCE_S: Final = 20.0
"""How long one may take to end."""
MAX_LOG_BYTES: Final = 4 * 1024 * 1024
"""A log that is longer when an engine is started becomes the one before."""
_LOOK_EVERY_S: Final = 0.05
_QUOTED_BYTES: Final = 4000


def spawn(
    arguments: Sequence[str],
    *,
    environ: Mapping[str, str] | None = None,
    stdout: IO[bytes] | int,
    stderr: IO[bytes] | int,
) -> subprocess.Popen[bytes]:
    """Start `seedwright ARGUMENTS` in a session of its own, so that no Ctrl-C reaches it."""
    environ = os.environ if environ is None else environ
    here = str(Path(str(engine.__file__)).resolve().parents[1])
    path = os.pathsep.join(filter(None, (here, environ.get("PYTHONPATH"))))
    # -P: a folder `engine` where we happen to be is not our package.
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "engine", *arguments],
        env={**environ, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )


async def start_engine(
    socket: Path,
    log: Path,
    arguments: Sequence[str] = (),
    *,
    environ: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start an engine that outlives us, logging to the end of `log`, and wait until it answers at
    `socket`. Raises ControlError, quoting the log; StorageError when there can be no log."""
    try:
        file = _open_log(log)
    except OSError as error:
        raise StorageError.from_os_error(error, f"opening {log}") from error
    with file:
        before = file.tell()
        command = ["daemon", "--socket", os.fspath(socket), *arguments]
        process = spawn(command, environ=environ, stdout=file, stderr=file)
    try:
        await _wait_for(process, socket, log, before)
    except BaseException:
        end(process)
        raise
    return process


async def _wait_for(process: subprocess.Popen[bytes], socket: Path, log: Path, start: int) -> None:
    deadline = time.monotonic() + START_PATIENCE_S
    while not await answers(socket):
        # Asked again: it may have ended because another one was quicker.
        if process.poll() is not None and not await answers(socket):
            raise ControlError(f"the engine did not start: {_last_words(log, start)}")
        if time.monotonic() > deadline:
            late = f"the engine did not answer within {START_PATIENCE_S:g} s"
            raise ControlError(f"{late}: {_last_words(log, start)}")
        await asyncio.sleep(_LOOK_EVERY_S)


async def answers(address: EngineAddress) -> bool:
    """True if an engine answers at an address."""
    try:
        client = await ControlClient.connect(address, client="seedwright starter")
    except EngineUnreachable:
        return False
    await client.close()
    return True


def end(*processes: subprocess.Popen[bytes]) -> None:
    """End processes: ask them, and kill those that do not end in time. Must not be interrupted."""
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE_S
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _open_log(path: Path) -> IO[bytes]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    return path.open("ab")


def _last_words(log: Path, start: int) -> str:
    """The last line that the log has behind `start`: errors of ours are one line."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(start, size - _QUOTED_BYTES))
        said = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return f"{said[-1].removeprefix('seedwright: ')} (log: {log})" if said else f"see {log}"
