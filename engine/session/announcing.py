"""Announcing for all torrents: one heap of due times, and a queue for each tracker host.

Ten thousand torrents on one tracker become a few connections that are reused, not ten thousand at
once; torrents that are new or that the user asked about go first. Hosts take turns, and all who
wait for one that cannot be reached are told so together: a dead tracker delays nobody for long.
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
from engine.errors import TrackerError, TrackerUnreachable
from engine.session.alarm import Alarm
from engine.torrent.announcer import Tracker
from engine.torrent.torrent import Torrent

PER_HOST = 4
"""Announces under way with one host."""
IN_ALL = 48
_CLOCK_SLACK_S = 0.05
_DEAD_AFTER = 2
"""Announces in a row that did not reach a host before those who wait for it are told."""


class Announcing:
    """Calls each torrent's announcer when it is time."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        is_held: Callable[[], bool] = lambda: False,
    ) -> None:
        """While `is_held`, nothing is begun; `go_on` must be called when that ends."""
        self._is_held = is_held
        self._loop = loop
        self._spawn = spawn
        self._heap: list[tuple[float, int, Torrent]] = []
        self._scheduled: dict[Torrent, float] = {}
        self._count = itertools.count()
        self._alarm = Alarm(loop, self._look)
        self._waiting: dict[str, list[tuple[int, int, Torrent, Tracker]]] = {}
        self._queued: set[Tracker] = set()
        self._running: dict[str, int] = {}
        self._unreached: dict[str, int] = {}
        """Announces in a row that did not reach their host."""
        self._in_all = 0
        self._is_closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    def schedule(self, torrent: Torrent) -> None:
        """Look at a torrent's next announce anew. Cheap; call it whenever that may have changed."""
        at = torrent.announcer.next_at
        if at == math.inf or self._is_closed:
            self._scheduled.pop(torrent, None)
            return
        if self._scheduled.get(torrent) != at:
            self._scheduled[torrent] = at
            heapq.heappush(self._heap, (at, next(self._count), torrent))
        self._alarm.no_later_than(at)

    def go_on(self) -> None:
        """Begin what became due while it was held."""
        self._look(self._loop.time())

    def _look(self, now: float) -> None:
        if self._is_held():
            self._alarm.set(math.inf)
            return
        while self._heap and self._heap[0][0] <= now:
            at, _, torrent = heapq.heappop(self._heap)
            if self._scheduled.get(torrent) == at:
                del self._scheduled[torrent]
                for tracker in torrent.announcer.due(now):
                    self._enqueue(torrent, tracker)
        self._alarm.set(self._heap[0][0] if self._heap else math.inf)
        self._work()

    def _enqueue(self, torrent: Torrent, tracker: Tracker) -> None:
        if tracker in self._queued:
            return
        self._queued.add(tracker)
        self._idle.clear()
        is_new = tracker.schedule.event is not AnnounceEvent.NONE
        urgency = 0 if is_new and not torrent.is_finished else 1 if is_new else 2
        host = tracker.host
        heapq.heappush(
            self._waiting.setdefault(host, []), (urgency, next(self._count), torrent, tracker)
        )

    def _work(self) -> None:
        """Begin as many announces as the limits allow, one of each host in turn."""
        if self._is_held():
            return
        now = self._loop.time()
        is_stuck = False
        while self._waiting and not is_stuck and self._in_all < IN_ALL:
            is_stuck = True
            for host in list(self._waiting):
                if self._in_all >= IN_ALL:
                    return
                if self._running.get(host, 0) < PER_HOST:
                    is_stuck = False
                    self._begin_next(host, now)

    def _begin_next(self, host: str, now: float) -> None:
        queue = self._waiting.pop(host)
        _, _, torrent, tracker = heapq.heappop(queue)
        if queue:
            self._waiting[host] = queue  # behind the others
        if not tracker.schedule.is_due(now + _CLOCK_SLACK_S):
            # The torrent was stopped while it waited: the tracker never heard of it.
            self._done_with(torrent, tracker)
            return
        self._running[host] = self._running.get(host, 0) + 1
        self._in_all += 1
        self._spawn(self._announce(host, torrent, tracker))

    async def _announce(self, host: str, torrent: Torrent, tracker: Tracker) -> None:
        try:
            error = await torrent.announcer.announce(tracker)
            self._judge(host, error)
        finally:
            self._in_all -= 1
            self._running[host] -= 1
            if not self._running[host]:
                del self._running[host]
            self._done_with(torrent, tracker)
            self._work()

    def _judge(self, host: str, error: TrackerError | None) -> None:
        if not isinstance(error, TrackerUnreachable):
            self._unreached.pop(host, None)
            return
        self._unreached[host] = self._unreached.get(host, 0) + 1
        if self._unreached[host] >= _DEAD_AFTER:
            for _, _, torrent, tracker in self._waiting.pop(host, ()):
                torrent.announcer.unreachable(tracker, error)
                self._done_with(torrent, tracker)

    def _done_with(self, torrent: Torrent, tracker: Tracker) -> None:
        self._queued.discard(tracker)
        if not self._queued:
            self._idle.set()
        self.schedule(torrent)

    async def drain(self, timeout_s: float) -> None:
        """Wait until all that is due was said, at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                self._look(self._loop.time())
                while self._queued and not self._is_held():
                    await self._idle.wait()
                    self._look(self._loop.time())

    def close(self) -> None:
        """Begin no more; what is under way is the owner's to cancel."""
        self._is_closed = True
        self._alarm.set(math.inf)
        self._heap.clear()
        self._scheduled.clear()
        self._waiting.clear()
