"""Torrents on their way out: forgotten already, with files that are still being deleted.

    forgotten, what must go is noted ─► written files settle ─► deleted ─► the note goes, too
    one commit of the state file                                           another

Invariants: who adds the same torrent again begins when its files are gone; else it would find them
there, call itself complete, and lose them. A kill loses no intention: the next start goes on with
what is noted, or a later one while the save folder is not there: its disk may not be mounted. Only
where it could not be done and who asked was told why it is not tried again, and what somebody put
there after the kill is not ours to delete.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from engine.core.identifiers import InfoHash
from engine.core.metainfo import Info, Metainfo
from engine.errors import InputError, StorageError, StorageMissingError
from engine.session.state_db import Removal, StateDb
from engine.storage.chosen_files import ChosenFiles, remove_part_file
from engine.torrent.facilities import Facilities
from engine.torrent.torrent import Torrent

log = logging.getLogger(__name__)

_SETTLING_S = 60.0
"""How long after the note something of ours may still have been written."""
_AWAITED_S = 90 * 86_400.0
"""How long a save folder that is not there is waited for: it may never come back."""


class Removals:
    """What is being removed from one session. Loop thread only."""

    __slots__ = ("_facilities", "_state", "_under_way")

    def __init__(self, state: StateDb | None, facilities: Facilities) -> None:
        self._state = state
        self._facilities = facilities
        self._under_way: dict[InfoHash, asyncio.Event] = {}

    async def remove(self, torrent: Torrent, info: Info | None) -> None:
        """Forget a torrent that is at rest; with `info` delete its files, too. Raises StorageError
        with the first reason why something is left."""
        delete: Callable[[], None] | None = None
        if info is not None:
            delete = torrent.files(info).delete
        elif torrent.choice is not None:
            delete = partial(remove_part_file, torrent.save_path, torrent.info_hash)
        with self.of(torrent.info_hash):
            if delete is None:
                await self._end(torrent.info_hash)
                await self._facilities.disk.settle()
                return
            try:
                await self._begin(torrent.info_hash, with_data=info is not None)
            except StorageError as error:
                # The disk may be full, and deleting is what makes room on it.
                log.warning("%s: it is removed without a note of that: %s", torrent.name, error)
            await self._facilities.disk.settle()
            try:
                await self._facilities.disk.run(delete)
            except StorageError:
                # Who is told that files are still there must not lose them with the next start.
                await self._end(torrent.info_hash)
                raise
            await self._end(torrent.info_hash)

    async def go_on(self) -> None:
        """Take up the removals that an earlier life began; they end in tasks of their own. Raises
        StorageError."""
        if self._state is None:
            return
        for removal in await self._state.run(self._state.removals):
            under_way = contextlib.ExitStack()
            under_way.enter_context(self.of(InfoHash(removal.info_hash)))
            self._facilities.spawn(self._go_on(removal, under_way))

    async def _go_on(self, removal: Removal, under_way: contextlib.ExitStack) -> None:
        info_hash = InfoHash(removal.info_hash)
        with under_way:
            try:
                try:
                    delete = self._deletion(removal)
                except InputError as error:
                    log.error("%s: which its files are is not known any more: %s", info_hash, error)
                else:
                    if await self._facilities.disk.run(partial(_delete_where_due, removal, delete)):
                        log.info("%s: its removal, interrupted before, is done", info_hash)
                    else:
                        log.warning(
                            "%s: its files were changed since it was removed, or their folder "
                            "did not come back, and stay",
                            info_hash,
                        )
                await self._end(info_hash)
            except StorageError as error:
                log.error("%s: the next start tries again to remove it: %s", info_hash, error)

    async def is_forgotten(self, info_hash: InfoHash) -> bool:
        """False while the next start would bring the torrent back."""
        if self._state is None:
            return True
        try:
            await self._state.run(self._state.metainfo, info_hash)
        except StorageError:
            return True
        return False

    def _deletion(self, removal: Removal) -> Callable[[], bool]:
        """What deletes the files of a torrent that only its note is left of; False if they are not
        those that were to be deleted. Raises InputError."""
        save_path = Path(removal.save_path)
        if removal.metainfo is None:
            return partial(_delete_part_file, save_path, InfoHash(removal.info_hash))
        info = Metainfo.parse(removal.metainfo).info
        files = ChosenFiles(save_path, info, self._facilities.file_pool)
        return partial(_delete_unless_changed, files, removal.noted_at + _SETTLING_S)

    async def _begin(self, info_hash: InfoHash, *, with_data: bool) -> None:
        if self._state is not None:
            await self._state.run(self._state.begin_removal, info_hash, with_data, time.time())

    async def _end(self, info_hash: InfoHash) -> None:
        if self._state is not None:
            await self._state.run(self._state.remove, info_hash)

    @contextlib.contextmanager
    def of(self, info_hash: InfoHash) -> Iterator[None]:
        """A context in which a torrent is removed."""
        over = self._under_way[info_hash] = asyncio.Event()
        try:
            yield
        finally:
            if self._under_way.get(info_hash) is over:
                del self._under_way[info_hash]
            over.set()

    async def over(self, info_hash: InfoHash) -> None:
        """Return when nothing is left of an earlier life of this torrent."""
        while (over := self._under_way.get(info_hash)) is not None:
            await over.wait()


def _delete_where_due(removal: Removal, delete: Callable[[], bool]) -> bool:
    """Raises StorageMissingError while the disk they are on may still come back."""
    if os.path.isdir(removal.save_path):
        return delete()
    if time.time() - removal.noted_at < _AWAITED_S:
        raise StorageMissingError(f"the folder {removal.save_path} is not there")
    return False


def _delete_part_file(save_path: Path, info_hash: InfoHash) -> bool:
    remove_part_file(save_path, info_hash)
    return True


def _delete_unless_changed(files: ChosenFiles, since: float) -> bool:
    if any(stamp is not None and stamp.mtime_ns > since * 1e9 for stamp in files.stamps()):
        return False
    files.delete()
    return True
