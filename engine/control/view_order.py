"""Which torrents a view shows and in which order, kept up to date from what changed.

Invariant: `info_hashes` is always sorted by (the view's key, name, info-hash) and holds exactly the
torrents that match the view's filter. Only the changed torrents are asked; then a nearly sorted
list is sorted again, which is a few comparisons per torrent. Unknown ETAs come last in both
directions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf

from engine.control.change_log import Changes
from engine.control.port import Brief, ViewSource
from engine.control.schema import Sort, TorrentState, View

_Key = tuple[float, str, str]

_BY_ATTENTION = {
    state: float(rank)
    for rank, state in enumerate(
        (
            TorrentState.ERROR,
            TorrentState.CHECKING,
            TorrentState.METADATA,
            TorrentState.DOWNLOADING,
            TorrentState.SEEDING,
            TorrentState.PAUSED,
        )
    )
}

_NUMBERS: dict[Sort, Callable[[Brief], float | None]] = {
    Sort.NAME: lambda brief: 0.0,
    Sort.SIZE: lambda brief: brief.size,
    Sort.PROGRESS: lambda brief: brief.progress,
    Sort.STATE: lambda brief: _BY_ATTENTION[brief.state],
    Sort.DOWN_RATE: lambda brief: brief.down_rate,
    Sort.UP_RATE: lambda brief: brief.up_rate,
    Sort.PEERS: lambda brief: brief.peers,
    Sort.ETA: lambda brief: brief.eta_s,
    Sort.RATIO: lambda brief: brief.ratio,
    Sort.ADDED: lambda brief: brief.added_at,
}


class ViewOrder:
    """The torrents of one filter and order; the window is somebody else's."""

    __slots__ = ("_keys", "_number", "_reverse", "_sign", "_source", "_states", "_text", "order")

    def __init__(self, source: ViewSource, view: View) -> None:
        self.order: list[str] = []
        """Info-hashes; replaced or sorted in place by `update`, so slice what is to be kept."""
        self._source = source
        self._states = frozenset(view.states)
        self._text = view.text.casefold()
        self._number = _NUMBERS[view.sort]
        self._sign = -1.0 if view.descending else 1.0
        # Among equals names stay ascending; only an order by name itself is turned around.
        self._reverse = view.descending and view.sort is Sort.NAME
        self._keys: dict[str, _Key] = {}
        self._rebuild()

    @staticmethod
    def is_same(one: View, other: View) -> bool:
        """Tell whether two views differ at most in their windows."""
        return (one.states, one.text, one.sort, one.descending) == (
            other.states,
            other.text,
            other.sort,
            other.descending,
        )

    def update(self, changes: Changes) -> None:
        if changes.is_reset:
            self._rebuild()
            return
        keys = self._keys
        gone = [each for each in changes.removed if keys.pop(each, None) is not None]
        new: list[str] = []
        is_disordered = False
        for info_hash in changes.changed:
            before = keys.get(info_hash)
            key = self._key(info_hash)
            if key == before:
                continue
            is_disordered = True
            if key is None:
                del keys[info_hash]
                gone.append(info_hash)
            else:
                keys[info_hash] = key
                if before is None:
                    new.append(info_hash)
        if gone or new:
            self._change_members(gone, new)
        if is_disordered:
            self._sort()

    def _rebuild(self) -> None:
        self._keys.clear()
        for info_hash in self._source.info_hashes():
            if (key := self._key(info_hash)) is not None:
                self._keys[info_hash] = key
        self.order = list(self._keys)
        self._sort()

    def _change_members(self, gone: Iterable[str], new: Iterable[str]) -> None:
        leaving = set(gone)
        if leaving:
            self.order = [each for each in self.order if each not in leaving]
        self.order.extend(new)

    def _sort(self) -> None:
        self.order.sort(key=self._keys.__getitem__, reverse=self._reverse)

    def _key(self, info_hash: str) -> _Key | None:
        """None when the torrent is not there or does not match."""
        brief = self._source.brief(info_hash)
        if brief is None or (self._states and brief.state not in self._states):
            return None
        name = brief.name.casefold()
        if self._text and self._text not in name:
            return None
        number = self._number(brief)
        return (inf if number is None else self._sign * number, name, info_hash)
