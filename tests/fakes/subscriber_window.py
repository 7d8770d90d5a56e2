"""A subscription as a client holds it: a snapshot, then numbered deltas, make the rows on show.

Invariant: after `apply` said True, `rows` is what the engine would have shown at that moment.
"""

from __future__ import annotations

from engine.control.schema import Delta, SessionStatus, Snapshot, TorrentRow


class Window:
    """The window of one subscription as its notifications tell it."""

    __slots__ = ("_by_hash", "order", "seq", "status", "total")

    def __init__(self) -> None:
        self.order: list[str] = []
        self.total = 0
        """Torrents that match the view, inside the window or not."""
        self.status: SessionStatus | None = None
        self.seq: int | None = None
        """Number of the last notification; None before the first snapshot and after a gap."""
        self._by_hash: dict[str, TorrentRow] = {}

    @property
    def rows(self) -> list[TorrentRow]:
        return [self._by_hash[info_hash] for info_hash in self.order]

    def apply(self, note: Snapshot | Delta) -> bool:
        """Take a notification in. False: it does not follow the last one, nothing was changed, and
        nothing but a snapshot will be taken from now on, so subscribe anew."""
        if isinstance(note, Snapshot):
            self._by_hash = {row.info_hash: row for row in note.rows}
            self.order = [row.info_hash for row in note.rows]
            self.status = note.status
        elif self.seq is None or note.seq != self.seq + 1:
            self.seq = None
            return False
        else:
            for row in note.rows:
                self._by_hash[row.info_hash] = row
            if note.order is not None:
                self.order = note.order
                self._by_hash = {each: self._by_hash[each] for each in note.order}
            self.status = note.status or self.status
        self.seq = note.seq
        self.total = note.total
        return True
