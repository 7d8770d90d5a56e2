"""Which lookups run, and which wait for a place: so many at a time and no more."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from engine.discovery.dht.events import LookupFinished
from engine.discovery.dht.lookup import Lookup
from engine.discovery.dht.messages import Want
from engine.discovery.dht.node_id import NodeId
from engine.discovery.dht.purpose import Purpose

MAX_RUNNING = 32
MAX_WAITING = 20_000


class Running:
    """A lookup under way; `number` is 0 for those that a node makes for itself."""

    __slots__ = ("is_join", "lookup", "number", "want")

    def __init__(self, number: int, lookup: Lookup, want: Want | None, *, is_join: bool) -> None:
        self.number = number
        self.lookup = lookup
        self.want = want
        self.is_join = is_join

    def summary(self, now: float) -> LookupFinished:
        lookup = self.lookup
        return LookupFinished(
            self.number,
            lookup.purpose,
            tuple(lookup.closest),
            lookup.hops,
            lookup.queries,
            lookup.replies,
            lookup.timeouts,
            now - lookup.started_at,
        )


class Asked:
    """What a query was for; `running` is None for a ping."""

    __slots__ = ("expected_id", "running")

    def __init__(self, expected_id: NodeId | None, running: Running | None) -> None:
        self.expected_id = expected_id
        self.running = running


class LookupQueue:
    def __init__(self) -> None:
        self._running: list[Running] = []
        self._waiting: deque[tuple[int, Purpose]] = deque()

    def __len__(self) -> int:
        """Lookups that run."""
        return len(self._running)

    def __iter__(self) -> Iterator[Running]:
        return iter(list(self._running))

    def __contains__(self, running: Running) -> bool:
        return running in self._running

    @property
    def waiting_count(self) -> int:
        return len(self._waiting)

    @property
    def has_place(self) -> bool:
        return len(self._running) < MAX_RUNNING

    def wait(self, number: int, purpose: Purpose) -> bool:
        """Put a lookup at the end of the queue. Returns False when that is full."""
        if len(self._waiting) >= MAX_WAITING:
            return False
        self._waiting.append((number, purpose))
        return True

    def next_waiting(self) -> tuple[int, Purpose] | None:
        """Take the lookup that is to be run next, if there is a place for it."""
        return self._waiting.popleft() if self._waiting and self.has_place else None

    def run(self, running: Running) -> None:
        self._running.append(running)

    def end(self, running: Running) -> None:
        self._running.remove(running)

    def cancel(self, number: int) -> None:
        """Forget a lookup, whether it runs or waits."""
        self._running = [each for each in self._running if each.number != number]
        self._waiting = deque(each for each in self._waiting if each[0] != number)

    def next_at(self) -> float:
        return min((each.lookup.next_at() for each in self._running), default=float("inf"))
