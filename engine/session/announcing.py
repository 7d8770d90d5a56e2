"""Announcing for all torrents: one heap of due times, and a queue for each tracker host.

Ten thousand torrents on one tracker become a few connections that are reused, not ten thousand at
once; torrents that are new or that the user asked about go first.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import math
from collections.abc import Callable, Coroutine
from typing import Any

from engine.discovery.announce import AnnounceEvent
from engine.torrent.announcer import Tracker
from engine.torrent.torrent import Torrent

PER_HOST = 4
"""Announces under way with one host."""
IN_ALL = 48


class Announcing:
    """Calls each torrent's announcer when it is time."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self._loop = loop
        self._spawn = spawn
        self._heap: list[tuple[float, int, Torrent]] = []
        self._scheduled: dict[Torrent, float] = {}
        self._count = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._waiting: dict[str, list[tuple[int, int, Torrent, Tracker]]] = {}
        self._queued: set[Tracker] = set()
        self._running: dict[str, int] = {}
        self._in_all = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def schedule(self, torrent: Torrent) -> None:
        """Look at a torrent's next announce anew. Cheap; call it whenever that may have changed."""
        at = torrent.announcer.next_at
        if at == math.inf:
            self._scheduled.pop(torrent, None)
            return
        if self._scheduled.get(torrent) != at:
            self._scheduled[torrent] = at
            heapq.heappush(self._heap, (at, next(self._count), torrent))
        if at < self._timer_at:
            self._set_timer(at)

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._on_timer) if at < math.inf else None

    def _on_timer(self) -> None:
        # The loop's clock may be a hair behind what it was asked to wait for.
        now = max(self._loop.time(), self._timer_at)
        while self._heap and self._heap[0][0] <= now:
            at, _, torrent = heapq.heappop(self._heap)
            if self._scheduled.get(torrent) == at:
                del self._scheduled[torrent]
                for tracker in torrent.announcer.due(now):
                    self._enqueue(torrent, tracker)
        self._set_timer(self._heap[0][0] if self._heap else math.inf)
        self._work()

    def _enqueue(self, torrent: Torrent, tracker: Tracker) -> None:
        if tracker in self._queued:
            return
        self._queued.add(tracker)
        self._idle.clear()
        is_new = tracker.schedule.event is not AnnounceEvent.NONE
        urgency = 0 if is_new and not torrent.is_complete else 1 if is_new else 2
        host = tracker.host
        heapq.heappush(
            self._waiting.setdefault(host, []), (urgency, next(self._count), torrent, tracker)
        )

    def _work(self) -> None:
        for host in list(self._waiting):
            queue = self._waiting[host]
            while queue and self._in_all < IN_ALL and self._running.get(host, 0) < PER_HOST:
                _, _, torrent, tracker = heapq.heappop(queue)
                self._running[host] = self._running.get(host, 0) + 1
                self._in_all += 1
                self._spawn(self._announce(host, torrent, tracker))
            if not queue:
                del self._waiting[host]

    async def _announce(self, host: str, torrent: Torrent, tracker: Tracker) -> None:
        try:
            await torrent.announcer.announce(tracker)
        finally:
            self._queued.discard(tracker)
            self._in_all -= 1
            self._running[host] -= 1
            if not self._running[host]:
                del self._running[host]
            if not self._queued:
                self._idle.set()
            self.schedule(torrent)
            self._work()

    async def drain(self, timeout_s: float) -> None:
        """Wait until all that is due was said, at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                self._on_timer()
                while self._queued:
                    await self._idle.wait()
                    self._on_timer()

    def close(self) -> None:
        self._set_timer(math.inf)
        self._heap.clear()
        self._scheduled.clear()
        self._waiting.clear()
