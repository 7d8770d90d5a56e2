"""Writing what has changed into the state file: soon after it changed, together, and not lost.

A torrent that changed is dirty until a commit with it has returned; a commit that failed is tried
again. Progress waits a moment for more of it. What a user does is answered once it is kept: who
asks while a commit is under way shares the next one, so that a thousand need not be a thousand
commits. Without a state file nothing is kept, and everything here does nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from engine.errors import StorageError
from engine.session import persistence
from engine.session.state_db import Changes, StateDb
from engine.torrent.torrent import Torrent

log = logging.getLogger(__name__)

COMMIT_S = 1.0
"""Progress is committed at most so long after it was made."""
_RETRY_S = 5.0


class Committing:
    """What waits to be committed. Nothing is written before `is_loaded` is set."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        state: StateDb | None,
        *,
        is_there: Callable[[Torrent], bool],
        totals: Callable[[], dict[str, int]],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        """`is_there` tells whether a torrent was not removed; `totals` are the session's."""
        self._loop = loop
        self._state = state
        self._is_there = is_there
        self._totals = totals
        self._spawn = spawn
        self._dirty: dict[Torrent, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._is_closing = False
        self._running = asyncio.Lock()
        self._next: asyncio.Future[StorageError | None] | None = None
        """Of who waits for a commit that has not begun yet: what it failed with."""
        self.is_loaded = False
        """What the state file holds is known, and may be written over."""
        self.error = ""
        """Why the last commit failed; empty if it did not."""

    def changed(self, torrent: Torrent) -> None:
        """Commit this torrent with the next ones."""
        self._dirty[torrent] = None
        self._commit_in(COMMIT_S)

    async def kept(self) -> None:
        """Return once all that has changed before is in the state file. Raises StorageError, and
        then it is tried again later."""
        if self._state is None or not self.is_loaded:
            return
        if self._next is None:
            self._next = self._loop.create_future()
            self._spawn(self._commit_for(self._next))
        # Others wait for the same: one who goes away must not take it with them.
        error = await asyncio.shield(self._next)
        if error is not None:
            raise StorageError(f"done, but it would be lost if the engine ended now: {error}")

    def forget(self, torrent: Torrent) -> None:
        self._dirty.pop(torrent, None)

    def close(self) -> None:
        """Begin no more commits by itself; `commit` still works."""
        self._is_closing = True
        if self._timer is not None:
            self._timer.cancel()

    def _commit_in(self, delay_s: float) -> None:
        if self._timer is None and self._state is not None and not self._is_closing:
            self._timer = self._loop.call_later(delay_s, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._spawn(self.try_commit())

    async def _commit_for(self, waiting: asyncio.Future[StorageError | None]) -> None:
        try:
            async with self._running:
                self._next = None
                error = await self._try_to_save()
            waiting.set_result(error)
        finally:
            waiting.cancel()  # if it has no result: nobody waits for what will not come

    async def try_commit(self) -> None:
        """Commit, or say why not and try again later."""
        async with self._running:
            await self._try_to_save()

    async def commit(self) -> None:
        """Write what has changed into the state file. Raises StorageError."""
        async with self._running:
            await self._save()

    async def _try_to_save(self) -> StorageError | None:
        try:
            await self._save()
        except StorageError as error:
            self.error = str(error)
            log.error("%s; trying again", error)
            self._commit_in(_RETRY_S)
            return error
        self.error = ""
        return None

    async def _save(self) -> None:
        if self._state is None or not self.is_loaded:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        dirty, self._dirty = self._dirty, {}
        try:
            await self._state.run(self._state.save, self._changes(dirty))
        except BaseException:
            self._dirty = dirty | self._dirty
            raise

    def _changes(self, dirty: Iterable[Torrent]) -> Changes:
        changes = Changes([], self._totals())
        now = time.time()
        for torrent in dirty:
            if not self._is_there(torrent):
                continue
            info_hash = bytes(torrent.info_hash)
            changes.rows.append(persistence.to_row(torrent, now))
            blocks, ended = persistence.take_unfinished(torrent)
            changes.blocks.extend((info_hash, *block) for block in blocks)
            changes.ended.extend((info_hash, piece) for piece in ended)
        return changes
