"""Torrents on their way out: forgotten already, with files that are still being deleted.

Invariant: who adds the same torrent again begins when those are gone; else it would find them
there, call itself complete, and lose them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from engine.core.identifiers import InfoHash


class Removals:
    """What is being removed from one session. Loop thread only."""

    __slots__ = ("_under_way",)

    def __init__(self) -> None:
        self._under_way: dict[InfoHash, asyncio.Event] = {}

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
