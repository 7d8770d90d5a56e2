"""`seedwright shutdown`: end the engine, and return when it has ended."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Final

from engine import processes
from engine.commands import options
from engine.commands.connection import engine_at
from engine.commands.help import command
from engine.commands.output import say, say_json
from engine.control.schema import Empty, Shutdown
from engine.engine_address import EngineAddress
from engine.errors import ControlError

PATIENCE_S: Final = 60.0
_LOOK_EVERY_S: Final = 0.05


@command("shutdown", examples=(("seedwright shutdown && seedwright daemon", "Start it anew"),))
@options.together(options.engine_option, options.json_option)
def shutdown(engine: str | None, as_json: bool) -> None:
    """End the engine; returns when it has told its trackers, saved everything and is gone."""
    asyncio.run(_shut_down(engine))
    if as_json:
        say_json(Empty())
    else:
        say("the engine has ended")


async def _shut_down(engine: str | None) -> None:
    address = await options.find_engine(engine)
    async with engine_at(address) as client:
        pid = client.hello.pid
        await client.call(Shutdown())
    deadline = time.monotonic() + PATIENCE_S
    while await _is_there(address, pid):
        if time.monotonic() > deadline:
            raise ControlError(f"the engine (process {pid}) is still there after {PATIENCE_S:g} s")
        await asyncio.sleep(_LOOK_EVERY_S)


async def _is_there(address: EngineAddress, pid: int) -> bool:
    if isinstance(address, Path):
        return address.exists() or _is_running(pid)
    return await processes.answers(address)  # its processes are those of another machine


def _is_running(pid: int) -> bool:
    """True while that process of ours is there; one that only waits for its parent has ended."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    try:
        # The name in parentheses may hold anything; the state is the first word after it.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except (OSError, IndexError):
        return True
