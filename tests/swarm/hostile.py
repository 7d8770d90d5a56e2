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


def _ride_free() -> None:
    def no_slots(_self: Choker[Any], _peers: Iterable[Any], *, upload_limit: int = 0) -> int:
        return 0

    def no_grant(_self: Conversation, _peer: Peer) -> None:
        """Pieces that a choked peer may ask for would be given."""

    setattr(Choker, "slots", no_slots)  # noqa: B010
    setattr(Conversation, "grant_allowed_fast", no_grant)  # noqa: B010


def _lie() -> None:
    def send_nothing(_self: Upload, _peer: Peer) -> None:
        """Requests are kept and not answered."""

    setattr(Upload, "pump", send_nothing)  # noqa: B010


MANNERS: Final[dict[str, Callable[[], None]]] = {
    "free-rider": _ride_free,
    "corrupter": lambda: None,
    "liar": _lie,
}

if __name__ == "__main__":
    MANNERS[sys.argv.pop(1)]()
    main()
