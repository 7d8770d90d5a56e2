"""Memory that was touched before, handed out as a measurement needs it, so that no client pays the
host of a virtual machine for it.

Such a machine gives free pages back to its host within two seconds (free page reporting), and gets
them again one by one, at 2 to 6 µs each where the kernel itself takes less than one: up to half
of all CPU time of a transfer that writes new files, the same for every client and another in each
round. So pages are let go of just ahead of those who take them.
"""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import os
from collections.abc import AsyncIterator

from tests.benchmarks.payloads import GIB, MIB, available_bytes

_POPULATE_WRITE = 23
"""MADV_POPULATE_WRITE, since Linux 5.14, which Python does not name."""
_CHUNK_BYTES = 32 * MIB
_BESIDE_BYTES = 512 * MIB
"""For what clients and their sockets need besides the files."""
_AHEAD_BYTES = 96 * MIB
_LOOK_S = 0.01


class Reserve:
    """Holds touched pages, and lets go of them while others take pages."""

    def __init__(self) -> None:
        self._held: list[mmap.mmap] = []

    def hold(self, files_bytes: int) -> None:
        """Touch as much memory as a transfer of so much needs; blocks for up to seconds. Where
        there is too little of it, or the kernel is too old, hold nothing."""
        size = files_bytes + files_bytes // 8 + _BESIDE_BYTES
        if size + GIB > available_bytes():
            return
        with contextlib.suppress(OSError):
            while len(self._held) * _CHUNK_BYTES < size:
                chunk = mmap.mmap(-1, _CHUNK_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
                chunk.madvise(_POPULATE_WRITE)
                self._held.append(chunk)

    def release(self) -> None:
        """Let go of all that is left."""
        while self._held:
            self._held.pop().close()

    @contextlib.asynccontextmanager
    async def handed_out(self) -> AsyncIterator[None]:
        """Stay a little ahead of those who take pages, as long as the block lasts."""
        task = asyncio.create_task(self._hand_out())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            self.release()

    async def _hand_out(self) -> None:
        before, given = _free_bytes(), 0
        while self._held:
            taken = before + given - _free_bytes()
            while self._held and given < taken + _AHEAD_BYTES:
                self._held.pop().close()
                given += _CHUNK_BYTES
            await asyncio.sleep(_LOOK_S)


def _free_bytes() -> int:
    return os.sysconf("SC_AVPHYS_PAGES") * mmap.PAGESIZE
