"""Whether an engine can do its work: its loop turns, its disk answers, its ports are open.

Asks this engine and this machine, never a foreign host. What it finds is told in words; who asks
decides what to do about it.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from engine.session.session import Session

LOOP_LAG_S = 1.0
DISK_ANSWER_S = 10.0
LEAST_FREE_BYTES = 16 * 1024 * 1024


class Check(NamedTuple):
    name: str
    is_ok: bool
    text: str
    """What was found, in a few words."""


async def check_health(session: Session) -> list[Check]:
    """Look at everything that an engine needs. Takes DISK_ANSWER_S at most."""
    return [
        await _loop(),
        _ports(session),
        *await _disk(session),
        _state(session),
    ]


def is_ready(checks: list[Check]) -> bool:
    return all(check.is_ok for check in checks)


async def _loop() -> Check:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.sleep(0)
    lag_s = loop.time() - began
    return Check("loop", lag_s < LOOP_LAG_S, f"turned in {lag_s * 1000:.0f} ms")


def _ports(session: Session) -> Check:
    if session.route.proxy is not None:
        waiting = session.route.waiting
        return Check("ports", not waiting, waiting or "none is open: all goes through a proxy")
    endpoints = session.endpoints
    where = ", ".join(map(str, endpoints))
    found = f"peers connect to {where}" if where else session.route.waiting or "none is open"
    port_file = session.rerouting.port_file
    if port_file is not None and port_file.trouble:
        found += f"; {port_file.trouble}"
    return Check("ports", bool(endpoints), found)


async def _disk(session: Session) -> list[Check]:
    loop = asyncio.get_running_loop()
    began = loop.time()
    folder = session.options.save_path
    try:
        async with asyncio.timeout(DISK_ANSWER_S):
            storage = await session.facilities.disk.run(lambda: _storage(folder))
    except TimeoutError:
        return [Check("disk", False, f"no answer within {DISK_ANSWER_S:.0f} s")]
    took_s = loop.time() - began
    return [Check("disk", True, f"answered in {took_s * 1000:.0f} ms"), storage]


def _storage(folder: Path) -> Check:
    """For a disk thread. The folder itself may be made later, in one that is there."""
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        return Check("storage", False, f"{there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        return Check("storage", False, f"{there} is not writable")
    found = os.statvfs(there)
    free = found.f_bavail * found.f_frsize
    return Check("storage", free >= LEAST_FREE_BYTES, f"{_said(free)} free in {folder}")


def _state(session: Session) -> Check:
    return Check("state", not session.committing.error, session.committing.error or "is kept")


def _said(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count >> 20} MiB"
