"""Whose turn it is, so that all who wait get the same amount (start-time fair queueing).

Who joins starts where the one stands whose turn it was last, or where its own last turn ended if
that is later. So who took little is ahead of who took much, and nobody gains by staying away or by
asking for small pieces (Goyal, Vin, Cheng: "Start-time Fair Queueing", 1996).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)


class FairQueue(Generic[KeyT]):
    """Those who wait, each once. What was taken is forgotten when nobody waits any more."""

    __slots__ = ("_ends", "_here", "_starts")

    def __init__(self) -> None:
        self._starts: dict[KeyT, float] = {}
        """Of those who wait, in the order in which they came."""
        self._ends: dict[KeyT, float] = {}
        """Where turns ended, of those who are ahead."""
        self._here = 0.0

    def __len__(self) -> int:
        return len(self._starts)

    def __contains__(self, key: KeyT) -> bool:
        return key in self._starts

    def join(self, key: KeyT) -> None:
        """Wait; joining twice is joining once."""
        if key not in self._starts:
            self._starts[key] = max(self._here, self._ends.get(key, 0.0))

    def leave(self, key: KeyT) -> None:
        """Wait no more, and be forgotten."""
        self._starts.pop(key, None)
        self._ends.pop(key, None)

    def order(self) -> list[KeyT]:
        """Those who wait, the next one first."""
        self._ends = {key: end for key, end in self._ends.items() if end > self._here}
        return sorted(self._starts, key=self._starts.__getitem__)

    def begin_turn(self, key: KeyT) -> None:
        """Its turn has come: it waits no more."""
        self._here = max(self._here, self._starts.pop(key))

    def took(self, key: KeyT, amount: float) -> None:
        """Account for what it took, in its turn or without one."""
        if self._starts:
            self._ends[key] = max(self._here, self._ends.get(key, 0.0)) + amount
        else:
            self._ends.clear()
            self._here = 0.0
