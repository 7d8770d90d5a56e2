"""Which files of a torrent are skipped, and whether all is where that says it belongs (BEP 3).

Another choice of files is another era. Bytes that were kept apart may belong elsewhere from then
on, and until they are there, nobody may look for them there. Invariant: an era is settled only when
who puts things in their place says so, and nobody still writes by the choice of another era. It
touches no file; usable from any thread, and shared by all who see the same torrent.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Set
from weakref import WeakValueDictionary


class Placement:
    """The choice of files that holds for one torrent, and what is still on its way."""

    __slots__ = ("__weakref__", "_choice", "_lock", "_settled", "_writers", "moving")

    def __init__(self) -> None:
        self.moving = threading.Lock()
        """For who looks where bytes are until they are in their place."""
        self._lock = threading.Lock()
        self._choice: tuple[int, Set[int]] = (0, frozenset())
        self._settled = -1
        self._writers: Counter[int] = Counter()

    @property
    def choice(self) -> tuple[int, Set[int]]:
        """The era, and the numbers of the files that are skipped in it."""
        return self._choice

    @property
    def is_settled(self) -> bool:
        """True if every byte is where the choice that holds says. HOT."""
        return self._settled == self._choice[0]

    def choose(self, skipped: Set[int]) -> None:
        """Skip these files from now on."""
        with self._lock:
            era, before = self._choice
            if skipped != before:
                self._choice = era + 1, skipped

    def begin(self) -> tuple[int, Set[int]]:
        """Begin to write by the choice that holds; `end` must be told of the era."""
        with self._lock:
            self._writers[self._choice[0]] += 1
            return self._choice

    def end(self, era: int) -> None:
        with self._lock:
            self._writers[era] -= 1
            if not self._writers[era]:
                del self._writers[era]

    def settle(self, era: int) -> bool:
        """All is in its place; False if that cannot be said, since something else was chosen, or
        somebody still writes by what was chosen before."""
        with self._lock:
            if era != self._choice[0] or any(other != era for other in self._writers):
                return False
            self._settled = era
            return True


_ALL: WeakValueDictionary[str, Placement] = WeakValueDictionary()
_ALL_LOCK = threading.Lock()


def placement_at(path: str) -> Placement:
    """The placement of the torrent whose part file has this path."""
    with _ALL_LOCK:
        return _ALL.setdefault(path, Placement())
