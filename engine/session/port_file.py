"""The port to be reached at, from a file that another program writes, as VPN port forwarders do.

The file is looked at every few seconds; one that cannot be read, or says nothing that is a port,
changes nothing but the log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from engine.errors import InputError
from engine.storage.small_file import read_small_file

log = logging.getLogger(__name__)

INTERVAL_S = 2.0
_MAX_BYTES = 256
_MAX_PORT = 65535


def parse_port(content: bytes) -> int:
    """Read the port on the first line. Raises InputError."""
    first, _, _ = content.strip().partition(b"\n")
    text = first.strip()
    if not text:
        raise InputError("no port in it")
    if not (text.isdigit() and len(text) <= 5 and 0 < int(text) <= _MAX_PORT):
        raise InputError(f"{text[:20].decode('ascii', 'backslashreplace')!r} is no port")
    return int(text)


class PortFile:
    """One such file. `look` once, then `run` it as a task of the session."""

    def __init__(self, path: Path, listen_at: Callable[[int], None]) -> None:
        """`listen_at` is told the port at each look, and may raise InputError."""
        self._path = path
        self._listen_at = listen_at
        self.trouble = ""
        """Why the file does not count now; empty if it does."""

    async def run(self) -> None:
        """Look at the file again and again, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self.look()

    async def look(self) -> None:
        """Do what the file says now."""
        trouble = ""
        try:
            content = await asyncio.to_thread(read_small_file, self._path, _MAX_BYTES)
            self._listen_at(parse_port(content))
        except InputError as error:
            trouble = f"{self._path}: {error}"
        if trouble != self.trouble:
            self.trouble = trouble
            if trouble:
                log.warning("%s; the port stays as it is", trouble)
