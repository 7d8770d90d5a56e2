"""`seedwright` alone: the full-screen interface of an engine, started if need be, or of several."""

from __future__ import annotations

import asyncio
import importlib
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import rich_click as click

from engine import processes
from engine.commands.options import find_engine, find_socket, load_settings
from engine.commands.output import say, waiting_for
from engine.control.socket_path import default_socket_path, default_state_dir
from engine.engine_address import EngineAddress, Program
from engine.errors import EngineUnreachable

INTERFACE: Final = "tui.app"
"""Loaded late: Textual is the largest thing here."""
LOG_FILE: Final = "daemon.log"
MEMORY_FILE: Final = "interface.json"
HERE: Final = "here"
"""The engine of the settings, beside those that have names."""


def open_interface(engines: Sequence[str], *, start: bool | None) -> None:
    """Run the interface until it is left. `start` says whether an engine may be started here; None:
    if there is no other. Raises EngineUnreachable when no engine runs and none may be started,
    ControlError with the words of its log when it does not start."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("the interface needs a terminal; there are commands for scripts")
    started: list[Path] = []
    with waiting_for("looking for the engine …"):
        fleet = asyncio.run(fleet_of(engines, start=start, started=started))
    with waiting_for("opening the interface …"):
        interface = importlib.import_module(INTERFACE)
    interface.run(fleet, default_state_dir(os.environ) / MEMORY_FILE)
    for engine in started:
        if asyncio.run(processes.answers(engine)):
            say(farewell(engine))


def farewell(engine: Path) -> str:
    """What is said to who leaves an engine that was started for the interface and goes on."""
    is_usual = engine == absolute(asyncio.run(find_socket(None)))
    which = "" if is_usual else f" -e {shlex.quote(str(engine))}"
    return f"the engine goes on in the background; `seedwright shutdown{which}` ends it"


async def fleet_of(
    engines: Sequence[str], *, start: bool | None, started: list[Path] | None = None
) -> dict[str, EngineAddress]:
    """Return the engines to show by their names: those that are named, else the one here and all of
    [engines]; of these the one here is left out unless it runs or is to be started. What did not
    run before is added to `started`."""
    if len(engines) == 1:
        # One that has a name is somebody's; a path may be where a new one is wanted.
        is_path = "/" in engines[0]
        may_start = is_path if start is None else start
        return {engines[0]: await engine_for(engines[0], may_start=may_start, started=started)}
    if engines:
        return _by_name([(text, await find_engine(text)) for text in engines])
    known = (await load_settings()).engines
    here = absolute(await find_socket(None))
    if not known or (start and here not in known.values()):
        path = await engine_for(None, may_start=start is not False, started=started)
        return {HERE: path, **known}
    if here not in known.values() and await processes.answers(here):
        return {HERE: here, **known}
    return dict(known)


def _by_name(engines: Sequence[tuple[str, EngineAddress]]) -> dict[str, EngineAddress]:
    named: dict[str, EngineAddress] = {}
    for text, address in engines:
        short = _called(text, address)
        name, number = short, 2
        while name in named:
            name, number = f"{short} {number}", number + 1
        named[name] = absolute(address) if isinstance(address, Path) else address
    return named


def _called(text: str, address: EngineAddress) -> str:
    """What is short and tells them apart: the name that was given, the host, the socket's name or,
    where that is the usual one, its folder's."""
    if isinstance(address, Path):
        usual = default_socket_path(os.environ).stem
        return address.absolute().parent.name if address.stem == usual else address.stem
    return (address.host or address.argv[0]) if ":" in text else text


async def engine_for(
    engine: str | EngineAddress | None, *, may_start: bool, started: list[Path] | None = None
) -> EngineAddress:
    """Return where a running engine is, started if need be and if it is to be here: then it is
    added to `started`. Raises as open_interface."""
    address = await find_engine(engine)
    if isinstance(address, Program):
        return address  # the interface itself connects, and says why it cannot
    path = absolute(address)
    if await processes.answers(path):
        return path
    if not may_start:
        raise EngineUnreachable(f"no engine runs at {path}; start one with `seedwright daemon`")
    settings = (await load_settings()).settings.daemon
    state = absolute(settings.state_dir or default_state_dir(os.environ))
    log = state / LOG_FILE
    with waiting_for(f"starting the engine … (log: {log})"):
        process, _ = await asyncio.gather(
            processes.start_engine(path, log),
            asyncio.to_thread(importlib.import_module, INTERFACE),  # what comes next, meanwhile
        )
    process.returncode = 0  # it outlives us: nobody waits for it
    if started is not None:
        started.append(path)
    return path


def absolute(path: Path) -> Path:
    """The same path, also from another folder."""
    return path.absolute()
