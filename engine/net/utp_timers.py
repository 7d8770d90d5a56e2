"""When the uTP streams of a port must act though nothing came: one timer for all. HOT.

Most of what is due is put off before its time comes, so that a stream stands in the heap with the
earliest time that it ever named, and is asked again then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from time import monotonic

from engine.net.utp_stream import UtpStream

_NEVER = float("inf")
_LEAST_WAIT_S = 0.004
"""Acks that are due within this of each other cost one wake-up."""
_OUTDATED = 64


class UtpTimers:
    """Streams by when they must be asked what is due. Loop thread only."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, act: Callable[[UtpStream, float], None]
    ) -> None:
        """`act` does what is due of a stream, and calls `mind` unless it is over."""
        self._loop = loop
        self._act = act
        self._heap: list[tuple[float, int, UtpStream]] = []
        """A stream's entry counts if it has the time that stands in the stream."""
        self._streams = 0
        """How many entries count."""
        self._number = count()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = _NEVER

    def mind(self, stream: UtpStream) -> None:
        """What is due next of a stream may have become earlier."""
        due = stream.machine.next_timer()
        if due is None or due >= stream.timer_at:
            return
        if stream.timer_at == _NEVER:
            self._streams += 1
        stream.timer_at = due
        heappush(self._heap, (due, next(self._number), stream))
        if len(self._heap) > 2 * self._streams + _OUTDATED:
            self._heap = [each for each in self._heap if each[2].timer_at == each[0]]
            heapify(self._heap)
        if due < self._timer_at:
            self._set(due)

    def forget(self, stream: UtpStream) -> None:
        """It is over."""
        if stream.timer_at != _NEVER:
            stream.timer_at = _NEVER
            self._streams -= 1

    def run(self, now: float) -> None:
        """Do what is due."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            due, _, stream = heappop(heap)
            if stream.timer_at != due:
                continue
            self.forget(stream)
            at = stream.machine.next_timer()
            if at is not None and at <= now:
                self._act(stream, now)
            else:
                self.mind(stream)
            heap = self._heap

    def _on_timer(self) -> None:
        self._timer, self._timer_at = None, _NEVER
        now = monotonic()
        self.run(now)
        if self._heap and self._heap[0][0] < self._timer_at:
            self._set(max(self._heap[0][0], now + _LEAST_WAIT_S))

    def _set(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = due
        # Not the loop's own clock: uvloop's is as coarse as a millisecond.
        self._timer = self._loop.call_later(max(0.0, due - monotonic()), self._on_timer)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._heap.clear()
