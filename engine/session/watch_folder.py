"""Adding what somebody puts into a folder: .torrent files, and .magnet files with a link each.

A file is taken when it looks the same twice in a row, since it may still be on its way. Afterwards
its name says what became of it: NAME.added, or NAME.failed with the reason in the log; where it
cannot be renamed it is remembered until it changes. Nothing in the folder is ever deleted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from engine.core.magnet import MAX_LINK_CHARS, Magnet
from engine.core.metainfo import MAX_TORRENT_BYTES, Metainfo
from engine.errors import DuplicateTorrentError, SeedwrightError
from engine.session.source import parse_torrent
from engine.storage.small_file import read_small_file

if TYPE_CHECKING:
    from engine.session.session import Session

log = logging.getLogger(__name__)

INTERVAL_S = 2.0
TORRENT, MAGNET = ".torrent", ".magnet"


class Stamp(NamedTuple):
    """How a file looked; equal stamps: nobody is writing to it."""

    size: int
    mtime_ns: int


class WatchFolder:
    """One watched folder. `run` it as a task of the session."""

    def __init__(self, session: Session, folder: Path) -> None:
        self._session = session
        self._folder = folder
        self._seen: dict[str, Stamp] = {}
        self._stuck: dict[str, Stamp] = {}
        """Taken, but not to be renamed."""
        self._trouble = ""

    async def run(self) -> None:
        """Look into the folder again and again, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(INTERVAL_S)

    async def look(self) -> None:
        """Take the files that look as they did the last time."""
        disk = self._session.facilities.disk
        try:
            found = await disk.run(lambda: _scan(self._folder))
        except OSError as error:
            self._say_once(f"{self._folder} cannot be watched: {error.strerror or error}")
            return
        self._say_once("")
        self._stuck = {name: at for name, at in self._stuck.items() if found.get(name) == at}
        settled = [name for name, stamp in found.items() if self._seen.get(name) == stamp]
        self._seen = found
        for name in settled:
            if name not in self._stuck:
                await self._take(name, found[name])

    def _say_once(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            log.warning("%s", trouble)
        self._trouble = trouble

    async def _take(self, name: str, stamp: Stamp) -> None:
        path = self._folder / name
        disk = self._session.facilities.disk
        outcome = "added"
        try:
            torrent = await self._session.add(await self._read(path))
            log.info("%s: added %s", path, torrent.name)
        except DuplicateTorrentError as error:
            log.info("%s: %s", path, error)
        except SeedwrightError as error:
            outcome = "failed"
            log.error("%s: %s", path, error)
        try:
            await disk.run(lambda: os.replace(path, f"{path}.{outcome}"))
        except OSError as error:
            self._stuck[name] = stamp
            log.warning("%s cannot be renamed: %s", path, error.strerror or error)

    async def _read(self, path: Path) -> Metainfo | Magnet:
        is_link = path.suffix.lower() == MAGNET
        limit = MAX_LINK_CHARS if is_link else MAX_TORRENT_BYTES
        data = await self._session.facilities.disk.run(lambda: read_small_file(path, limit))
        if is_link:
            return Magnet.parse(data.decode(errors="replace").strip())
        return await parse_torrent(data)


def _scan(folder: Path) -> dict[str, Stamp]:
    found = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith(".") and entry.name.lower().endswith((TORRENT, MAGNET)):
                with contextlib.suppress(OSError):  # gone meanwhile, or a link that leads nowhere
                    status = entry.stat()
                    if stat.S_ISREG(status.st_mode):
                        found[entry.name] = Stamp(status.st_size, status.st_mtime_ns)
    return found
