"""The real engine with one manner changed, for swarms that must bear such peers.

    python -m tests.swarm.hostile free-rider|corrupter|liar COMMAND …

A free rider never unchokes anybody. A corrupter serves what it has, which is damaged. A liar says
that it has everything, unchokes everybody, and never sends a block.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, Final

from engine.cli import main
from engine.swarm.choker import Choker
from engine.torrent.conversation import Conversation
from engine.torrent.peer import Peer
from engine.torrent.upload import Upload

# Subclasses, so that a type checker holds each manner against what it takes the place of.


class _NoSlots(Choker[Any]):
    def slots(self, peers: Iterable[Any], *, upload_limit: int = 0, had: int | None = None) -> int:
        return 0


class _NoGrants(Conversation):
    def grant_allowed_fast(self, peer: Peer) -> None:
        """Pieces that a choked peer may ask for would be given."""


class _SendsNothing(Upload):
    def pump(self, peer: Peer) -> None:
        """Requests are kept and not answered."""


def _ride_free() -> None:
    setattr(Choker, "slots", _NoSlots.slots)  # noqa: B010
    setattr(Conversation, "grant_allowed_fast", _NoGrants.grant_allowed_fast)  # noqa: B010


def _lie() -> None:
    setattr(Upload, "pump", _SendsNothing.pump)  # noqa: B010


MANNERS: Final[dict[str, Callable[[], None]]] = {
    "free-rider": _ride_free,
    "corrupter": lambda: None,
    "liar": _lie,
}

if __name__ == "__main__":
    MANNERS[sys.argv.pop(1)]()
    main()
