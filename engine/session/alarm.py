"""One timer of the loop for many times: it rings at the earliest."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable


class Alarm:
    """Off until it is set, and again from the moment it rings."""

    __slots__ = ("_loop", "_ring", "_timer", "at")

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[float], None]) -> None:
        """`ring` is called with the time, which is never before the one that was set."""
        self._loop = loop
        self._ring = ring
        self._timer: asyncio.TimerHandle | None = None
        self.at = math.inf
        """When it rings, of the loop's clock; inf = it is off."""

    def set(self, at: float) -> None:
        """Ring then and not before; inf turns it off."""
        if self._timer is not None:
            self._timer.cancel()
        self.at = at
        self._timer = self._loop.call_at(at, self._on_timer) if at < math.inf else None

    def no_later_than(self, at: float) -> None:
        """Ring then, unless it rings sooner."""
        if at < self.at:
            self.set(at)

    def _on_timer(self) -> None:
        # The loop's clock may be a hair behind what it was asked to wait for.
        now = max(self._loop.time(), self.at)
        self._timer, self.at = None, math.inf
        self._ring(now)
