"""Who gives up its place for somebody else, when all are taken.

Whoever connects and keeps alive could have a place for ever, and a hundred of those would shut out
all others, the only seed among them. So who was of no use for a while makes room when somebody
waits for a place: first who wants nothing of us and has nothing for us, then who only might.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Protocol, TypeVar

PATIENCE_S = 60.0
"""What anybody gets to show what it wants."""
LONG_PATIENCE_S = 300.0
"""While we download: without a block either way, though one of us waits for the other's."""
EVERY_S = 5.0
"""Between two that have to go: who comes in their places is no better, perhaps."""


class Place:
    """What one peer makes of its place."""

    __slots__ = ("_moved_bytes", "is_given_up", "used_at")

    def __init__(self, now: float) -> None:
        self._moved_bytes = 0
        self.used_at = now
        """When blocks were last seen to go either way; at first when it came."""
        self.is_given_up = False
        """The peer had to go, through no fault of its own."""

    def look(self, moved_bytes: int, now: float) -> None:
        """`moved_bytes`: all that went either way so far. Call it about once a second."""
        if moved_bytes != self._moved_bytes:
            self._moved_bytes = moved_bytes
            self.used_at = now


class Shortage:
    """Whether somebody waits for one of so many places: those of a torrent, or of a session."""

    __slots__ = ("_eased_at", "_felt_at")

    def __init__(self) -> None:
        self._felt_at = self._eased_at = -math.inf

    def felt(self, now: float) -> None:
        """Somebody found all places taken."""
        self._felt_at = now

    def eased(self, now: float) -> None:
        """Somebody had to go."""
        self._eased_at = now

    def is_due(self, now: float) -> bool:
        """True if somebody should go."""
        return now - self._felt_at <= EVERY_S <= now - self._eased_at


class Seated(Protocol):
    """What is asked about a peer."""

    @property
    def place(self) -> Place: ...

    @property
    def is_waiting(self) -> bool:
        """One of us wants what the other has, and something may come of it."""

    @property
    def is_named(self) -> bool:
        """The user wants it here."""


PeerT = TypeVar("PeerT", bound=Seated)


def least_useful(peers: Iterable[PeerT], now: float, *, seeding: bool) -> PeerT | None:
    """Return who should make room, None if all are of use or may yet be. Who waits for a seed to
    serve it does not wait in vain, however long it takes."""
    late = [
        peer
        for peer in peers
        if not peer.is_named
        and not (seeding and peer.is_waiting)
        and now - peer.place.used_at >= (LONG_PATIENCE_S if peer.is_waiting else PATIENCE_S)
    ]
    return min(late, key=lambda peer: (peer.is_waiting, peer.place.used_at), default=None)
