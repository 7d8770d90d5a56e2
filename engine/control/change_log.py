"""Which torrents changed since when: one number that only rises, shared by all subscribers.

Invariant: `since(revision)` names every torrent touched or removed after that revision, or says
that it no longer knows (`is_reset`). A touch costs one dictionary move; nothing is copied until
somebody asks. It must not know what a change is.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

_REMEMBERED_REMOVALS = 10_000


@dataclass(frozen=True, slots=True)
class Changes:
    """Info-hashes touched and removed since a revision. With `is_reset` both are empty and anything
    may have changed."""

    revision: int
    """What to ask with the next time."""
    changed: Collection[str] = ()
    removed: Collection[str] = ()
    is_reset: bool = False


class ChangeLog:
    """The owner calls `touch` for a torrent that is new or whose row is no longer what it was."""

    __slots__ = ("_forgotten", "_removed", "_touched", "revision")

    def __init__(self) -> None:
        self.revision = 0
        self._touched: dict[str, int] = {}
        self._removed: dict[str, int] = {}
        self._forgotten = 0

    def touch(self, info_hash: str) -> None:
        self.revision += 1
        self._removed.pop(info_hash, None)
        # Moved to the end, so that `since` reads only the newest part.
        self._touched.pop(info_hash, None)
        self._touched[info_hash] = self.revision

    def remove(self, info_hash: str) -> None:
        self.revision += 1
        self._touched.pop(info_hash, None)
        self._removed.pop(info_hash, None)
        self._removed[info_hash] = self.revision
        if len(self._removed) > _REMEMBERED_REMOVALS:
            oldest = next(iter(self._removed))
            self._forgotten = self._removed.pop(oldest)

    def since(self, revision: int) -> Changes:
        """What changed after `revision`, which an earlier answer or `self.revision` gave."""
        if revision == self.revision:
            return Changes(revision)
        if not self._forgotten <= revision <= self.revision:
            return Changes(self.revision, is_reset=True)
        return Changes(
            self.revision, _newer(self._touched, revision), _newer(self._removed, revision)
        )


def _newer(entries: dict[str, int], revision: int) -> set[str]:
    newer = set()
    for info_hash in reversed(entries):
        if entries[info_hash] <= revision:
            break
        newer.add(info_hash)
    return newer
