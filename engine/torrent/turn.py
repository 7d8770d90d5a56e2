"""How long one turn of the loop has gone on: when many peers talk at once, each is heard a little.

A read of small messages takes milliseconds. Of one peer that is nothing; of a hundred in one turn
it is seconds in which nobody else is answered, the front ends neither.
"""

from __future__ import annotations

import asyncio
from time import monotonic

LONG_S = 0.05


class Turn:
    """The turn of the loop that is under way, for those who read what peers say."""

    __slots__ = ("_since",)

    def __init__(self) -> None:
        self._since: float | None = None

    def is_long(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Say whether LONG_S have passed since this was first asked in this turn."""
        now = monotonic()
        if self._since is None:
            self._since = now
            loop.call_soon(self._end)
            return False
        return now - self._since > LONG_S

    def _end(self) -> None:
        self._since = None
