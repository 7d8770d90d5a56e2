"""`seedwright` alone: the full-screen interface, with an engine started behind it if none runs."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

import rich_click as click

from engine import processes
from engine.commands.options import load_settings
from engine.control.socket_path import default_socket_path, default_state_dir
from engine.errors import EngineUnreachable

LOG_FILE: Final = "daemon.log"


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
    path = absolute(socket_path or settings.socket or default_socket_path(os.environ))
    if await processes.answers(path):
        return path
    if not may_start:
        raise EngineUnreachable(f"no engine runs at {path}; start one with `seedwright daemon`")
    state = absolute(settings.state_dir or default_state_dir(os.environ))
    process = await processes.start_engine(path, state / LOG_FILE)
    process.returncode = 0  # it outlives us: nobody waits for it
    return path


def absolute(path: Path) -> Path:
    """The same path, also from another folder."""
    return path.absolute()
