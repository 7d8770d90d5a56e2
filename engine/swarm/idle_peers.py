"""Who has nothing left to be asked for, and which pieces they could send. HOT.

It matters for each piece of which another peer owes a block for long: with hundreds of peers on
both sides it is looked at once a tick, not for each of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.core.bitfield import Bitfield


class IdlePeers:
    """What the idle peers of one torrent have."""

    __slots__ = ("_could_send", "_pieces", "_seen_at")

    def __init__(self) -> None:
        self._pieces: list[Bitfield] = []
        self._could_send: dict[int, bool] = {}
        self._seen_at: float | None = None

    def see(self, pieces: Iterable[Bitfield], now: float) -> bool:
        """Take over what each of them has, but for the first time only for one `now`; True if
        there is anybody."""
        if now != self._seen_at:
            self._seen_at = now
            self._pieces = list(pieces)
            self._could_send.clear()
        return bool(self._pieces)

    def could_send(self, index: int) -> bool:
        """True if one of them has the piece."""
        known = self._could_send.get(index)
        if known is None:
            known = self._could_send[index] = any(pieces[index] for pieces in self._pieces)
        return known
